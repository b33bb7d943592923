// SPDX-License-Identifier: Apache-2.0

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { type Api, NoReply, Refusal } from "./api";
import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb";
import { PredictionService } from "./gen/orrery/inference/v1/prediction_service_pb";
import { SimulationService } from "./gen/orrery/inference/v1/simulation_service_pb";

/** The contract by gRPC-Web. */
export function grpcWeb(edge: string): Api {
  const transport = createGrpcWebTransport({ baseUrl: edge });
  const prediction = createClient(PredictionService, transport);
  const simulation = createClient(SimulationService, transport);
  return {
    async predict(request, signal) {
      try {
        return await prediction.predict(request, { signal, timeoutMs: 10_000 });
      } catch (error) {
        throw readable(error, edge);
      }
    },
    async *simulate(request, signal) {
      try {
        yield* simulation.streamSimulate(request, { signal, timeoutMs: 300_000 });
      } catch (error) {
        throw readable(error, edge);
      }
    },
  };
}

/** The details of a status, decoded. */
function readable(error: unknown, edge: string): Error {
  const status = ConnectError.from(error);
  if (status.cause instanceof TypeError) return new NoReply(edge);
  const info = status.findDetails(ErrorInfoSchema)[0];
  const violations = status.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  return new Refusal(info?.reason ?? Code[status.code], status.rawMessage, violations);
}
