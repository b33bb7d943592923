# SPDX-License-Identifier: GPL-3.0-or-later
"""A version that cannot be used, or that only some model servers have, costs no caller an answer."""

import asyncio
import contextlib
import functools
import shutil

import grpc
import numpy as np
import pytest

from gateway.front import metrics
from orrery.inference import v1
from tests.contract.model_server_testbed import (
    MODEL,
    OtherInput,
    OtherShape,
    RenamedOutput,
    Wordless,
    export,
    model_config,
    server_config,
    serving,
)
from tests.contract.test_batching import expected, item
from tests.pods import running_front

TWO = server_config(model_config(policy="latest { num_versions: 2 }"))
BROKEN = {
    "an output renamed": {"kind": RenamedOutput},
    "an output of another shape": {"kind": OtherShape},
    "another input": {"kind": OtherInput},
    "weights that are no numbers": {"offset": float("nan")},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Makes version folders to copy from, once each: the version's number is the offset of its answers."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def make(version, broken=""):
        kinds = {"offset": float(version), **BROKEN.get(broken, {})}
        if broken == "wordless":
            kinds["kind"] = Wordless
        return export(folder / f"{broken or 'good'}-{version}", **kinds)

    return make


def publish(root, version, exported, broken=""):
    store = root / "models" / MODEL
    store.mkdir(parents=True, exist_ok=True)
    shutil.copytree(exported(version, broken), store / f".{version}")
    (store / f".{version}").rename(store / str(version))


def columns(rows):
    return v1.OrbitColumns(
        epoch_tdb_jd=np.full(rows, 2461000.5),
        perihelion_distance_au=np.full(rows, 0.96),
        eccentricity=np.full(rows, 0.2),
        inclination_deg=np.full(rows, 0.1),
        longitude_of_ascending_node_deg=np.full(rows, 0.2),
        argument_of_perihelion_deg=np.full(rows, 0.3),
        absolute_magnitude_h=np.full(rows, 0.5),
    )


@contextlib.asynccontextmanager
async def front(*addresses):
    target = addresses[0] if len(addresses) == 1 else f"ipv4:{','.join(addresses)}"
    async with (
        running_front(model_server_address=target, cache_rows=0, label_period_s=0.2) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        yield channel


async def ask(channel, number, selector=None):
    """One question; the answer must be that of the version which the reply names."""
    request = v1.PredictRequest(objects=[item(number)], model=selector)
    reply = await v1.PredictionServiceStub(channel).Predict(request, timeout=20)
    version = reply.model.version
    assert reply.predictions[0].pha_probability == pytest.approx(expected(number, float(version)), rel=1e-4)
    return reply.model


async def versions_of(channel, count):
    """Who answers so many questions, eight at a time."""
    seen = set()
    for start in range(0, count, 8):
        models = await asyncio.gather(*(ask(channel, 0.01 * (start + k)) for k in range(8)))
        seen |= {model.version for model in models}
    return seen


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_version_that_cannot_be_used_answers_nobody_who_did_not_choose_it(tmp_path, exported, broken):
    publish(tmp_path, 1, exported)
    with serving(tmp_path, TWO) as server:
        server.wait_for({1: "AVAILABLE"})
        async with front(server.server.address) as channel:
            assert await versions_of(channel, 8) == {1}
            before = metrics.UNUSABLE.labels("newest").value
            publish(tmp_path, 2, exported, broken)
            server.wait_for({1: "AVAILABLE", 2: "AVAILABLE"})
            for _ in range(3):
                assert await versions_of(channel, 64) == {1}
                await asyncio.sleep(0.2)
            assert metrics.UNUSABLE.labels("newest").value > before
            # Who chooses it learns why there is no answer.
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, 0.0, v1.ModelSelector(version=2))
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            stub = v1.PredictionServiceStub(channel)
            many = await stub.PredictColumns(v1.PredictColumnsRequest(orbits=columns(40_000)), timeout=20)
            assert many.model.version == 1
        # A front that starts now has seen no version answer.
        async with front(server.server.address) as channel:
            assert await versions_of(channel, 16) == {1}
            publish(tmp_path, 3, exported)
            async with asyncio.timeout(20):
                while await versions_of(channel, 8) != {3}:
                    await asyncio.sleep(0.05)


async def test_a_stable_version_that_cannot_be_used_is_not_replaced_by_a_challenger(tmp_path, exported):
    publish(tmp_path, 1, exported)
    publish(tmp_path, 2, exported, "an output renamed")
    publish(tmp_path, 3, exported)
    labels = 'version_labels { key: "stable" value: 2 } version_labels { key: "challenger" value: 3 }'
    config = server_config(model_config(policy="all {}", extra=labels))
    with serving(tmp_path, config, allow_version_labels_for_unavailable_models=True) as server:
        server.wait_for(dict.fromkeys((1, 2, 3), "AVAILABLE"))
        async with front(server.server.address) as channel:
            assert await versions_of(channel, 32) == {1}


async def test_only_unusable_versions_are_said_to_be_so(tmp_path, exported):
    publish(tmp_path, 1, exported, "an output renamed")
    with serving(tmp_path, TWO) as server:
        server.wait_for({1: "AVAILABLE"})
        async with front(server.server.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, 0.0)
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_version_without_words_answers(tmp_path, exported):
    publish(tmp_path, 1, exported, "wordless")
    with serving(tmp_path, TWO) as server:
        server.wait_for({1: "AVAILABLE"})
        async with front(server.server.address) as channel:
            model = await ask(channel, 0.0)
            assert (model.version, model.variant, model.training_data) == (1, "", "")


async def test_a_version_that_one_of_two_model_servers_has_costs_no_answer(tmp_path, exported):
    with contextlib.ExitStack() as stack:
        roots = [tmp_path / name for name in ("one", "other")]
        servers = []
        for root in roots:
            publish(root, 1, exported)
            servers.append(stack.enter_context(serving(root, TWO)))
        for server in servers:
            server.wait_for({1: "AVAILABLE"})
        async with front(*(server.server.address for server in servers)) as channel:
            assert await versions_of(channel, 16) == {1}
            publish(roots[0], 2, exported)
            servers[0].wait_for({1: "AVAILABLE", 2: "AVAILABLE"})
            assert await versions_of(channel, 64) == {1, 2}
            # Pinned, as the client pins what it divides among calls.
            assert {(await ask(channel, 0.01 * k, v1.ModelSelector(version=2))).version for k in range(16)} == {2}
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, 0.0, v1.ModelSelector(version=7))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            # The parts of a large call meet both versions.
            stub = v1.PredictionServiceStub(channel)
            for _ in range(4):
                reply = await stub.PredictColumns(
                    v1.PredictColumnsRequest(orbits=columns(60_000), without_definition=True), timeout=30
                )
                assert len(set(reply.pha_probability)) == 1


async def test_no_version_at_all_is_no_fault_of_the_caller(tmp_path, exported):
    publish(tmp_path, 1, exported)
    with serving(tmp_path, TWO) as server:
        server.wait_for({1: "AVAILABLE"})
        async with front(server.server.address) as channel:
            shutil.rmtree(tmp_path / "models" / MODEL / "1")
            server.wait_for({1: "END"})
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, 0.0)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
