# SPDX-License-Identifier: GPL-3.0-or-later
"""How a stream ends in a real Chromium, by fetch and by EventSource, which show no trailers."""

import json
import urllib.parse

import pytest

from client.examples.build import CHROMIUM, find_chromium
from tests.chromium import open_page
from tests.edges import JSON, LONG, NEVER_NEAR, example

pytestmark = pytest.mark.long("Chromium: apt-get install chromium")

# Functions of a page: each resolves to the objects that it was shown, and how reading ended.
FETCH = """
async (path, body, headers) => {
    const reply = await fetch(path, {method: "POST", headers, body});
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "", ended = "end";
    try {
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
            text += part.value;
            globalThis.begun = true;
        }
    } catch (error) { ended = error.name; }
    return {status: reply.status, ended, shown: text.split("\\n").filter(line => line).map(line => JSON.parse(line))};
}
"""
EVENTS = """
(path) => new Promise(resolve => {
    const source = new EventSource(path), shown = [];
    const stop = (ended) => { source.close(); resolve({ended, shown}); };
    source.onmessage = ({data}) => {
        const item = JSON.parse(data);
        shown.push(item);
        globalThis.begun = true;
        if (item.complete || item.reason) stop("end");
    };
    source.onerror = () => stop("error");
})
"""


@pytest.fixture
def page(tmp_path):
    """A tab; what its scripts do not catch fails the test."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no Chromium: install {CHROMIUM}")
    with open_page(program, tmp_path / "profile") as tab:
        yield tab
        assert tab.exceptions == []


def call(function, path, body, headers):
    """A JavaScript expression that asks by one of the two."""
    if function is FETCH:
        return f"({FETCH})({json.dumps(path)}, {json.dumps(json.dumps(body))}, {json.dumps({**JSON, **headers})})"
    query = urllib.parse.urlencode({"request": json.dumps(body)})
    return f"({EVENTS})({json.dumps(f'{path}?{query}')})"


both = pytest.mark.parametrize("function", [FETCH, EVENTS], ids=["fetch", "EventSource"])


@both
def test_a_page_reads_that_a_stream_is_complete(page, stack, function):
    page.open(f"http://{stack['edge']}/api/docs/")
    seen = page.evaluate(call(function, "/api/simulate/stream", example("StreamSimulate"), {}))
    assert seen["ended"] == "end"
    assert "result" in seen["shown"][-2]
    assert seen["shown"][-1] == {"complete": True}


@both
def test_a_page_reads_why_a_stream_failed(page, stack, function):
    page.open(f"http://{stack['edge']}/api/docs/")
    seen = page.evaluate(call(function, "/api/deflection", NEVER_NEAR, {}))
    assert seen["ended"] == "end"
    assert "progress" in seen["shown"][0]
    assert (seen["shown"][-1]["status"], seen["shown"][-1]["reason"]) == (400, "INVALID_FIELD")


@both
def test_a_page_reads_neither_where_the_front_died(page, expendable, function):
    address, front, _ = expendable
    page.open(f"http://{address}/api/docs/")
    page.evaluate(f"globalThis.seen = {call(function, '/api/simulate/stream', LONG, {})}; 0")
    page.until("globalThis.begun")
    front.gone()
    seen = page.evaluate("globalThis.seen")
    assert seen["ended"] == {FETCH: "TypeError", EVENTS: "error"}[function]
    assert seen["shown"]
    assert not [item for item in seen["shown"] if "complete" in item or "reason" in item]
