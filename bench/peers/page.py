# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/benchmarks/peers.md from the results of all sessions."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import grpc

from bench.gateway import REPEATS
from bench.peers.contenders import PEERS
from bench.peers.environments import network_difference
from bench.peers.loads import (
    DIRECT,
    DISTINCT,
    ECHO,
    FRONT,
    FRONT_OPEN,
    LOADS,
    OURS,
    RESULTS,
    SECONDS,
    TOLERANCE,
    Load,
)
from bench.peers.wire import CLASSIFIER
from bench.tables import markdown
from gateway.serving.settings import PROJECT_ROOT

PAGE: Final = PROJECT_ROOT / "docs" / "benchmarks" / "peers.md"

Session = Mapping[str, Any]

_WHAT: Final = f"""
The peers serve two ONNX graphs on onnxruntime, one thread a session: the newest published network with its features
inside, converted by tf2onnx (largest difference from the SavedModel: {{difference}}), and the published fused forest.
All take (N, 6) float64 elements and give the same numbers. Ours runs the network from the SavedModel on TensorFlow, one
thread an operation, and the same forest on onnxruntime, one thread a session.
TensorFlow Serving itself, for which our model server stands in, is no package of PyPI's and is not measured.

- **Direct** is the embedded model server by TensorFlow Serving's protocol, and the anomaly pod by our own API. The
  model server checks what the peers check, types and shapes; the pod checks every value, and adds percentile, verdict
  and tags.
- **Through the front** is what users call: the front checks every value, merges calls to the model server, and adds
  to the network's answer the exact rule's (MOID, H, orbit class); it forwards calls to the anomaly pod. Its cache is
  off. That is a second process on the way, on the same two cores.
- **Through the front, Open Inference Protocol** is asked with the very bytes that Triton, MLServer and KServe get;
  values are checked, calls to the classifier are merged, the exact rule is left out.
- **The echo** is a bare grpc.aio server that returns the request of the Open Inference Protocol: the most that gRPC's
  own server for Python gives this load generator. Ours is another one, and can pass it.

All processes and the load generator share the cores: what a server leaves idle, the generator has. The generator is
one asyncio process (grpc.aio, or aiohttp for those with HTTP only); it goes through {{distinct}} orbits and compares
each reply's numbers with the graphs' to {TOLERANCE:g}; a status other than OK, or a wrong number, ends the run. Within
a session a peer's variants, ours and the echo take turns: {REPEATS} runs of {SECONDS:g} s each after one to warm up.
Compare ratios, which are taken within a session, before rates. "Direct of it", "front of it": our rate over the peer's;
above 1, ours is quicker.
"""


def write() -> Path:
    """Write the page.

    Raises:
        FileNotFoundError: there are no results.
    """
    sessions = {name: _session(name) for name in PEERS if (RESULTS / f"{name}.json").exists()}
    if not sessions:
        raise FileNotFoundError(f"{RESULTS} holds no results: python -m bench.peers measure")
    PAGE.write_text(page(sessions, network_difference()), encoding="utf-8")
    return PAGE


def page(sessions: Mapping[str, Session], difference: str) -> str:
    """The whole page.

    Args:
        sessions: by the peer's name; what `measuring.measure` wrote.
        difference: of the converted network from the published one.
    """
    parts = [
        "# Other model servers under the same load",
        _where(sessions),
        _WHAT.format(difference=difference, distinct=DISTINCT).strip(),
        "## In short",
        short(sessions).strip(),
        unrest(sessions),
        "## Versions and settings",
        _settings(sessions).strip(),
    ]
    for load in LOADS:
        parts += [f"## {_title(load)}", rates(load, sessions).strip()]
    parts += ["## Where a peer is quicker, and why", quicker(sessions), "## What each does", _does(sessions)]
    return "\n\n".join(parts) + "\n"


def rates(load: Load, sessions: Mapping[str, Session]) -> str:
    """The table of a load: every variant beside ours of its own session; then ours and the echo over all sessions."""
    ours_of_it = ("direct of it", "front of it", "front, Open Inference, of it")
    header = ("", "calls/s, median", "range", "of the echo", *ours_of_it)
    rows = []
    for name, session in sessions.items():
        found = session["rates"][load.key]
        for variant in (each.name for each in PEERS[name].variants if each.name in found):
            ratios = [_ratio(found[ours], found[variant]) for ours in OURS]
            rows.append((variant, *_spread(found[variant]), _ratio(found[variant], found[ECHO]), *ratios))
    for ours in (*OURS, ECHO):
        pooled = [rate for session in sessions.values() for rate in session["rates"][load.key][ours]]
        echoes = [rate for session in sessions.values() for rate in session["rates"][load.key][ECHO]]
        rows.append((f"*{ours}*", *_spread(pooled), _ratio(pooled, echoes), "", "", ""))
    return markdown(header, rows)


