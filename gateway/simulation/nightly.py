# SPDX-License-Identifier: GPL-3.0-or-later
"""One shard of a whole catalogue: `python -m gateway simulation --shard i/n --catalogue FILE --output FOLDER`.

The catalogue has one `NearEarthObject` a line, in proto3 JSON; shard i of n takes the lines whose number modulo n is i,
so that neighbours, which are alike, go to different shards. Each becomes one line of JSON: its MOID and its encounters,
and where its orbit has an uncertainty, its impact estimate; or what was refused about it. What is done is kept: a shard
that is begun again goes on after its last whole line, if it is still the same question about the same file.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from google.protobuf import json_format

from gateway.serving.errors import FieldViolation, InvalidRequest, OutsideEphemeris
from gateway.serving.logs import configure
from gateway.serving.turns import complete
from gateway.simulation import moids
from gateway.simulation.decode import read_scenario
from gateway.simulation.encode import result_message
from gateway.simulation.impact.decode import read_question
from gateway.simulation.impact.encode import estimate_message
from gateway.simulation.impact.estimate import estimate
from gateway.simulation.impact.question import Estimate
from gateway.simulation.jobs import Job
from gateway.simulation.settings import KernelSettings
from gateway.simulation.simulate import simulate
from orrery.inference import v1

log = structlog.get_logger()

_DEFAULT_DAYS: Final = 3_652.5
_DEFAULT_SAMPLES: Final = 2_000
_SHARD: Final = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count`, from 0."""

    index: int
    count: int

    @classmethod
    def of(cls, text: str) -> "Shard":
        """As it is written: "3/100".

        Raises:
            ValueError: it is no such thing.
        """
        match = _SHARD.fullmatch(text)
        if match is None or not int(match[1]) < int(match[2]):
            raise ValueError(f"{text!r} is not i/n with i from 0 to n - 1")
        return cls(int(match[1]), int(match[2]))

    @property
    def file_name(self) -> str:
        """Of its results."""
        return f"shard-{self.index:05d}-of-{self.count:05d}.jsonl"


@dataclass(frozen=True, slots=True)
class Night:
    """What is asked about every object: days of encounters after its epoch, and clones drawn at most."""

    days: float
    samples: int
    asteroid_kernel: Path | None


class Here:
    """Runs jobs in this process, one after the other."""

    async def run_all(self, jobs: Iterable[Job[Any, Any]]) -> AsyncGenerator[tuple[int, Any], None]:
        """As `gateway.simulation.pool.Request` does."""
        for number, job in enumerate(jobs):
            updates: list[Any] = []
            result = job(updates.append, lambda: False)
            for message in (*updates, result):
                yield number, message


def run(catalogue: Path, output: Path, shard: Shard, night: Night) -> Path:
    """Do one shard, or what is left of it.

    Args:
        catalogue: JSON lines.
        output: folder of the results.
        shard: which lines.
        night: what is asked.

    Returns:
        The file of results, complete.

    Raises:
        OSError: a file cannot be read or written.
    """
    done = output / shard.file_name
    head: dict[str, Any] = {"catalogue_sha256": _sha256(catalogue), "shard": f"{shard.index}/{shard.count}"}
    head |= {"days": night.days, "samples": night.samples, "asteroids": night.asteroid_kernel is not None}
    if done.exists() and _head_of(done) == head:
        log.info("this shard is done", file=str(done))
        return done
    output.mkdir(parents=True, exist_ok=True)
    part = done.with_suffix(".part")
    rows = _resume(part, head)
    with part.open("a", encoding="utf-8") as lines:
        if not part.stat().st_size:
            _write(lines, head)
        for row, text in _own_lines(catalogue, shard):
            if row not in rows:
                _write(lines, {"row": row, **answer(text, night)})
    part.replace(done)
    _sync_folder(output)
    log.info("this shard is done", file=str(done), found_done=len(rows))
    return done


def answer(text: str, night: Night) -> dict[str, Any]:
    """What is found out about one line of a catalogue, or why it is refused."""
    try:
        item = json_format.Parse(text, v1.NearEarthObject())
    except json_format.ParseError as error:
        return {"refused": [{"field": "", "description": str(error)}]}
    try:
        found = _found(item, night)
    except InvalidRequest as refusal:
        return {"designation": item.designation, "refused": [_complaint(violation) for violation in refusal.violations]}
    except OutsideEphemeris as refusal:
        return {"designation": item.designation, "refused": [_complaint(refusal.violation)]}
    except RuntimeError as error:
        return {"designation": item.designation, "failed": str(error)}
    return {"designation": item.designation, **found}


