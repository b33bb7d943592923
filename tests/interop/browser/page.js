// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC's published interop cases that a browser can make, by Connect's gRPC-Web client: `await interop(edge, name)`.

import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

const [REQUEST_BYTES, REPLY_BYTES] = [271_828, 314_159];
const STREAM_REPLIES = [31_415, 9, 2_653, 58_979];
const SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n";
const LONG = { timeoutMs: 20_000 };

const check = (holds, otherwise) => {
  if (!holds) throw new Error(otherwise);
};
const zeros = (size) => ({ body: new Uint8Array(size) });

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call has not failed");
}

async function sizes(replies) {
  const found = [];
  for await (const reply of replies) found.push(reply.payload.body.length);
  return found;
}

async function echoed(client, message) {
  const request = { responseStatus: { code: Code.Unknown, message } };
  const calls = [() => client.unaryCall(request, LONG), () => sizes(client.streamingOutputCall(request, LONG))];
  for (const call of calls) {
    const error = await failure(call);
    check(error.code === Code.Unknown && error.rawMessage === message, JSON.stringify(error.rawMessage));
  }
}

const cases = {
  async empty_unary({ test }) {
    check((await test.emptyCall({}, LONG)) !== undefined, "no reply");
  },
  async large_unary({ test }) {
    const reply = await test.unaryCall({ responseSize: REPLY_BYTES, payload: zeros(REQUEST_BYTES) }, LONG);
    check(reply.payload.body.length === REPLY_BYTES, reply.payload.body.length);
    check(reply.payload.body.every((byte) => byte === 0), "other bytes than zeros");
  },
  async server_streaming({ test }) {
    const request = { responseParameters: STREAM_REPLIES.map((size) => ({ size })) };
    const seen = await sizes(test.streamingOutputCall(request, LONG));
    check(JSON.stringify(seen) === JSON.stringify(STREAM_REPLIES), seen);
  },
  status_code_and_message: ({ test }) => echoed(test, "test status message"),
  special_status_message: ({ test }) => echoed(test, SPECIAL),
  async unimplemented_method({ test }) {
    check((await failure(() => test.unimplementedCall({}, LONG))).code === Code.Unimplemented, "another status");
  },
  async unimplemented_service({ none }) {
    check((await failure(() => none.unimplementedCall({}, LONG))).code === Code.Unimplemented, "another status");
  },
  async cancel_after_first_response({ test }) {
    const stop = new AbortController();
    const responseParameters = [{ size: 31_415 }, { size: 9, intervalUs: 20_000_000 }];
    const error = await failure(async () => {
      for await (const reply of test.streamingOutputCall({ responseParameters }, { signal: stop.signal })) {
        check(reply.payload.body.length === 31_415, reply.payload.body.length);
        stop.abort();
      }
    });
    check(error.code === Code.Canceled, error);
  },
  async timeout_on_sleeping_server({ test }) {
    const responseParameters = [{ size: 9, intervalUs: 20_000_000 }];
    const error = await failure(() => sizes(test.streamingOutputCall({ responseParameters }, { timeoutMs: 50 })));
    check(error.code === Code.DeadlineExceeded, error);
  },
};

globalThis.names = Object.keys(cases);
globalThis.interop = async (edge, name) => {
  const files = new Uint8Array(await (await fetch("interop.binpb")).arrayBuffer());
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, files));
  const transport = createGrpcWebTransport({ baseUrl: edge });
  const client = (service) => createClient(registry.getService(`grpc.testing.${service}`), transport);
  await cases[name]({ test: client("TestService"), none: client("UnimplementedService") });
  return "holds";
};
