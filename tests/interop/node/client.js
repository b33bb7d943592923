// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC's published interop cases by @grpc/grpc-js: `node client.js PROTO PORT CASE...` prints the names of those that hold.

import assert from "node:assert/strict";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [proto, port, ...wanted] = process.argv.slice(2);
const { TestService, UnimplementedService } = grpc.loadPackageDefinition(
  loader.loadSync(proto, { keepCase: true }),
).grpc.testing;

const GZIP = 2;
const LONG_MS = 20_000;
const [REQUEST_BYTES, REPLY_BYTES] = [271_828, 314_159];
const STREAM_REQUESTS = [27_182, 8, 1_828, 45_904];
const STREAM_REPLIES = [31_415, 9, 2_653, 58_979];
const SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n";

const zeros = (size) => ({ body: Buffer.alloc(size) });
const large = (more = {}) => ({ response_size: REPLY_BYTES, payload: zeros(REQUEST_BYTES), ...more });
const output = (size, requestSize) => ({ response_parameters: [{ size }], payload: zeros(requestSize) });
const withDeadline = (ms = LONG_MS) => ({ deadline: Date.now() + ms });
const size = (reply) => reply.payload.body.length;

const open = (Service = TestService, options = {}) =>
  new Service(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), options);
const client = open();

// The reply of a call with one; rejects with its status.
const unary = (method, request, { metadata = new grpc.Metadata(), to = client } = {}) =>
  new Promise((resolve, reject) => {
    const seen = {};
    const done = (error, reply) => (error ? reject(error) : (seen.reply = reply));
    const call = to[method](request, metadata, withDeadline(), done);
    call.on("metadata", (initial) => (seen.initial = initial));
    call.on("status", (status) => status.code === grpc.status.OK && resolve({ ...seen, trailing: status.metadata }));
  });

// The replies of a stream; rejects with its status.
const replies = (call) =>
  new Promise((resolve, reject) => {
    const seen = { replies: [] };
    call.on("metadata", (initial) => (seen.initial = initial));
    call.on("data", (reply) => seen.replies.push(reply));
    call.on("error", reject);
    call.on("status", (status) => status.code === grpc.status.OK && resolve({ ...seen, trailing: status.metadata }));
  });

const gathered = (requests, to = client) =>
  new Promise((resolve, reject) => {
    const call = to.StreamingInputCall(withDeadline(), (error, reply) => (error ? reject(error) : resolve(reply)));
    requests.forEach((request) => call.write(request));
    call.end();
  });

const failsWith = (promise, code, details) =>
  assert.rejects(promise, (error) => error.code === code && (details === undefined || error.details === details));

const echoed = async (message) => {
  const request = { response_status: { code: 2, message } };
  await failsWith(unary("UnaryCall", request), grpc.status.UNKNOWN, message);
  const call = client.FullDuplexCall(withDeadline());
  call.write(request);
  call.end();
  await failsWith(replies(call), grpc.status.UNKNOWN, message);
};