def _found(item: v1.NearEarthObject, night: Night) -> dict[str, Any]:
    moid = complete(moids.answer_rows(v1.ComputeMoidRequest(objects=[item]))).objects[0].moids[0]
    asked = v1.SimulateRequest(scenario=v1.Scenario(object=item, duration_days=night.days))
    scenario = read_scenario(asked, night.asteroid_kernel)
    result = result_message(scenario, simulate(scenario, lambda _: None))
    found = {
        "earth_moid_au": moid.distance_au,
        "encounters": [_as_json(approach) for approach in result.baseline],
        "notes": list(result.notes),
    }
    if item.uncertainty.WhichOneof("uncertainty") is not None:
        found["impact"] = asyncio.run(_impact(item, night))
    return found


async def _impact(item: v1.NearEarthObject, night: Night) -> dict[str, Any]:
    covariance = item.uncertainty.covariance.epoch_tdb_jd
    epoch_tdb_jd = covariance or (item.state.epoch_tdb_jd or item.elements.epoch_tdb_jd)
    request = v1.EstimateImpactRequest(
        object=item, window=v1.ImpactWindow(end_tdb_jd=epoch_tdb_jd + night.days), samples=night.samples
    )
    question = read_question(request, night.asteroid_kernel)
    last = None
    async with contextlib.aclosing(estimate(question, Here())) as updates:
        async for update in updates:
            if isinstance(update, Estimate):
                last = update
    if last is None:
        raise RuntimeError("an impact estimate ended without an answer")
    return _as_json(estimate_message(question, last))


def _as_json(message: Any) -> dict[str, Any]:
    named: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return named


def _complaint(violation: FieldViolation) -> dict[str, str]:
    return {"field": violation.path, "description": violation.description}


def _own_lines(catalogue: Path, shard: Shard) -> Iterator[tuple[int, str]]:
    """Lines of the shard with their numbers, from 0; empty ones count and are left out."""
    with catalogue.open(encoding="utf-8") as lines:
        for row, line in enumerate(lines):
            if row % shard.count == shard.index and line.strip():
                yield row, line


def _resume(part: Path, head: dict[str, Any]) -> set[int]:
    """The rows that are done; what a crash left of a line is cut off, and so is everything of another question."""
    if not part.exists():
        part.touch()
        return set()
    kept, rows = 0, set()
    with part.open("rb") as lines:
        for number, line in enumerate(lines):
            try:
                content = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                content = None
            if content is None or (number == 0 and content != head):
                break
            kept += len(line)
            if number:
                rows.add(int(content["row"]))
    os.truncate(part, kept)
    return rows


def _head_of(done: Path) -> Any:
    with done.open(encoding="utf-8") as lines:
        return json.loads(lines.readline() or "null")


def _write(lines: Any, content: dict[str, Any]) -> None:
    """One line, on the disk when this returns: a night is too long to lose."""
    lines.write(json.dumps(content, allow_nan=False) + "\n")
    lines.flush()
    os.fsync(lines.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def main(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> None:
    """Compute one shard; exits with 2 where the arguments make no sense."""
    parser.usage = (
        f"{parser.prog} [-h] [--shard I/N --catalogue FILE --output FOLDER [--days DAYS] [--samples SAMPLES]]"
    )
    parser.add_argument("--shard", required=True, help="i/n, i from 0 to n - 1")
    parser.add_argument("--catalogue", type=Path, required=True, help="JSON lines of NearEarthObject")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--days", type=float, default=_DEFAULT_DAYS, help="after each object's epoch")
    parser.add_argument("--samples", type=int, default=_DEFAULT_SAMPLES, help="clones an impact estimate draws at most")
    options = parser.parse_args(arguments)
    configure("nightly", "INFO")
    try:
        shard = Shard.of(options.shard)
        night = Night(options.days, options.samples, KernelSettings().asteroid_kernel)
        run(options.catalogue, options.output, shard, night)
    except (OSError, ValueError) as error:
        sys.exit(f"python -m gateway simulation: {error}")
