// SPDX-License-Identifier: Apache-2.0

import type { PredictRequest, PredictResponse } from "./gen/orrery/inference/v1/prediction_service_pb";
import type { SimulateRequest, SimulateUpdate } from "./gen/orrery/inference/v1/simulation_service_pb";

/** The calls that this page makes, by either protocol. They throw Refusal, or NoReply; the signal cancels them. */
export interface Api {
  predict(request: PredictRequest, signal: AbortSignal): Promise<PredictResponse>;
  /** Yields progress and encounters as they are found, then the result. */
  simulate(request: SimulateRequest, signal: AbortSignal): AsyncIterable<SimulateUpdate>;
}

/** A wrong field: its path in the request, in the contract's names. */
export interface FieldViolation {
  field: string;
  description: string;
}

/** The gateway refused the call; `reason` is one of the contract's ErrorReason. */
export class Refusal extends Error {
  constructor(
    readonly reason: string,
    message: string,
    readonly violations: FieldViolation[],
  ) {
    super(message);
  }
}

/** The browser got no reply that it shows to this page. It keeps the cause to itself. */
export class NoReply extends Error {
  constructor(edge: string) {
    super(`no reply from ${edge}: it is not running, or its ORRERY_EDGE_CORS_ORIGINS does not list ${location.origin}`);
  }
}