const cases = {
  async empty_unary() {
    assert.deepEqual((await unary("EmptyCall", {})).reply, {});
  },
  async large_unary() {
    const { reply } = await unary("UnaryCall", large());
    assert.equal(size(reply), REPLY_BYTES);
    assert(reply.payload.body.every((byte) => byte === 0));
  },
  async client_compressed_unary() {
    const compressing = open(TestService, { "grpc.default_compression_algorithm": GZIP });
    const request = large({ expect_compressed: { value: true } });
    assert.equal(size((await unary("UnaryCall", request, { to: compressing })).reply), REPLY_BYTES);
    compressing.close();
    assert.equal(size((await unary("UnaryCall", large({ expect_compressed: { value: false } }))).reply), REPLY_BYTES);
  },
  async server_compressed_unary() {
    for (const value of [true, false])
      assert.equal(size((await unary("UnaryCall", large({ response_compressed: { value } }))).reply), REPLY_BYTES);
  },
  async client_streaming() {
    const { aggregated_payload_size } = await gathered(STREAM_REQUESTS.map((bytes) => ({ payload: zeros(bytes) })));
    assert.equal(aggregated_payload_size, 74_922);
  },
  async client_compressed_streaming() {
    // Of whole calls: all messages of a channel are compressed.
    const compressing = open(TestService, { "grpc.default_compression_algorithm": GZIP });
    const requests = [27_182, 45_904].map((bytes) => ({ payload: zeros(bytes), expect_compressed: { value: true } }));
    assert.equal((await gathered(requests, compressing)).aggregated_payload_size, 73_086);
    compressing.close();
  },
  async server_streaming() {
    const request = { response_parameters: STREAM_REPLIES.map((bytes) => ({ size: bytes })) };
    const seen = await replies(client.StreamingOutputCall(request, withDeadline()));
    assert.deepEqual(seen.replies.map(size), STREAM_REPLIES);
  },
  async server_compressed_streaming() {
    const response_parameters = [
      { size: 31_415, compressed: { value: true } },
      { size: 92_653, compressed: { value: false } },
    ];
    const seen = await replies(client.StreamingOutputCall({ response_parameters }, withDeadline()));
    assert.deepEqual(seen.replies.map(size), [31_415, 92_653]);
  },
  async ping_pong() {
    const call = client.FullDuplexCall(withDeadline());
    const requests = STREAM_REPLIES.map((bytes, index) => output(bytes, STREAM_REQUESTS[index]));
    const next = () => (requests.length ? call.write(requests.shift()) : call.end());
    call.on("data", next);
    next();
    assert.deepEqual((await replies(call)).replies.map(size), STREAM_REPLIES);
  },
  async half_duplex() {
    const call = client.HalfDuplexCall(withDeadline());
    STREAM_REPLIES.forEach((bytes, index) => call.write(output(bytes, STREAM_REQUESTS[index])));
    call.end();
    assert.deepEqual((await replies(call)).replies.map(size), STREAM_REPLIES);
  },
  async empty_stream() {
    const call = client.FullDuplexCall(withDeadline());
    call.end();
    assert.deepEqual((await replies(call)).replies, []);
  },
  async custom_metadata() {
    const metadata = new grpc.Metadata();
    metadata.set("x-grpc-test-echo-initial", "test_initial_metadata_value");
    metadata.set("x-grpc-test-echo-trailing-bin", Buffer.from("ababab", "hex"));
    const call = client.FullDuplexCall(metadata, withDeadline());
    call.write(output(REPLY_BYTES, REQUEST_BYTES));
    call.end();
    const both = [unary("UnaryCall", large(), { metadata }), replies(call)];
    for (const { initial, trailing } of await Promise.all(both)) {
      assert.deepEqual(initial.get("x-grpc-test-echo-initial"), ["test_initial_metadata_value"]);
      assert.equal(trailing.get("x-grpc-test-echo-trailing-bin")[0].toString("hex"), "ababab");
    }
  },
  status_code_and_message: () => echoed("test status message"),
  special_status_message: () => echoed(SPECIAL),
  unimplemented_method: () => failsWith(unary("UnimplementedCall", {}), grpc.status.UNIMPLEMENTED),
  async unimplemented_service() {
    const to = open(UnimplementedService);
    await failsWith(unary("UnimplementedCall", {}, { to }), grpc.status.UNIMPLEMENTED);
    to.close();
  },
  cancel_after_begin: () =>
    new Promise((resolve, reject) => {
      const call = client.StreamingInputCall((error) =>
        error?.code === grpc.status.CANCELLED ? resolve() : reject(error ?? new Error("a reply")),
      );
      call.cancel();
    }),
  async cancel_after_first_response() {
    const call = client.FullDuplexCall();
    call.write(output(STREAM_REPLIES[0], STREAM_REQUESTS[0]));
    call.on("data", () => call.cancel());
    await failsWith(replies(call), grpc.status.CANCELLED);
  },
  async timeout_on_sleeping_server() {
    const call = client.FullDuplexCall(withDeadline(1));
    call.on("error", () => {});
    call.write({ payload: zeros(STREAM_REQUESTS[0]) });
    await failsWith(replies(call), grpc.status.DEADLINE_EXCEEDED);
  },
  async rpc_soak() {
    for (let count = 0; count < 50; count++) await cases.large_unary();
  },
  async concurrent_large_unary() {
    await Promise.all(Array.from({ length: 50 }, () => cases.large_unary()));
  },
};

if (wanted[0] === "list") console.log(Object.keys(cases).join("\n"));
else
  for (const name of wanted) {
    await cases[name]();
    console.log(name);
  }
// Whatever is still open.
process.exit(0);
