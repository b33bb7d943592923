# SPDX-License-Identifier: GPL-3.0-or-later
"""Retraining with two jobs that publish real folders of small files; as a script, in two ways.

`run STORE [BYTES]` runs it once and speaks a line at each step. `kill FOLDER` runs it again and again, each time in a
store and a process of its own that kills itself (SIGKILL) at the first, the second, the third... thing it does to the
disk, until one lives to the end; each killed store is looked at, run again, and looked at again.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from export.data import catalogue
from export.publishing import publish
from export.publishing.publish import Manifest, Published, RefusedError
from export.retraining.consensus import NOTHING, Consensus
from export.retraining.ledger import Ledger
from export.retraining.run import Job, Task, retrain
from tests.trained import quiet

MODELS = ("neo_anomaly", "neo_classifier")
CATALOGUE = catalogue.synthetic(rows=300, seed=5)
# Whatever changes names or contents (https://docs.python.org/3/library/audit_events.html).
TOUCHES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "shutil.rmtree", "tempfile.mkdtemp"})


def job(name: str, *, size: int = 100, refusal: str = "", recipe: int = 1) -> Job:
    """Publishes one file beside a manifest, or is refused."""

    def do(task: Task) -> Published:
        task.progress(f"training {name}", 0.5)
        data = {"kind": "synthetic", "description": task.catalogue.provenance.description}
        details = {"retraining": dict(task.used)}
        manifest = Manifest(name, task.version, "dummy", publish.created_utc(), data, {"rows": 1.0}, {}, details)

        def refuse(folder: Path) -> None:
            if refusal:
                raise RefusedError(refusal)
            task.progress(f"checking {folder.name}", 1.0)

        with publish.staged_version(task.into, name, task.version, checks=[refuse]) as folder:
            task.progress(f"writing {name}", 0.6)
            (folder / "weights").write_bytes(b"w" * size)
            (folder / "manifest.json").write_text(manifest.to_json())
        task.progress(f"published {name}", 1.0)
        return Published(task.into / name / str(task.version), manifest)

    return Job(name, {"size": size, "recipe": recipe}, do)


def jobs(**settings):
    return [job(name, **settings) for name in MODELS]


def run(store: Path, consensus: Consensus = NOTHING, progress=quiet, **settings):
    return retrain(store, CATALOGUE, consensus, jobs(**settings), progress)


def challengers(store: Path) -> dict[str, list[int]]:
    return {name: publish.versions(store / "challengers", name) for name in MODELS}


def kill_at(number: int, store: Path) -> bool:
    """Run in a process that kills itself at its n-th touch of the disk; whether it did."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    touches = 0

    def count(event: str, arguments) -> None:
        nonlocal touches
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in TOUCHES or writes:
            touches += 1
            if touches == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    run(store)
    os._exit(0)


def kill_everywhere(folder: Path) -> int:
    """Says at how many points it was killed."""
    number = 1
    while kill_at(number, store := folder / str(number)):
        for name, versions in challengers(store).items():
            for version in versions:
                publish.verify(store / "challengers" / name / str(version))
        before = Ledger(store)
        begun, last = before.under_way(), before.last()
        done, worked = run(store)
        assert worked == (last is None), number
        assert begun is None or begun.run_id == done.run_id, number
        assert challengers(store) == {name: [done.run_id] for name in MODELS}, number
        assert set(done.results) == set(MODELS), number
        assert not list(store.rglob(".*staging*")), number
        assert Ledger(store).under_way() is None, number
        assert run(store)[1] is False, number
        number += 1
    return number - 1


def speak(what: str, fraction: float) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()
    time.sleep(0.1)


def main(way: str, folder: str, size: str = "100") -> int:
    if way == "kill":
        speak(json.dumps({"points": kill_everywhere(Path(folder))}), 1.0)
        return 0
    try:
        run(Path(folder), progress=speak, size=int(size))
    except OSError as error:
        speak(f"failed: {error}", 1.0)
        return 1
    speak("done", 1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
