# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client makes of servers that go, change their model in between, or break their word: real gRPC."""

import contextlib
from concurrent import futures

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_status import rpc_status

import orrery.inference
from gateway.serving.errors import FieldViolation, InvalidRequest, status_of
from orrery.inference import InferenceError, MixedVersionsError, methods, v1
from orrery.inference.channel import MAX_MESSAGE_BYTES
from orrery.inference.tables import PART_ROWS
from tests.both_clients import BOTH


class Made(v1.PredictionServiceServicer):
    """Answers with the versions it is told to, and remembers what was asked."""

    def __init__(self, versions=(1,), lost_after=None):
        self.asked = []
        self._versions = iter(versions)
        self._lost_after = lost_after
        self._latest = 0

    def PredictColumns(self, request, _context):  # noqa: N802  # the contract's name
        self._latest = next(self._versions, self._latest)
        self.asked.append((request.model.version, len(request.orbits.eccentricity)))
        return v1.PredictColumnsResponse(
            pha_probability=request.orbits.eccentricity, model=v1.ModelSpec(version=self._latest, version_label="x")
        )

    def StreamPredict(self, request_iterator, context):  # noqa: N802  # the contract's name
        for count, request in enumerate(request_iterator):
            if count == self._lost_after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            yield self.PredictColumns(request, context)

    def Predict(self, request, _context):  # noqa: N802  # the contract's name
        self.asked.append((request.model.version, len(request.objects)))
        return v1.PredictResponse(
            predictions=[v1.Prediction(designation=item.designation) for item in request.objects],
            model=v1.ModelSpec(version=3),
        )


