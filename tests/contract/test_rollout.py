# SPDX-License-Identifier: GPL-3.0-or-later
"""From shadow to canary to everybody and back: labels in the embedded model server, a real front, callers all along."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections import Counter

import grpc
import numpy as np
import pytest

from export.rollout import command
from gateway.front import metrics
from gateway.front.open_inference_messages import MESSAGES, SERVICE
from gateway.front.rollout import in_share
from gateway.serving import metrics as serving_metrics
from orrery.inference import v1
from tests.contract.model_server_testbed import MODEL, export, model_config, server_config, serving
from tests.contract.test_batching import expected, item
from tests.pods import PROJECT_ROOT, free_address, running_front

# Version numbers are offsets of the answers: every reply can be held against the version it names.
CHAMPION, CHALLENGER = 1, 2
EROS = [1.133, 0.2228, 10.83, 304.27, 178.93, 10.4]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Version folders to copy from."""
    folder = tmp_path_factory.mktemp("exported")
    return {version: export(folder / str(version), offset=float(version)) for version in (CHAMPION, CHALLENGER)}


@pytest.fixture
def root(tmp_path, exported):
    """A store with a champion that is served and a challenger that waits."""
    models = tmp_path / "models"
    shutil.copytree(exported[CHAMPION], models / MODEL / str(CHAMPION))
    shutil.copytree(exported[CHALLENGER], models / "challengers" / MODEL / str(CHALLENGER))
    return tmp_path


@pytest.fixture
def model_server(root):
    with serving(root, server_config(model_config(policy="latest { num_versions: 2 }"))) as server:
        server.wait_for({CHAMPION: "AVAILABLE"})
        yield server


def arguments(root, server, step, *more):
    place = ["--store", str(root / "models"), "--config", str(root / "models.config")]
    return [step, *place, "--server", server.server.address, "--settle-s", "0.5", *more]


def roll(root, server, step, *more):
    return command.main(arguments(root, server, step, *more))


async def roll_on(root, server, step, *more):
    return await asyncio.to_thread(roll, root, server, step, *more)


def counted(counter):
    return counter.value


class Callers:
    """Ask without pause, and keep what was answered."""

    def __init__(self, channel):
        self._predict = v1.PredictionServiceStub(channel).Predict
        self.seen = Counter()
        self.ever = set()
        self.failed = []

    async def ask(self, number):
        magnitude = 0.0
        while True:
            # Another object each time: what is remembered would not show who answers.
            magnitude = (magnitude + 0.0137) % 10.0
            value = number + magnitude
            try:
                reply = await self._predict(v1.PredictRequest(objects=[item(value)]), timeout=20)
            except grpc.aio.AioRpcError as error:
                self.failed.append(error)
                return
            said = reply.predictions[0].pha_probability
            if said != pytest.approx(expected(value, offset=float(reply.model.version)), rel=1e-4):
                self.failed.append((reply.model.version, said))
            self.seen[reply.model.version, reply.model.version_label] += 1
            self.ever.add((reply.model.version, reply.model.version_label))

    @contextlib.asynccontextmanager
    async def asking(self, count=4):
        async with asyncio.TaskGroup() as callers:
            tasks = [callers.create_task(self.ask(float(number))) for number in range(count)]
            yield self
            for task in tasks:
                task.cancel()

    async def until(self, seen, within_s=20.0):
        """Wait until exactly these answer, of the next hundred calls."""
        async with asyncio.timeout(within_s):
            while True:
                self.seen.clear()
                while self.seen.total() < 100:
                    assert not self.failed
                    await asyncio.sleep(0.01)
                if set(self.seen) == seen:
                    return