def short(sessions: Mapping[str, Session]) -> str:
    """Ours over each peer's best variant, direct and through the front, at every load."""
    rows = []
    for name, session in sessions.items():
        cells = []
        for load in LOADS:
            found = session["rates"][load.key]
            best = _best(name, found)
            cells.append(f"{_ratio(found[DIRECT], best)} / {_ratio(found[FRONT], best)}")
        rows.append((PEERS[name].name, *cells))
    intro = (
        "Our rate over that of the peer's best variant, direct / through the front with all that it adds; above 1, "
        "ours is quicker. Columns: objects a call x concurrency."
    )
    heads = [f"{_model(load)} {load.rows:,} x {load.concurrency}" for load in LOADS]
    return f"{intro}\n\n{markdown(('', *heads), rows)}"


def unrest(sessions: Mapping[str, Session]) -> str:
    """How far the echo, which never changes, went apart within one load of each session."""
    apart = {
        PEERS[name].name: max(max(found[ECHO]) / min(found[ECHO]) for found in session["rates"].values())
        for name, session in sessions.items()
    }
    said = ", ".join(f"{name} {ratio:.1f}" for name, ratio in apart.items())
    return (
        "How quiet the machine was: the quickest run of the echo over its slowest, in the load where they were "
        f"farthest apart, by session: {said}. Ratios of an unquiet session are the less to be trusted."
    )


def quicker(sessions: Mapping[str, Session]) -> str:
    """A line for each peer that beats ours anywhere, by more than the spread: no run of it below our median."""
    lines = []
    for name, session in sessions.items():
        peer = PEERS[name]
        beaten: dict[str, list[str]] = {DIRECT: [], FRONT: [], FRONT_OPEN: []}
        for load in LOADS:
            found = session["rates"][load.key]
            best = _best(name, found)
            for ours, where in beaten.items():
                if min(best) > median(found[ours]):
                    where.append(f"{_short(load)} ({_ratio(best, found[ours])} times)")
        lines += [f"- **{peer.name}** beats {ours}: {'; '.join(where)}." for ours, where in beaten.items() if where]
        if any(beaten.values()):
            lines.append(f"  - Why: {peer.why[0].lower()}{peer.why[1:]}")
        else:
            lines.append(f"- **{peer.name}** nowhere.")
    intro = (
        "Its best variant against ours of the same session; named only where none of its runs was below our median. "
        "The factor is the peer's rate over ours."
    )
    return "\n".join([intro, "", *lines])


def _best(name: str, found: Mapping[str, list[float]]) -> list[float]:
    """The rates of a peer's variant with the highest median."""
    return max((found[each.name] for each in PEERS[name].variants if each.name in found), key=median)


def _session(name: str) -> Session:
    session: Session = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return session


def _where(sessions: Mapping[str, Session]) -> str:
    dates = sorted({session["date"] for session in sessions.values()})
    cores = sorted({session["cores"] for session in sessions.values()})
    before = [session["load_before"][0] for session in sessions.values()]
    missing = [peer.name for name, peer in PEERS.items() if name not in sessions]
    return (
        f"{', '.join(dates)}; {' or '.join(map(str, cores))} cores for all servers and the load generator; "
        f"load average {min(before):.1f} to {max(before):.1f} before each session; Python {sys.version.split()[0]}, "
        f"grpcio {grpc.__version__}. Written by `make bench-peers`"
        + (f"; not measured here: {', '.join(missing)}." if missing else ".")
    )


def _settings(sessions: Mapping[str, Session]) -> str:
    rows = []
    for name, session in sessions.items():
        peer = PEERS[name]
        said = dict(session["versions"])
        version = said.pop(peer.distribution)
        others = ", ".join(f"{library} {number}" for library, number in said.items())
        rows += [(f"{each.name} ({version})", peer.protocol.name, each.settings, others) for each in peer.variants]
    return markdown(("server (version)", "asked by", "settings", "with"), rows).replace("---:", "---")


def _does(sessions: Iterable[str]) -> str:
    return "\n".join(f"- **{PEERS[name].name}**: {PEERS[name].does}" for name in sessions)


def _model(load: Load) -> str:
    return "classifier" if load.model == CLASSIFIER else "forest"


def _title(load: Load) -> str:
    rows = "one object a call" if load.rows == 1 else f"{load.rows:,} objects a call"
    return f"{_model(load).capitalize()}, {rows}, concurrency {load.concurrency}"


def _short(load: Load) -> str:
    return f"{_model(load)}, {load.rows:,} a call, concurrency {load.concurrency}"


def _spread(found: list[float]) -> tuple[str, str]:
    return _number(median(found)), f"{_number(min(found))} to {_number(max(found))}"


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:,.1f}"


def _ratio(found: list[float], yardstick: list[float]) -> str:
    return f"{median(found) / median(yardstick):.2f}"
