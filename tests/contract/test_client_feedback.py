# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's feedback against a real pod, by threads and by asyncio: votes in, consensus out, exported, erased."""

import re
import subprocess
import sys
import threading
import time

import grpc
import pytest

from orrery.inference import InferenceError, v1
from tests.both_clients import BOTH
from tests.feedback_pod import pod_process
from tests.pods import PROJECT_ROOT
from tests.votes import request, submission, token

GUIDE = (PROJECT_ROOT / "docs" / "feedback.md").read_text(encoding="utf-8")
UNHEARD = "unheard of"


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    """One for all that do not kill it: each votes on objects of its own."""
    with pod_process(tmp_path_factory.mktemp("pod") / "store") as started:
        yield started


@pytest.fixture
def mortal(tmp_path):
    with pod_process(tmp_path / "store") as started:
        yield started


@pytest.fixture(params=BOTH)
def kind(request):
    return BOTH[request.param]


@pytest.fixture
def client(kind, pod):
    with kind(pod.address) as asking:
        yield asking


def vote(**fields):
    """Without an id: the client's business."""
    made = request(**{"designation": "another than the guide's", **fields})
    made.ClearField("request_id")
    return made


def test_votes_become_consensus_in_the_order_asked_for(client):
    known = f"known {token()}"
    for _ in range(4):
        # The pod may still be starting: the first vote waits for it.
        assert client.submit_classification(vote(designation=known, by=token()), timeout_s=60).counted
    names = [f"{UNHEARD} {row}" for row in range(250)]
    names[120] = known
    said = client.get_consensus(iter(names)).objects
    assert [one.designation for one in said] == names
    assert [row for row, one in enumerate(said) if one.questions] == [120]
    assert said[120].questions[0].status == v1.CONSENSUS_STATUS_AGREED


def test_the_same_message_is_one_vote(client):
    once = vote(by=token())
    receipt = client.submit_classification(once, timeout_s=60)
    assert client.submit_classification(once) == receipt
    assert client.submit_classification(vote(by=token())) != receipt


def test_refusals_name_the_callers_rows(client):
    client.submit_classification(vote(by=token()), timeout_s=60)
    with pytest.raises(InferenceError) as refused:
        client.get_consensus([*(f"{UNHEARD} {row}" for row in range(150)), " blank"])
    assert [violation.path for violation in refused.value.violations] == ["designations[150]"]
    with pytest.raises(InferenceError) as refused:
        client.get_consensus([])
    assert [violation.path for violation in refused.value.violations] == ["designations"]


def test_all_that_is_held_comes_in_one_message_and_goes_at_once(client, pod):
    by = token()
    client.submit_classification(vote(by=by), timeout_s=60)
    with pod.store() as store:
        more = [store.keeping(submission(f"2004 F{row}", by=by)) for row in range(1_100)]
        store.write(lambda connection: [keep(connection) for keep in more])
    held = client.export_contributor(by)
    assert held.contributor.votes == len(held.votes) == 1_101
    erasure = v1.EraseContributorRequest(contributor_token=by)
    erased = client.erase_contributor(erasure)
    assert erased.erased_votes == 1_101
    assert client.erase_contributor(erasure) == erased
    assert client.erase_contributor(v1.EraseContributorRequest(contributor_token=by)) == v1.EraseContributorResponse()
    assert not client.export_contributor(by).HasField("contributor")


def test_a_pod_that_is_killed_and_comes_back_is_waited_for(kind, mortal):
    with kind(mortal.address) as client:
        first = vote(by=token())
        receipt = client.submit_classification(first, timeout_s=60)
        mortal.kill()

        def come_back():
            time.sleep(1.0)
            mortal.start()

        returning = threading.Thread(target=come_back)
        returning.start()
        try:
            assert client.submit_classification(vote(by=token()), timeout_s=60).counted
            assert client.submit_classification(first) == receipt
        finally:
            returning.join()


def test_a_pod_that_stays_away_is_said_so_and_the_vote_can_be_handed_in_later(kind, mortal):
    mortal.kill()
    with kind(mortal.address) as client:
        late = vote(by=token())
        with pytest.raises(InferenceError) as refused:
            client.submit_classification(late, timeout_s=1.0)
        assert refused.value.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        mortal.start()
        assert client.submit_classification(late, timeout_s=60).request_id == late.request_id != ""


def test_the_guides_example_prints_what_it_shows(pod):
    with BOTH["threads"](pod.address) as client:
        # The pod may still be starting.
        client.submit_classification(vote(by=token()), timeout_s=60)
    ((code, output),) = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", GUIDE, re.DOTALL)
    assert "127.0.0.1:50051" in code
    command = [sys.executable, "-c", code.replace("127.0.0.1:50051", pod.address)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr, said.returncode) == (output, "", 0)
