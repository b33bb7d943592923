// SPDX-License-Identifier: Apache-2.0

/** One object, asked about by gRPC-Web and by REST: index.html?edge=http://HOST:PORT. */

import { create, fromJson, type JsonObject } from "@bufbuild/protobuf";

import { type Api, type FieldViolation, Refusal } from "./api";
import { Body, type NearEarthObject, NearEarthObjectSchema, OrbitClass } from "./gen/orrery/inference/v1/orbit_pb";
import { PredictRequestSchema } from "./gen/orrery/inference/v1/prediction_service_pb";
import { Fidelity, SimulateRequestSchema } from "./gen/orrery/inference/v1/simulation_service_pb";
import { grpcWeb } from "./grpc_web";
import { rest } from "./rest";

const edge = new URLSearchParams(location.search).get("edge") ?? "http://127.0.0.1:8080";
const apis: Record<string, Api> = { "grpc-web": grpcWeb(edge), rest: rest(edge) };
const form = document.querySelector("form")!;
const fields = [...form.querySelectorAll<HTMLInputElement>("[data-field]")];
let stopping = new AbortController();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  stopping.abort();
  stopping = new AbortController();
  for (const field of fields) field.removeAttribute("aria-invalid");
  const call = event.submitter!.id === "simulate" ? simulate : predict;
  for (const [protocol, api] of Object.entries(apis)) run(call, api, document.getElementById(protocol)!);
});
document.getElementById("stop")!.addEventListener("click", () => stopping.abort());

/** Make a call for one column of the page, and show how it ended: data-state is running, done, refused or stopped. */
async function run(call: typeof simulate, api: Api, column: HTMLElement): Promise<void> {
  const { signal } = stopping;
  column.dataset.state = "running";
  part(column, "reply").replaceChildren();
  showProgress(column, 0);
  try {
    await call(api, readObject(), column, signal);
    column.dataset.state = "done";
  } catch (error) {
    if (signal.aborted && stopping.signal !== signal) return; // another call has the column
    column.dataset.state = signal.aborted ? "stopped" : "refused";
    if (signal.aborted) addLine(column, "stopped");
    else showError(column, error);
  }
}

async function predict(api: Api, object: NearEarthObject, column: HTMLElement, signal: AbortSignal): Promise<void> {
  const { predictions, model } = await api.predict(create(PredictRequestSchema, { objects: [object] }), signal);
  for (const { phaProbability, definition } of predictions) {
    addLine(column, `${OrbitClass[definition!.orbitClass]}, Earth MOID ${definition!.earthMoidAu?.toFixed(6)} au`);
    addLine(column, `P(potentially hazardous) ${phaProbability.toFixed(3)} by ${model!.name}`);
  }
}

async function simulate(api: Api, object: NearEarthObject, column: HTMLElement, signal: AbortSignal): Promise<void> {
  const durationDays = form.querySelector<HTMLInputElement>("#duration")!.valueAsNumber;
  const fidelity = Number(form.querySelector<HTMLSelectElement>("#fidelity")!.value) as Fidelity;
  const request = create(SimulateRequestSchema, { scenario: { object, durationDays, fidelity } });
  for await (const { update } of api.simulate(request, signal)) {
    if (update.case === "progress") showProgress(column, update.value.fractionDone);
    if (update.case === "closeApproach") {
      const { body, distanceKm, timeTdbJd } = update.value;
      addLine(column, `${Body[body]} at ${Math.round(distanceKm)} km, TDB JD ${timeTdbJd.toFixed(3)}`);
    }
  }
  showProgress(column, 1);
}

/** The form as a message; an empty field is left out. */
function readObject(): NearEarthObject {
  const object: JsonObject = {};
  for (const { dataset, type, value, valueAsNumber } of fields) {
    if (value === "") continue;
    const [group, name] = dataset.field!.split(".") as [string, string?];
    if (name === undefined) object[group] = value;
    else object[group] = { ...(object[group] as JsonObject), [name]: type === "number" ? valueAsNumber : value };
  }
  return fromJson(NearEarthObjectSchema, object);
}

function showError(column: HTMLElement, error: unknown): void {
  if (!(error instanceof Refusal)) return addLine(column, error instanceof Error ? error.message : String(error));
  addLine(column, error.reason);
  for (const violation of error.violations) {
    addLine(column, `${violation.field} ${violation.description}`);
    mark(violation);
  }
}

/** Mark the input of a wrong field: "objects[0].elements.eccentricity" is the input "elements.eccentricity". */
function mark({ field }: FieldViolation): void {
  fields.find(({ dataset }) => field.endsWith(`.${dataset.field}`))?.setAttribute("aria-invalid", "true");
}

function showProgress(column: HTMLElement, fraction: number): void {
  (part(column, "progress") as HTMLProgressElement).value = fraction;
}

function addLine(column: HTMLElement, text: string): void {
  const line = document.createElement("li");
  line.textContent = text;
  part(column, "reply").append(line);
}

function part(column: HTMLElement, name: string): HTMLElement {
  return column.querySelector<HTMLElement>(`.${name}`)!;
}
