# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bench [physics|step-control|anomaly|scale|impact]`: measure, print, and write docs/benchmarks/."""

import argparse
import datetime as dt
import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench import anomaly, impact, physics, pod, scale, step_control

_FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
_PACKAGES: Final = ("numpy", "rebound", "assist", "jplephem", "grpcio", "distlink-python")

_PHYSICS_INTRO: Final = """
Written by `make bench`. Contenders run in turns in one process, each once before it counts; medians of 3 to 7 with the
range. Where a machine is shared, ratios within a table say more than its milliseconds.
"""

_STEPS_INTRO: Final = """
Written by `python -m bench step-control`. Only the steps differ from the reference: same forces, same clock. Bold: what
is used. CPU time without the search for encounters, no asteroid kernel.

Mode 1 holds the last term of a step's own polynomial below epsilon of the acceleration (Rein & Spiegel 2015); mode 2
takes the step from time scales at the step's ends (Pham, Rein & Spiegel 2024). Real objects over ten years hardly tell
them apart: what remains after a deep encounter such as Apophis' of 2029 is rounding. Fast fly-bys do: a planet passed
within a step leaves no trace at its ends, and mode 2 loses up to hundreds of km there. With as many steps mode 1 loses
nothing. (FAST's simpler relativity alone puts it some 200 m from AUDIT after ten years, and thousands of km some years
after Apophis' encounter.)
"""


def _document(title: str, intro: str, sections: Mapping[str, Callable[[], str]]) -> str:
    parts = [f"# {title}", intro.strip(), _where()]
    for heading, measure in sections.items():
        text = f"## {heading}\n\n{measure()}"
        sys.stdout.write(text + "\n\n")
        sys.stdout.flush()
        parts.append(text)
    return "\n\n".join(parts) + "\n"


def _where() -> str:
    """When and on what, without naming the machine."""
    packages = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    today = dt.datetime.now(dt.UTC).date()
    load = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    return (
        f"{today}; {cores} cores ({platform.machine()}, {platform.system()}), load {load} at the start; "
        f"Python {platform.python_version()}, {packages}."
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("physics", "step-control", "anomaly", "scale", "impact"), default="physics"
    )
    what = parser.parse_args().what
    _FOLDER.mkdir(parents=True, exist_ok=True)
    if what == "physics":
        text = _document("Speed of the physics", _PHYSICS_INTRO, physics.SECTIONS | pod.SECTIONS)
        (_FOLDER / "physics.md").write_text(text, encoding="utf-8")
    elif what == "anomaly":
        text = _document("Speed of the anomaly pod", anomaly.INTRO, anomaly.SECTIONS)
        (_FOLDER / "anomaly.md").write_text(text, encoding="utf-8")
    elif what == "scale":
        text = _document("The cost of clones and of nights", scale.INTRO, scale.SECTIONS)
        (_FOLDER / "scale.md").write_text(text, encoding="utf-8")
    elif what == "impact":
        text = _document("Impact estimates", impact.INTRO, impact.SECTIONS)
        (_FOLDER / "impact.md").write_text(text, encoding="utf-8")
    else:
        sections = {"22 real objects over ten years": step_control.report, "Fly-bys": step_control.fly_bys}
        text = _document("Step control", _STEPS_INTRO, sections)
        (_FOLDER / "step-control.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
