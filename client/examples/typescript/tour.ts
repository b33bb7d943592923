// SPDX-License-Identifier: Apache-2.0

/** The contract in a few calls: node tour.js NAMED_ORBITS.json [HOST:PORT]. */

import { readFileSync } from "node:fs";

import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";
import { AnomalyServiceClient, type ScoreAnomaliesResponse } from "./gen/orrery/inference/v1/anomaly_service.js";
import { bodyToJSON, NearEarthObject, orbitClassToJSON } from "./gen/orrery/inference/v1/orbit.js";
import { PredictionServiceClient, type PredictResponse } from "./gen/orrery/inference/v1/prediction_service.js";
import { Scenario, SimulationServiceClient, type SimulateUpdate } from "./gen/orrery/inference/v1/simulation_service.js";

// Balance over all addresses of a name, and try again where no server was found: every method can be asked twice.
const OPTIONS = {
  "grpc.service_config": JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
      {
        name: ["Prediction", "Anomaly", "Simulation"].map((name) => ({ service: `orrery.inference.v1.${name}Service` })),
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: "0.05s",
          maxBackoff: "0.5s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE"],
        },
      },
    ],
  }),
};

const [path, target = "127.0.0.1:50051"] = process.argv.slice(2);
const plaintext = credentials.createInsecure();
const prediction = new PredictionServiceClient(target, plaintext, OPTIONS);
const anomaly = new AnomalyServiceClient(target, plaintext, OPTIONS);
const simulation = new SimulationServiceClient(target, plaintext, OPTIONS);

const within = (seconds: number) => ({ deadline: Date.now() + 1000 * seconds });

async function main(): Promise<void> {
  const entries: { object: unknown }[] = JSON.parse(readFileSync(path!, "utf8"));
  const objects = entries.map((entry) => NearEarthObject.fromJSON(entry.object));

  const predicted = await predict(objects);
  const scored = await new Promise<ScoreAnomaliesResponse>((resolve, reject) =>
    anomaly.scoreAnomalies({ objects, explain: false, model: undefined }, new Metadata(), within(30), (error, reply) =>
      error ? reject(error) : resolve(reply),
    ),
  );
  for (const [row, said] of predicted.predictions.entries()) {
    const rule = said.definition!;
    console.log(
      `${said.designation}: ${orbitClassToJSON(rule.orbit_class)}, Earth MOID ${rule.earth_moid_au!.toFixed(6)} au, ` +
        `P(PHA) ${said.pha_probability.toFixed(3)}, anomaly ${scored.scores[row]!.score.toFixed(3)}`,
    );
  }

  const scenario = Scenario.fromPartial({ object: objects[0]!, duration_days: 1300 });
  const updates: AsyncIterable<SimulateUpdate> = simulation.streamSimulate({ scenario }, within(300));
  for await (const { result } of updates) {
    if (result) {
      const nearest = result.baseline.reduce((one, other) => (other.distance_km < one.distance_km ? other : one));
      console.log(`${objects[0]!.designation} passes ${bodyToJSON(nearest.body)} at ${nearest.distance_km.toFixed(0)} km`);
    }
  }

  objects[0]!.elements!.eccentricity = -0.2;
  await predict(objects).catch(explain);
}

function predict(objects: NearEarthObject[]): Promise<PredictResponse> {
  return new Promise((resolve, reject) =>
    prediction.predict({ objects, model: undefined }, new Metadata(), within(10), (error, reply) =>
      error ? reject(error) : resolve(reply),
    ),
  );
}

/** Print a refusal: the code, the published reason, the first field that was wrong. */
function explain(refusal: ServiceError): void {
  const [details] = refusal.metadata.get("grpc-status-details-bin") as Buffer[];
  let reason = "";
  let wrong = "";
  for (const { type_url, value } of Status.decode(details!).details) {
    if (type_url.endsWith("/google.rpc.ErrorInfo")) reason = ErrorInfo.decode(value).reason;
    if (type_url.endsWith("/google.rpc.BadRequest")) wrong = BadRequest.decode(value).field_violations[0]!.field;
  }
  console.log(status[refusal.code], reason, wrong);
}

await main();
for (const client of [prediction, anomaly, simulation]) client.close();
