// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC's published interop cases by grpc-java: `Client PORT CASE...` prints the names of those that hold.

import com.google.protobuf.ByteString;
import grpc.testing.BoolValue;
import grpc.testing.EchoStatus;
import grpc.testing.Empty;
import grpc.testing.Payload;
import grpc.testing.ResponseParameters;
import grpc.testing.SimpleRequest;
import grpc.testing.SimpleResponse;
import grpc.testing.StreamingInputCallRequest;
import grpc.testing.StreamingInputCallResponse;
import grpc.testing.StreamingOutputCallRequest;
import grpc.testing.StreamingOutputCallResponse;
import grpc.testing.TestServiceGrpc;
import grpc.testing.UnimplementedServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

public final class Client {
  private static final int REQUEST_BYTES = 271_828;
  private static final int REPLY_BYTES = 314_159;
  private static final List<Integer> STREAM_REQUESTS = List.of(27_182, 8, 1_828, 45_904);
  private static final List<Integer> STREAM_REPLIES = List.of(31_415, 9, 2_653, 58_979);
  private static final String SPECIAL =
      "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \ud83d\ude08\t\n";
  private static final long LONG_S = 20;

  private static TestServiceGrpc.TestServiceBlockingStub blocking;
  private static TestServiceGrpc.TestServiceStub streaming;
  private static ManagedChannel channel;

  /** A case; it throws where it does not hold. */
  private interface Case {
    void run() throws Exception;
  }

  /** The end of a stream, and its replies. */
  private static final class Replies<Q, R> implements ClientResponseObserver<Q, R> {
    final List<R> all = new ArrayList<>();
    final CountDownLatch ended = new CountDownLatch(1);
    volatile Status status = Status.OK;
    ClientCallStreamObserver<Q> requests;
    Runnable next = () -> {};

    @Override
    public void beforeStart(ClientCallStreamObserver<Q> stream) {
      requests = stream;
    }

    @Override
    public void onNext(R reply) {
      all.add(reply);
      next.run();
    }

    @Override
    public void onError(Throwable error) {
      status = Status.fromThrowable(error);
      ended.countDown();
    }

    @Override
    public void onCompleted() {
      ended.countDown();
    }

    Status await() throws InterruptedException {
      check(ended.await(LONG_S, TimeUnit.SECONDS), "the call has not ended");
      return status;
    }
  }

  private static void check(boolean holds, Object otherwise) {
    if (!holds) {
      throw new AssertionError(otherwise);
    }
  }

  private static void same(Object seen, Object expected) {
    check(expected.equals(seen), seen + " is not " + expected);
  }

  private static Payload zeros(int size) {
    return Payload.newBuilder().setBody(ByteString.copyFrom(new byte[size])).build();
  }

  private static SimpleRequest.Builder large() {
    return SimpleRequest.newBuilder().setResponseSize(REPLY_BYTES).setPayload(zeros(REQUEST_BYTES));
  }

  private static BoolValue bool(boolean value) {
    return BoolValue.newBuilder().setValue(value).build();
  }

  private static StreamingOutputCallRequest output(int size, int requestSize) {
    return StreamingOutputCallRequest.newBuilder()
        .addResponseParameters(ResponseParameters.newBuilder().setSize(size))
        .setPayload(zeros(requestSize))
        .build();
  }

  private static void isLarge(SimpleResponse reply) {
    same(reply.getPayload().getBody(), ByteString.copyFrom(new byte[REPLY_BYTES]));
  }

  private static List<Integer> sizes(List<StreamingOutputCallResponse> replies) {
    List<Integer> found = new ArrayList<>();
    replies.forEach(reply -> found.add(reply.getPayload().getBody().size()));
    return found;
  }

  private static TestServiceGrpc.TestServiceBlockingStub once() {
    return blocking.withDeadlineAfter(LONG_S, TimeUnit.SECONDS);
  }

  private static Status failure(Case call) throws Exception {
    try {
      call.run();
    } catch (StatusRuntimeException error) {
      return error.getStatus();
    }
    throw new AssertionError("the call has not failed");
  }

  private static Replies<StreamingOutputCallRequest, StreamingOutputCallResponse> duplex(
      TestServiceGrpc.TestServiceStub stub, StreamingOutputCallRequest... requests) {
    Replies<StreamingOutputCallRequest, StreamingOutputCallResponse> replies = new Replies<>();
    StreamObserver<StreamingOutputCallRequest> call = stub.fullDuplexCall(replies);
    Arrays.stream(requests).forEach(call::onNext);
    call.onCompleted();
    return replies;
  }

