# SPDX-License-Identifier: GPL-3.0-or-later
"""One session: a peer's variants, our pods and the echo take turns under the same loads."""

import contextlib
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc

from bench.anomaly import _orbits
from bench.gateway import OPTIONS, PREDICT, Measure, in_turns, pods
from bench.peers import wire
from bench.peers.contenders import Peer, Variant
from bench.peers.environments import FOLDER, MODELS, environment, graphs, versions
from bench.peers.load import Call, Question, answering, calls, grpc_call
from bench.peers.loads import DIRECT, DISTINCT, ECHO, FRONT, FRONT_OPEN, LOADS, RESULTS, Load
from bench.peers.over_http import http_call
from bench.peers.starting import Place, environment_of
from bench.pod import _free_address
from gateway.quiet_onnxruntime import onnxruntime

_STOP_WITHIN_S: Final = 15.0


def questions(load: Load, protocol: wire.Protocol) -> list[Question]:
    """The same orbits for every protocol, and what the graphs say of them in this process."""
    count = DISTINCT if load.rows == 1 else DISTINCT // 4
    orbits = _orbits(load.rows * count).reshape(count, load.rows, 6)
    session = onnxruntime.InferenceSession(str(MODELS / f"{load.model}.onnx"), providers=["CPUExecutionProvider"])
    names = wire.OUTPUTS[load.model]
    made = []
    for part in orbits:
        expected = dict(zip(names, session.run(list(names), {"orbits": part}), strict=True))
        request = protocol.encode(load.model, part)
        made.append(Question(request, lambda reply: protocol.decode(load.model, reply), expected))
    return made


async def measure(peer_name: str, peer: Peer, loads: tuple[Load, ...] = LOADS) -> Path:
    """Everything about a peer, written to its file of results."""
    graphs()
    folder = environment(peer_name, peer.packages)
    before = os.getloadavg()
    found: dict[str, dict[str, list[float]]] = {}
    async with contextlib.AsyncExitStack() as stack:
        channels = await stack.enter_async_context(pods())
        servers = {
            variant.name: await stack.enter_async_context(_server(peer, variant, folder, position))
            for position, variant in enumerate(peer.variants)
        }
        for load in loads:
            contenders = _ours(load, channels)
            for name, call_of in servers.items():
                contenders[name] = calls(call_of(load), questions(load, peer.protocol), load.concurrency)
            found[load.key] = await in_turns(contenders)
            sys.stdout.write(f"{load.key}: {_brief(found[load.key])}\n")
            sys.stdout.flush()
    installed = versions(peer_name)
    kept = (peer.distribution, "onnxruntime", "numpy", "grpcio", "protobuf", "starlette", "pydantic")
    said: dict[str, Any] = {
        "date": str(dt.datetime.now(dt.UTC).date()),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": before,
        "load_after": os.getloadavg(),
        "versions": {name: installed[name] for name in kept if name in installed},
        "rates": found,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{peer_name}.json"
    path.write_text(json.dumps(said, indent=1), encoding="utf-8")
    return path


def _ours(load: Load, channels: Mapping[str, grpc.aio.Channel]) -> dict[str, Measure]:
    """The echo, and our pods asked in each way."""
    own = wire.OWN_ONE if load.rows == 1 else wire.OWN_MANY
    ways = {
        DIRECT: ("model-server", wire.TENSORFLOW_SERVING) if load.model == wire.CLASSIFIER else ("anomaly", own),
        FRONT: ("uncached", own),
        FRONT_OPEN: ("uncached", wire.OPEN_INFERENCE),
    }
    contenders = {ECHO: calls(grpc_call(channels["echo"], PREDICT), _echoes(load), load.concurrency)}
    for name, (pod, protocol) in ways.items():
        call = grpc_call(channels[pod], protocol.target(load.model, load.rows))
        contenders[name] = calls(call, questions(load, protocol), load.concurrency)
    return contenders


def _echoes(load: Load) -> list[Question]:
    """The Open Inference requests as their own answers."""
    answers: list[Question] = []
    for question in questions(load, wire.OPEN_INFERENCE):
        echo = Question(question.request, lambda _reply: {}, {})
        echo.known(question.request)
        answers.append(echo)
    return answers


@contextlib.asynccontextmanager
async def _server(peer: Peer, variant: Variant, folder: Path, position: int) -> AsyncIterator[Callable[[Load], Call]]:
    """A peer's server that has answered about both models: gives what asks it under a load."""
    place = _place(folder, position)
    command = variant.command(place)
    with (place.folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603, ASYNC220  # our own command; nothing else runs yet
            command.arguments, env=environment_of(place, command), cwd=place.folder, stdout=log, stderr=log
        )
    try:
        async with _caller(peer.protocol, place.ports[0]) as call_of:
            for load in {load.model: load for load in reversed(LOADS)}.values():
                question = questions(load, peer.protocol)[0]
                await answering(call_of(load), question, lambda: process.poll() is None)
            yield call_of
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.asynccontextmanager
async def _caller(protocol: wire.Protocol, port: int) -> AsyncIterator[Callable[[Load], Call]]:
    """What asks a server on this port."""
    if protocol.content_type:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield lambda load: http_call(
                session, f"http://127.0.0.1:{port}{protocol.target(load.model, load.rows)}", protocol.content_type
            )
    else:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            yield lambda load: grpc_call(channel, protocol.target(load.model, load.rows))


def _place(folder: Path, position: int) -> Place:
    run = FOLDER / "run" / f"{folder.name}-{position}"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    first, second, third = (int(_free_address().rpartition(":")[2]) for _ in range(3))
    return Place(folder, run, (first, second, third))


def _brief(rates: Mapping[str, list[float]]) -> str:
    return ", ".join(f"{name} {sorted(values)[len(values) // 2]:,.0f}" for name, values in rates.items())