@contextlib.asynccontextmanager
async def front(model_server, **settings):
    quick = {"cache_fresh_s": 0.02, "label_period_s": 0.05, "canary_share": 0.3, "shadow_share": 1.0, **settings}
    async with (
        running_front(model_server_address=model_server.server.address, **quick) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        yield channel


async def test_a_whole_rollout_and_the_way_back_under_load_fail_no_call(root, model_server):
    async with front(model_server) as channel, Callers(channel).asking() as callers:
        await callers.until({(CHAMPION, "")})
        assert await roll_on(root, model_server, "shadow") == 0
        await callers.until({(CHAMPION, "stable")})
        compared = counted(metrics.SHADOW_OBJECTS.labels(str(CHALLENGER)))
        assert compared > 0
        assert await roll_on(root, model_server, "canary") == 0
        await callers.until({(CHAMPION, "stable"), (CHALLENGER, "canary")})
        assert await roll_on(root, model_server, "promote") == 0
        await callers.until({(CHALLENGER, "stable")})
        step = [sys.executable, "-m", "export", "rollout", *arguments(root, model_server, "rollback")]
        async with asyncio.timeout(10):
            # The whole way back, process and all, until no caller is answered by the version that was promoted.
            process = await asyncio.create_subprocess_exec(*step, cwd=PROJECT_ROOT, env=os.environ)
            assert await process.wait() == 0
            await callers.until({(CHAMPION, "stable")})
        assert callers.failed == []
        # Nobody was ever answered by the newest version because it was the newest.
        assert (CHALLENGER, "") not in callers.ever
    retired = root / "models" / "retired" / MODEL / str(CHALLENGER)
    assert retired.is_dir()


def labels(root):
    config = command.configs.read(root / "models.config")
    return command.configs.labels(config, MODEL)


async def ask(channel, value, model=None):
    return await v1.PredictionServiceStub(channel).Predict(
        v1.PredictRequest(objects=[item(value)], model=model), timeout=20
    )


async def test_the_canary_is_chosen_by_the_object_and_only_where_the_caller_did_not_choose(root, model_server):
    assert await roll_on(root, model_server, "shadow") == 0
    assert await roll_on(root, model_server, "canary") == 0
    async with front(model_server) as channel, front(model_server) as other:
        callers = Callers(channel)
        async with callers.asking():
            await callers.until({(CHAMPION, "stable"), (CHALLENGER, "canary")})
        values = [number / 7.0 for number in range(60)]
        chosen = [(await ask(channel, value)).model.version for value in values]
        assert [(await ask(other, value)).model.version for value in values] == chosen
        assert 6 <= chosen.count(CHALLENGER) <= 30
        for value in values[:20]:
            pinned = await ask(channel, value, v1.ModelSelector(version=CHAMPION))
            labelled = await ask(channel, value, v1.ModelSelector(version_label="champion"))
            assert {pinned.model.version, labelled.model.version} == {CHAMPION}


async def test_the_open_inference_protocol_is_answered_by_the_stable_version(root, model_server):
    infer = SERVICE.methods_by_name["ModelInfer"]
    request = MESSAGES[infer.input_type.name](
        model_name=MODEL,
        inputs=[{"name": "orbits", "datatype": "FP64", "shape": [1, 6], "contents": {"fp64_contents": EROS}}],
    )
    async with front(model_server) as channel:
        ask_infer = channel.unary_unary(
            f"/{SERVICE.full_name}/ModelInfer",
            MESSAGES[infer.input_type.name].SerializeToString,
            MESSAGES[infer.output_type.name].FromString,
        )
        assert (await ask_infer(request, timeout=20)).model_version == str(CHAMPION)
        for step in ("shadow", "canary"):
            assert await roll_on(root, model_server, step) == 0
        for _ in range(5):
            assert (await ask_infer(request, timeout=20)).model_version == str(CHAMPION)


@pytest.mark.parametrize("label", ["canary", "", " ", "stable ", "\tstable"])
async def test_a_label_that_is_not_served_is_the_callers_error_if_the_caller_chose_it(root, model_server, label):
    async with front(model_server) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await ask(channel, 1.0, v1.ModelSelector(version_label=label))
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
        assert f"{label!r} is no label being served" in refusal.value.details()
        assert (await ask(channel, 1.0)).model.version == CHAMPION


async def test_a_front_that_has_just_started_does_not_take_the_newest_for_the_stable_one(root, model_server):
    assert await roll_on(root, model_server, "shadow") == 0
    for _ in range(5):
        async with front(model_server, label_period_s=60.0) as channel:
            replies = await asyncio.gather(*(ask(channel, value / 9.0) for value in range(9)))
        assert {(reply.model.version, reply.model.version_label) for reply in replies} == {(CHAMPION, "stable")}


def refused():
    """Predict calls that the model server has refused."""
    labels = ("tensorflow.serving.PredictionService", "Predict")
    return counted(serving_metrics.HANDLED.labels(*labels, "INVALID_ARGUMENT"))


async def test_an_idle_front_asks_for_no_label_and_looks_before_it_answers(root, model_server):
    async with front(model_server) as channel:
        await ask(channel, 1.0)
        before = refused()
        # The look of the period in which that call came, and no other.
        await asyncio.sleep(20 * 0.05)
        assert refused() <= before + len(("stable", "canary", "challenger"))
        before = refused()
        await asyncio.sleep(20 * 0.05)
        assert refused() == before
        assert await roll_on(root, model_server, "shadow") == 0
        replies = await asyncio.gather(*(ask(channel, value / 9.0) for value in range(9)))
    assert {(reply.model.version, reply.model.version_label) for reply in replies} == {(CHAMPION, "stable")}


async def test_a_label_that_goes_between_two_looks_is_answered_the_next_way_and_counted(root, model_server):
    assert await roll_on(root, model_server, "shadow") == 0
    assert await roll_on(root, model_server, "canary") == 0
    # The front looks at the labels when it starts and not again: it believes in the canary after it has gone.
    async with front(model_server, label_period_s=60.0, canary_share=1.0) as channel:
        async with asyncio.timeout(20):
            while (await ask(channel, 1.0)).model.version_label != "canary":
                await asyncio.sleep(0.02)
        assert await roll_on(root, model_server, "rollback") == 0
        await asyncio.sleep(0.02)
        before = counted(metrics.FALLBACKS.labels("canary"))
        reply = await ask(channel, 2.0)
        assert (reply.model.version, reply.model.version_label) == (CHAMPION, "stable")
        assert counted(metrics.FALLBACKS.labels("canary")) == before + 1
        assert (await ask(channel, 3.0)).model.version_label == "stable"
        assert counted(metrics.FALLBACKS.labels("canary")) == before + 1


async def test_a_challenger_that_says_nonsense_fails_in_the_shadow_alone(root, model_server):
    shutil.rmtree(root / "models" / "challengers" / MODEL / str(CHALLENGER))
    export(root / "models" / "challengers" / MODEL / str(CHALLENGER), offset=float("nan"))
    assert await roll_on(root, model_server, "shadow") == 0
    before = counted(metrics.SHADOW_FAILED.labels("ValueError"))
    async with front(model_server) as channel, Callers(channel).asking() as callers:
        await callers.until({(CHAMPION, "stable")})
        async with asyncio.timeout(20):
            while counted(metrics.SHADOW_FAILED.labels("ValueError")) == before:
                await asyncio.sleep(0.02)
        assert callers.failed == []


def test_there_is_no_way_back_from_the_only_version(root, model_server, capsys):
    assert roll(root, model_server, "rollback") == 1
    assert "nothing to roll back to" in capsys.readouterr().err
    assert roll(root, model_server, "rollback", "--to", "7") == 1
    assert f"{MODEL} 7 is not in" in capsys.readouterr().err
    assert labels(root) == {}


def test_an_order_out_of_turn_changes_nothing(root, model_server, capsys):
    for step, said in (("canary", "run `rollout shadow` first"), ("promote", "run `rollout canary` first")):
        assert roll(root, model_server, step) == 1
        assert said in capsys.readouterr().err
    assert labels(root) == {}


def test_a_config_that_an_operator_broke_is_named_by_line_and_left_alone(root, model_server, capsys):
    file = root / "models.config"
    broken = file.read_text() + "\nversion_labels { oops"
    file.write_text(broken)
    assert roll(root, model_server, "shadow") == 1
    assert "models.config:2:" in capsys.readouterr().err
    assert file.read_text() == broken
    assert model_server.predict([[1.0, 0.1, 1.0, 1.0, 1.0, 1.0]]).model_spec.version.value == CHAMPION


def test_a_label_that_names_a_missing_version_is_shown_and_can_be_set_right(root, model_server, capsys):
    file = root / "models.config"
    file.write_text(server_config(model_config(extra='version_labels { key: "stable" value: 99 }')))
    assert roll(root, model_server, "status") == 0
    assert "label stable names 99, which is not in" in capsys.readouterr().out
    assert roll(root, model_server, "shadow", "--within-s", "0.3") == 1
    assert f"{MODEL} 99 is not AVAILABLE" in capsys.readouterr().err
    assert roll(root, model_server, "rollback", "--to", str(CHAMPION)) == 0
    assert labels(root) == {"stable": CHAMPION, "champion": CHAMPION}


def test_a_challenger_that_cannot_be_loaded_goes_back_to_where_it_was(root, model_server, capsys):
    folder = root / "models" / "challengers" / MODEL / str(CHALLENGER)
    (folder / "saved_model.pb").write_bytes(b"no model")
    assert roll(root, model_server, "shadow") == 1
    assert "saved_model.pb has changed" in capsys.readouterr().err
    command.publish.write_sums(folder)
    assert roll(root, model_server, "shadow") == 1
    assert f"cannot serve {MODEL} {CHALLENGER}" in capsys.readouterr().err
    assert folder.is_dir()
    assert labels(root) == {"stable": CHAMPION, "champion": CHAMPION}
    assert command.configs.serving(root / "models.config", MODEL) == CHAMPION


def test_a_shadow_that_was_killed_after_its_challenger_had_moved_is_made_again(root, model_server):
    store = root / "models"
    (store / "challengers" / MODEL / str(CHALLENGER)).rename(store / MODEL / str(CHALLENGER))
    file = root / "models.config"
    file.write_text(server_config(model_config(extra='version_labels { key: "stable" value: 1 }')))
    assert roll(root, model_server, "shadow") == 0
    assert labels(root) == {"stable": CHAMPION, "champion": CHAMPION, "challenger": CHALLENGER}


def test_two_steps_at_once_are_refused(root, model_server, capsys):
    with command.stores.locked(root / "models"):
        assert roll(root, model_server, "shadow") == 1
    assert "another step of a rollout is being made" in capsys.readouterr().err


def test_the_way_back_does_not_wait_for_a_server_that_is_away(root, model_server, capsys):
    for step in ("shadow", "canary"):
        assert roll(root, model_server, step) == 0
    away = free_address()
    assert roll(root, model_server, "promote", "--server", away) == 1
    assert f"the model server {away} says UNAVAILABLE" in capsys.readouterr().err
    assert labels(root)["stable"] == CHAMPION
    assert roll(root, model_server, "rollback", "--server", away) == 0
    assert f"{away} does not answer" in capsys.readouterr().out
    assert labels(root) == {"stable": CHAMPION, "champion": CHAMPION}


def test_the_config_is_printed_as_a_config_map(root, model_server, capsys):
    assert roll(root, model_server, "shadow") == 0
    capsys.readouterr()
    assert roll(root, model_server, "config-map") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["kind"], printed["metadata"]) == ("ConfigMap", {"name": "tf-serving-rollout"})
    assert printed["data"]["models.config"] == (root / "models.config").read_text()


