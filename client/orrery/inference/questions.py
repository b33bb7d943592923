# SPDX-License-Identifier: Apache-2.0
"""Questions of any size as calls within the contract's limits; written once, asked by threads and by asyncio alike.

A plan is a generator: it starts calls, yields each when its reply is wanted, is sent the reply (or thrown the
`InferenceError`), and returns the whole answer. Who runs it only waits. The first part of a question is asked alone;
the version of the model that answers it is asked for by number in all other parts, of which a few are under way at a
time. Rows keep their order. A part with wrong fields does not end the question: the other parts are asked too, so that
one error names the wrong fields of all.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from orrery.inference import methods, v1
from orrery.inference.errors import InferenceError, MixedVersionsError
from orrery.inference.methods import Method, Reply, Request
from orrery.inference.tables import Table, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

PARTS_UNDER_WAY: Final = 4
MAX_ROWS: Final = 1_000
MAX_DESIGNATIONS: Final = 100
# Half of what a message may hold: objects with covariances are large.
_MAX_ROWS_BYTES: Final = 8 * 1024 * 1024

Answer = TypeVar("Answer")


class Started(Protocol):
    """A call under way."""

    def cancel(self) -> object:
        """Nobody waits for it any more."""


class Starter(Protocol):
    """Starts calls."""

    def __call__(self, method: Method[Any, Any], request: Any, *, first_row: int = 0, alone: bool = False) -> Started:
        """Begin a call.

        Args:
            method: to call.
            request: its message.
            first_row: of the question, where the request holds a part of it.
            alone: the plan waits for it before it does anything else.
        """


Plan: TypeAlias = "Generator[Started, Any, Answer]"


def predict(
    start: Starter, objects: Iterable[v1.NearEarthObject], model: v1.ModelSelector | None
) -> Plan[v1.PredictResponse]:
    """Rows of prediction."""
    return _asked(start, methods.PREDICT, _rows(objects, lambda some: v1.PredictRequest(objects=some, model=model)))


def score_anomalies(
    start: Starter, objects: Iterable[v1.NearEarthObject], model: v1.ModelSelector | None, *, explain: bool
) -> Plan[v1.ScoreAnomaliesResponse]:
    """Rows of anomaly scores."""
    requests = _rows(objects, lambda some: v1.ScoreAnomaliesRequest(objects=some, model=model, explain=explain))
    return _asked(start, methods.SCORE_ANOMALIES, requests)


def compute_moid(
    start: Starter, objects: Iterable[v1.NearEarthObject], planets: Iterable[v1.Planet.ValueType], *, certify: bool
) -> Plan[v1.ComputeMoidResponse]:
    """Rows of MOIDs."""
    chosen = list(planets)
    requests = _rows(objects, lambda some: v1.ComputeMoidRequest(objects=some, planets=chosen, certify=certify))
    return _asked(start, methods.COMPUTE_MOID, requests)


def predict_columns(
    start: Starter, table: Table, model: v1.ModelSelector | None, *, definition: bool = True
) -> Plan[Any]:
    """Columns of prediction, in the table's form; without those of the definition if they are not wanted."""
    requests = (
        (row, v1.PredictColumnsRequest(orbits=part, model=model, without_definition=not definition))
        for row, part in parts_of(table)
    )
    return _tabled(table, _asked(start, methods.PREDICT_COLUMNS, requests))


def score_anomaly_columns(start: Starter, table: Table, model: v1.ModelSelector | None) -> Plan[Any]:
    """Columns of anomaly scores, in the table's form."""
    requests = ((row, v1.ScoreAnomalyColumnsRequest(orbits=part, model=model)) for row, part in parts_of(table))
    return _tabled(table, _asked(start, methods.SCORE_ANOMALY_COLUMNS, requests))


def compute_moid_columns(start: Starter, table: Table, planet: v1.Planet.ValueType, *, certify: bool) -> Plan[Any]:
    """Columns of MOIDs, in the table's form."""
    requests = (
        (row, v1.ComputeMoidColumnsRequest(orbits=part, planet=planet, certify=certify))
        for row, part in parts_of(table)
    )
    return _tabled(table, _asked(start, methods.COMPUTE_MOID_COLUMNS, requests))