  private static int gathered(TestServiceGrpc.TestServiceStub stub, List<Integer> sizes) throws Exception {
    Replies<StreamingInputCallRequest, StreamingInputCallResponse> replies = new Replies<>();
    StreamObserver<StreamingInputCallRequest> call = stub.streamingInputCall(replies);
    for (int size : sizes) {
      call.onNext(StreamingInputCallRequest.newBuilder().setPayload(zeros(size)).build());
    }
    call.onCompleted();
    same(replies.await().getCode(), Status.Code.OK);
    return replies.all.get(0).getAggregatedPayloadSize();
  }

  private static void echoed(String words) throws Exception {
    EchoStatus status = EchoStatus.newBuilder().setCode(2).setMessage(words).build();
    Status unary = failure(() -> once().unaryCall(SimpleRequest.newBuilder().setResponseStatus(status).build()));
    Status stream =
        duplex(streaming, StreamingOutputCallRequest.newBuilder().setResponseStatus(status).build()).await();
    for (Status seen : List.of(unary, stream)) {
      same(seen.getCode(), Status.Code.UNKNOWN);
      same(seen.getDescription(), words);
    }
  }

  private static void pingPong() throws Exception {
    Replies<StreamingOutputCallRequest, StreamingOutputCallResponse> replies = new Replies<>();
    replies.next =
        () -> {
          int sent = replies.all.size();
          if (sent < STREAM_REPLIES.size()) {
            replies.requests.onNext(output(STREAM_REPLIES.get(sent), STREAM_REQUESTS.get(sent)));
          } else {
            replies.requests.onCompleted();
          }
        };
    streaming.fullDuplexCall(replies);
    replies.next.run();
    same(replies.await().getCode(), Status.Code.OK);
    same(sizes(replies.all), STREAM_REPLIES);
  }

  private static void customMetadata() throws Exception {
    Metadata.Key<String> initial = Metadata.Key.of("x-grpc-test-echo-initial", Metadata.ASCII_STRING_MARSHALLER);
    Metadata.Key<byte[]> trailing =
        Metadata.Key.of("x-grpc-test-echo-trailing-bin", Metadata.BINARY_BYTE_MARSHALLER);
    byte[] bytes = {(byte) 0xab, (byte) 0xab, (byte) 0xab};
    Metadata sent = new Metadata();
    sent.put(initial, "test_initial_metadata_value");
    sent.put(trailing, bytes);
    for (boolean unary : new boolean[] {true, false}) {
      AtomicReference<Metadata> headers = new AtomicReference<>();
      AtomicReference<Metadata> trailers = new AtomicReference<>();
      io.grpc.ClientInterceptor[] both = {
        MetadataUtils.newAttachHeadersInterceptor(sent), MetadataUtils.newCaptureMetadataInterceptor(headers, trailers)
      };
      if (unary) {
        isLarge(once().withInterceptors(both).unaryCall(large().build()));
      } else {
        var replies = duplex(streaming.withInterceptors(both), output(REPLY_BYTES, REQUEST_BYTES));
        same(replies.await().getCode(), Status.Code.OK);
      }
      same(headers.get().get(initial), "test_initial_metadata_value");
      check(Arrays.equals(trailers.get().get(trailing), bytes), "the trailing metadata");
    }
  }