def test_forests_go_by_their_folder(tmp_path, capsys):
    for place, version in (("", 1), ("challengers", 2)):
        folder = tmp_path / place / "neo_anomaly" / str(version)
        folder.mkdir(parents=True)
        (folder / "forest.onnx").write_bytes(b"graph")
        command.publish.write_sums(folder)
    where = ["--store", str(tmp_path), "--model", "neo_anomaly"]
    assert command.main(["promote", *where]) == 0
    assert command.publish.versions(tmp_path, "neo_anomaly") == [1, 2]
    assert command.main(["rollback", *where]) == 0
    assert command.publish.versions(tmp_path, "neo_anomaly") == [1]
    assert command.main(["rollback", *where]) == 1
    assert "nothing to roll back to" in capsys.readouterr().err


def test_a_share_is_a_share():
    rows = np.random.default_rng(1).normal(size=(20_000, 7))
    hits = [in_share(row, 0.05, b"canary") for row in rows]
    # Five standard deviations of a binomial share.
    assert abs(np.mean(hits) - 0.05) < 5 * (0.05 * 0.95 / len(rows)) ** 0.5
    assert not any(in_share(row, 0.0, b"canary") for row in rows[:100])
    assert all(in_share(row, 1.0, b"canary") for row in rows[:100])
