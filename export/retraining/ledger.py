# SPDX-License-Identifier: GPL-3.0-or-later
"""What retraining remembers between runs: `<store>/retraining/`, and the lock that keeps two runs apart.

    lock             held (flock) while a run is under way; it goes with its process, however that ends
    under-way.json   the plan of the run under way, and the models it is done with
    runs/<id>.json   the record of each finished run, and <id>.md the same for people
    last.json        the last finished run: written last, so that a run which was killed is not yet in it

Each file is written beside and renamed. A run that finds the plan of a killed one with the same inputs goes on with it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from export.errors import ExportError
from export.files import write_durably

FOLDER: Final = "retraining"


class BusyError(ExportError):
    """Another run holds the lock."""


class LedgerError(ExportError):
    """A file of the ledger cannot be read."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one model in a run.

    Attributes:
        version: of the challenger.
        refused: why it was not published; empty where it was.
        said: what gates and training said on the way.
    """

    version: int
    refused: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of retraining.

    Attributes:
        run_id: UTC yyyymmddHHMMSS of its begin, and the version number of its challengers.
        inputs: what it works on; the same inputs are never worked on twice.
        extraction_id: of the consensus it works with; empty where there is none.
        consensus: designations by what was done about them, see `export.retraining.consensus.noted`.
        results: by model, of those it is done with.
        finished_utc: ISO 8601; empty while it is under way.
    """

    run_id: int
    inputs: dict[str, Any]
    extraction_id: str = ""
    consensus: dict[str, list[str]] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    finished_utc: str = ""

    def with_result(self, name: str, result: Result) -> "Run":
        """The same run, done with one more model."""
        return replace(self, results={**self.results, name: result})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Run":
        """From what `asdict` and JSON made of one."""
        results = {
            name: Result(int(said["version"]), str(said["refused"]), tuple(said["said"]))
            for name, said in content["results"].items()
        }
        consensus = {kind: list(names) for kind, names in content["consensus"].items()}
        return cls(
            int(content["run_id"]),
            dict(content["inputs"]),
            str(content["extraction_id"]),
            consensus,
            results,
            str(content["finished_utc"]),
        )


class Ledger:
    """The folder of one store."""

    def __init__(self, store: Path) -> None:
        self.folder = store / FOLDER
        self.checkpoints = self.folder / "checkpoints"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only run of this store while entered.

        Raises:
            BusyError: another process holds the lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(f"another run of retraining is under way: it holds {self.folder / 'lock'}") from error
            yield
        finally:
            os.close(descriptor)

    def last(self) -> Run | None:
        """The last finished run."""
        return self._read("last.json")

    def under_way(self) -> Run | None:
        """The run that was begun and not finished."""
        return self._read("under-way.json")

    def note(self, run: Run) -> None:
        """Write down how far a run is."""
        write_durably(self.folder / "under-way.json", _text(run))

    def finish(self, run: Run, report: str) -> None:
        """Write down that a run is over, and its report; what it had in hand is forgotten."""
        text = _text(run)
        write_durably(self.folder / "runs" / f"{run.run_id}.md", report)
        write_durably(self.folder / "runs" / f"{run.run_id}.json", text)
        write_durably(self.folder / "last.json", text)
        self.forget()

    def forget(self) -> None:
        """Drop the plan of a run that is over or given up."""
        (self.folder / "under-way.json").unlink(missing_ok=True)

    def runs(self) -> list[Run]:
        """Every finished run, oldest first."""
        names = sorted(path.name for path in (self.folder / "runs").glob("*.json"))
        return [run for name in names if (run := self._read(f"runs/{name}")) is not None]

    def _read(self, name: str) -> Run | None:
        path = self.folder / name
        try:
            return Run.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LedgerError(f"{path} cannot be read ({error}): look at it, and remove it to begin anew") from error


def _text(run: Run) -> str:
    return json.dumps(asdict(run), indent=2, sort_keys=True) + "\n"