def get_consensus(start: Starter, designations: Iterable[str]) -> Plan[v1.GetConsensusResponse]:
    """Rows of consensus."""
    rows = list(designations)
    # No objects make an empty request, for the servers to refuse.
    requests = (
        (row, v1.GetConsensusRequest(designations=rows[row : row + MAX_DESIGNATIONS]))
        for row in range(0, max(1, len(rows)), MAX_DESIGNATIONS)
    )
    return _asked(start, methods.GET_CONSENSUS, requests)


def simulate(start: Starter, scenario: v1.Scenario) -> Plan[v1.SimulationResult]:
    """One simulation."""
    reply = yield from single(start, methods.SIMULATE, v1.SimulateRequest(scenario=scenario))
    return reply.result


def single(start: Starter, method: Method[Request, Reply], request: Request) -> Plan[Reply]:
    """One call."""
    reply: Reply = yield start(method, request, alone=True)
    return reply


def pin(request: Any, version: int | None) -> None:
    """Ask for one version of the model, where there is a model."""
    if version is not None:
        request.model.version = version


def version_of(reply: Any) -> int | None:
    """Of the model that answered; None where there is no model."""
    return reply.model.version if "model" in reply.DESCRIPTOR.fields_by_name else None


def check_version(reply: Any, version: int | None) -> None:
    """Refuse the reply of another version than was asked for.

    Raises:
        MixedVersionsError: it is.
    """
    if version_of(reply) != version:
        raise MixedVersionsError(f"version {version_of(reply)} answered a part that was put to version {version}")


def _asked(start: Starter, method: Method[Request, Reply], requests: Iterator[tuple[int, Request]]) -> Plan[Reply]:
    """Ask all parts and join their replies, or, once a part was refused for its fields, their refusals.

    Raises:
        InferenceError: a part was refused or lost.
    """
    first_row, request = next(requests)
    under_way = deque([(first_row, start(method, request, first_row=first_row, alone=True))])
    version: int | None = None
    whole: Any = None
    refused: InferenceError | None = None
    try:
        while under_way:
            row, call = under_way.popleft()
            try:
                reply: Reply = yield call
            except InferenceError as refusal:
                refused = _refused(refused, refusal, row)
            else:
                if whole is None:
                    whole, version = reply, version_of(reply)
                elif refused is None:
                    check_version(reply, version)
                    whole.MergeFrom(reply)
            for first_row, request in requests:
                pin(request, version)
                under_way.append((first_row, start(method, request, first_row=first_row)))
                if len(under_way) == PARTS_UNDER_WAY:
                    break
    finally:
        for _, call in under_way:
            call.cancel()
    if refused is not None:
        raise refused
    return whole  # type: ignore[no-any-return]


def _refused(before: InferenceError | None, refusal: InferenceError, first_row: int) -> InferenceError:
    """The refusal of all parts so far.

    Args:
        before: the refusal of earlier parts, if any was refused.
        refusal: of this part.
        first_row: of this part.

    Raises:
        InferenceError: there is no use in asking the other parts.
    """
    if before is None:
        if not refusal.names_fields:
            raise refusal
        return refusal
    if not refusal.names_fields:
        before.add_note(f"rows from {first_row:,} on were not checked: {refusal}")
        raise before
    before.extend(refusal)
    return before


def _tabled(table: Table, plan: Plan[Any]) -> Plan[Any]:
    reply = yield from plan
    return table.answer(reply)


def _rows(
    objects: Iterable[v1.NearEarthObject], request_of: Callable[[list[v1.NearEarthObject]], Request]
) -> Iterator[tuple[int, Request]]:
    """Requests within the limits, each with its first row; no objects make an empty one, for the servers to refuse."""
    some: list[v1.NearEarthObject] = []
    first_row = size_bytes = 0
    for item in objects:
        item_bytes = item.ByteSize()
        if some and (len(some) == MAX_ROWS or size_bytes + item_bytes > _MAX_ROWS_BYTES):
            yield first_row, request_of(some)
            first_row += len(some)
            some, size_bytes = [], 0
        some.append(item)
        size_bytes += item_bytes
    if some or not first_row:
        yield first_row, request_of(some)