@contextlib.contextmanager
def serving(made):
    server = grpc.server(
        futures.ThreadPoolExecutor(4), options=(("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),)
    )
    v1.add_PredictionServiceServicer_to_server(made, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def columns(count):
    return v1.OrbitColumns(epoch_tdb_jd=[1.0], eccentricity=[row / count for row in range(count)])


@pytest.fixture(params=BOTH)
def kind(request):
    return BOTH[request.param]


def test_all_parts_are_put_to_the_version_that_answered_the_first(kind):
    made = Made()
    count = 5 * PART_ROWS + 1
    with serving(made) as address, kind(address) as client:
        reply = client.predict_columns(columns(count))
    assert list(reply.pha_probability) == [row / count for row in range(count)]
    assert reply.model == v1.ModelSpec(version=1, version_label="x")
    assert made.asked[0] == (0, PART_ROWS)
    assert sorted(made.asked[1:]) == [(1, 1)] + [(1, PART_ROWS)] * 4


def test_another_version_within_one_answer_is_an_error(kind):
    refused = pytest.raises(MixedVersionsError, match="version 2 answered a part that was put to version 1")
    with serving(Made(versions=(1, 1, 2))) as address, kind(address) as client, refused:
        client.predict_columns(columns(4 * PART_ROWS))
    with serving(Made(versions=(1, 1, 2))) as address, kind(address) as client, pytest.raises(MixedVersionsError):
        list(client.stream_predict([columns(1)] * 9))


@pytest.mark.parametrize("lost_after", [0, 1, 3])
def test_a_lost_stream_goes_on_from_the_first_message_without_a_reply(kind, lost_after):
    with serving(Made(lost_after=lost_after)) as address, kind(address) as client:
        answers = list(client.stream_predict(columns(count) for count in range(1, 12)))
    assert [len(answer.pha_probability) for answer in answers] == list(range(1, 12))


class Strict(Made):
    """Refuses parts by their number: with a field of the first row, or as a server that is away."""

    def __init__(self, refused, away=None):
        super().__init__()
        self._refused = refused
        self._away = away

    def PredictColumns(self, request, context):  # noqa: N802  # the contract's name
        part = round(request.orbits.eccentricity[0])
        if part == self._away:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
        if part in self._refused:
            error = InvalidRequest([FieldViolation("orbits.eccentricity[0]", f"of part {part}")])
            context.abort_with_status(rpc_status.to_status(status_of(error, "")))
        return super().PredictColumns(request, context)


def numbered(parts):
    return v1.OrbitColumns(eccentricity=[part for part in range(parts) for _ in range(PART_ROWS)])


@pytest.mark.parametrize("refused", [{0}, {0, 6}, {3}, {2, 5, 6}])
def test_the_refusals_of_all_parts_are_one(kind, refused):
    with serving(Strict(refused)) as address, kind(address) as client, pytest.raises(InferenceError) as error:
        client.predict_columns(numbered(7))
    rows = [part * PART_ROWS for part in sorted(refused)]
    assert [violation.path for violation in error.value.violations] == [f"orbits.eccentricity[{row}]" for row in rows]
    assert isinstance(error.value.__cause__, grpc.RpcError)


def test_a_refusal_says_from_where_on_rows_were_not_checked(kind):
    with serving(Strict({1}, away=3)) as address, kind(address) as client, pytest.raises(InferenceError) as error:
        client.predict_columns(numbered(5))
    assert [violation.path for violation in error.value.violations] == [f"orbits.eccentricity[{PART_ROWS}]"]
    assert error.value.__notes__ == ["rows from 49,152 on were not checked: RESOURCE_EXHAUSTED: later"]


def test_a_stream_of_nothing_is_no_answer(kind):
    with serving(Made()) as address, kind(address) as client:
        assert list(client.stream_predict([])) == []


def test_the_tables_own_error_reaches_the_caller(kind):
    def tables():
        yield columns(1)
        raise LookupError("no more orbits")

    with serving(Made()) as address, kind(address) as client, pytest.raises(LookupError, match="no more orbits"):
        list(client.stream_predict(tables()))


def test_large_objects_make_smaller_messages(kind):
    made = Made()
    heavy = v1.Covariance(labels=["x" * 64] * 9, values=[1.5] * 4_000)
    objects = [
        v1.NearEarthObject(designation=str(row), uncertainty=v1.OrbitUncertainty(covariance=heavy))
        for row in range(600)
    ]
    with serving(made) as address, kind(address) as client:
        reply = client.predict(objects)
    assert [said.designation for said in reply.predictions] == [str(row) for row in range(600)]
    assert len(made.asked) == 3
    assert [version for version, _ in made.asked] == [0, 3, 3]


def test_a_gateway_that_is_away_is_an_inference_error(kind):
    with kind("127.0.0.1:9") as client:
        for ask in (lambda: client.predict_columns(columns(1)), lambda: list(client.stream_predict([columns(1)]))):
            with pytest.raises(InferenceError) as refusal:
                ask()
            assert refusal.value.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.value.request_id == ""


def test_the_table_of_methods_is_the_contract():
    listed = {method.path: method for method in vars(methods).values() if isinstance(method, methods.Method)}
    pool = descriptor_pool.Default()
    described = {}
    for name in ("Prediction", "Anomaly", "Simulation", "Feedback"):
        service = pool.FindServiceByName(f"orrery.inference.v1.{name}Service")
        for method in service.methods:
            sides = ("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))
            described[f"/{service.full_name}/{method.name}"] = ("_".join(sides), method.input_type, method.output_type)
    assert {
        path: (method.kind, method.request.DESCRIPTOR, method.reply.DESCRIPTOR) for path, method in listed.items()
    } == described


def test_what_is_public():
    public = {name for name in vars(orrery.inference) if not name.startswith("_")}
    modules = {
        "aio",
        "arrays",
        "calling",
        "channel",
        "client",
        "errors",
        "frames",
        "methods",
        "questions",
        "repeating",
        "tables",
        "v1",
    }
    assert public - modules == {
        "AsyncInferenceClient",
        "FieldViolation",
        "InferenceClient",
        "InferenceError",
        "MixedVersionsError",
        "SERVICE_CONFIG",
        "Tls",
        "UnsafeTokenError",
        "open_async_channel",
        "open_channel",
    }
