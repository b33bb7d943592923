// SPDX-License-Identifier: Apache-2.0

import { type DescMessage, fromJson, fromJsonString, type MessageShape, toJsonString } from "@bufbuild/protobuf";

import { type Api, type FieldViolation, NoReply, Refusal } from "./api";
import { PredictRequestSchema, PredictResponseSchema } from "./gen/orrery/inference/v1/prediction_service_pb";
import { SimulateRequestSchema, SimulateUpdateSchema } from "./gen/orrery/inference/v1/simulation_service_pb";

/** A problem document (RFC 9457), as the edge writes it. */
interface Problem {
  reason: string;
  detail: string;
  errors?: FieldViolation[];
}

/** The last line of a stream: a message of the contract has neither of these. */
type End = Partial<Problem> & { complete?: true };

// A newer server may have more fields.
const LENIENT = { ignoreUnknownFields: true };

/** The contract by fetch: JSON has the messages' own names, so the generated types serve here too. */
export function rest(edge: string): Api {
  async function post<M extends DescMessage>(path: string, schema: M, message: MessageShape<M>, signal: AbortSignal) {
    const headers = { "content-type": "application/json" };
    const body = toJsonString(schema, message, { useProtoFieldName: true });
    const reply = await fetch(edge + path, { method: "POST", headers, body, signal }).catch((error) => {
      throw error instanceof TypeError ? new NoReply(edge) : error;
    });
    if (reply.ok) return reply;
    throw refusal(await reply.json());
  }

  return {
    async predict(request, signal) {
      const reply = await post("/api/predict", PredictRequestSchema, request, within(10_000, signal));
      return fromJson(PredictResponseSchema, await reply.json(), LENIENT);
    },
    async *simulate(request, signal) {
      const reply = await post("/api/simulate/stream", SimulateRequestSchema, request, within(300_000, signal));
      for await (const line of lines(reply.body!)) {
        const { complete, reason } = JSON.parse(line) as End;
        if (complete) return;
        if (reason) throw refusal(JSON.parse(line));
        yield fromJsonString(SimulateUpdateSchema, line, LENIENT);
      }
      throw new Error("the stream was cut off");
    },
  };
}

function refusal(problem: Problem): Refusal {
  return new Refusal(problem.reason, problem.detail, problem.errors ?? []);
}

/** A signal that also aborts after some time. */
function within(milliseconds: number, signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(milliseconds)]);
}

/** The lines of a body as they arrive: one JSON object each. */
async function* lines(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const pieces = (rest + part.value).split("\n");
    rest = pieces.pop()!;
    yield* pieces;
  }
  if (rest) yield rest;
}