  private static Map<String, Case> cases() {
    Map<String, Case> cases = new LinkedHashMap<>();
    cases.put("empty_unary", () -> same(once().emptyCall(Empty.getDefaultInstance()), Empty.getDefaultInstance()));
    cases.put("large_unary", () -> isLarge(once().unaryCall(large().build())));
    cases.put(
        "client_compressed_unary",
        () -> {
          isLarge(once().withCompression("gzip").unaryCall(large().setExpectCompressed(bool(true)).build()));
          isLarge(once().unaryCall(large().setExpectCompressed(bool(false)).build()));
        });
    cases.put(
        "server_compressed_unary",
        () -> {
          isLarge(once().unaryCall(large().setResponseCompressed(bool(true)).build()));
          isLarge(once().unaryCall(large().setResponseCompressed(bool(false)).build()));
        });
    cases.put("client_streaming", () -> same(gathered(streaming, STREAM_REQUESTS), 74_922));
    cases.put(
        "client_compressed_streaming",
        () -> {
          Replies<StreamingInputCallRequest, StreamingInputCallResponse> replies = new Replies<>();
          streaming.withCompression("gzip").streamingInputCall(replies);
          for (int size : List.of(27_182, 45_904)) {
            replies.requests.setMessageCompression(size == 27_182);
            replies.requests.onNext(StreamingInputCallRequest.newBuilder().setPayload(zeros(size)).build());
          }
          replies.requests.onCompleted();
          same(replies.await().getCode(), Status.Code.OK);
          same(replies.all.get(0).getAggregatedPayloadSize(), 73_086);
        });
    cases.put(
        "server_streaming",
        () -> {
          StreamingOutputCallRequest.Builder request = StreamingOutputCallRequest.newBuilder();
          STREAM_REPLIES.forEach(size -> request.addResponseParametersBuilder().setSize(size));
          List<StreamingOutputCallResponse> replies = new ArrayList<>();
          once().streamingOutputCall(request.build()).forEachRemaining(replies::add);
          same(sizes(replies), STREAM_REPLIES);
        });
    cases.put(
        "server_compressed_streaming",
        () -> {
          StreamingOutputCallRequest.Builder request = StreamingOutputCallRequest.newBuilder();
          request.addResponseParametersBuilder().setSize(31_415).setCompressed(bool(true));
          request.addResponseParametersBuilder().setSize(92_653).setCompressed(bool(false));
          List<StreamingOutputCallResponse> replies = new ArrayList<>();
          once().streamingOutputCall(request.build()).forEachRemaining(replies::add);
          same(sizes(replies), List.of(31_415, 92_653));
        });
    cases.put("ping_pong", Client::pingPong);
    cases.put(
        "empty_stream",
        () -> {
          var replies = duplex(streaming);
          same(replies.await().getCode(), Status.Code.OK);
          check(replies.all.isEmpty(), "a reply");
        });
    cases.put("custom_metadata", Client::customMetadata);
    cases.put("status_code_and_message", () -> echoed("test status message"));
    cases.put("special_status_message", () -> echoed(SPECIAL));
    cases.put(
        "unimplemented_method",
        () ->
            same(
                failure(() -> once().unimplementedCall(Empty.getDefaultInstance())).getCode(),
                Status.Code.UNIMPLEMENTED));
    cases.put(
        "unimplemented_service",
        () ->
            same(
                failure(
                        () ->
                            UnimplementedServiceGrpc.newBlockingStub(channel)
                                .unimplementedCall(Empty.getDefaultInstance()))
                    .getCode(),
                Status.Code.UNIMPLEMENTED));
    cases.put(
        "cancel_after_begin",
        () -> {
          Replies<StreamingInputCallRequest, StreamingInputCallResponse> replies = new Replies<>();
          streaming.streamingInputCall(replies);
          replies.requests.cancel("changed its mind", null);
          same(replies.await().getCode(), Status.Code.CANCELLED);
        });
    cases.put(
        "cancel_after_first_response",
        () -> {
          Replies<StreamingOutputCallRequest, StreamingOutputCallResponse> replies = new Replies<>();
          replies.next = () -> replies.requests.cancel("has enough", null);
          streaming.fullDuplexCall(replies);
          replies.requests.onNext(output(STREAM_REPLIES.get(0), STREAM_REQUESTS.get(0)));
          same(replies.await().getCode(), Status.Code.CANCELLED);
          same(sizes(replies.all), STREAM_REPLIES.subList(0, 1));
        });
    cases.put(
        "timeout_on_sleeping_server",
        () -> {
          Replies<StreamingOutputCallRequest, StreamingOutputCallResponse> replies = new Replies<>();
          streaming.withDeadlineAfter(1, TimeUnit.MILLISECONDS).fullDuplexCall(replies);
          same(replies.await().getCode(), Status.Code.DEADLINE_EXCEEDED);
        });
    cases.put(
        "rpc_soak",
        () -> {
          for (int count = 0; count < 50; count++) {
            isLarge(once().unaryCall(large().build()));
          }
        });
    return cases;
  }

  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    channel = NettyChannelBuilder.forAddress("127.0.0.1", port).usePlaintext().build();
    blocking = TestServiceGrpc.newBlockingStub(channel);
    streaming = TestServiceGrpc.newStub(channel);
    Map<String, Case> cases = cases();
    for (String name : Arrays.asList(arguments).subList(1, arguments.length)) {
      cases.get(name).run();
      System.out.println(name);
    }
    channel.shutdownNow();
    System.exit(0);
  }

  private Client() {}
}
