# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of client/examples/browser in a real Chromium, against the whole system."""

import functools
import http.server
import json
import threading

import pytest
from google.protobuf import json_format

from client.examples.build import CHROMIUM, EXAMPLES, find_chromium
from orrery.inference import v1
from tests.chromium import open_page
from tests.edges import in_flight, running_edge, until
from tests.examples import built
from tests.pods import PROJECT_ROOT

pytestmark = pytest.mark.long("Chromium: apt-get install chromium")

COLUMNS = ("grpc-web", "rest")
# A name that only this Chromium knows, for a page of another origin than this machine's.
ELSEWHERE = "pages.example.org"
ECCENTRICITY = "[data-field='elements.eccentricity']"
# Keeps every value that the bars show.
WATCH_PROGRESS = """
    globalThis.progress = {};
    for (const bar of document.querySelectorAll("progress")) {
        const seen = globalThis.progress[bar.parentElement.id] = [];
        new MutationObserver(() => seen.push(bar.value)).observe(bar, {attributes: true});
    }
"""


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture(scope="module")
def site():
    """The port of a web server that has the page."""
    folder = built(EXAMPLES["browser"]).parents[1]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def page(tmp_path):
    """A tab; what its scripts do not catch fails the test."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no Chromium: install {CHROMIUM}")
    with open_page(program, tmp_path / "profile", f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1") as tab:
        yield tab
        assert tab.exceptions == []


def open_example(page, port, edge, host="127.0.0.1"):
    page.open(f"http://{host}:{port}/index.html?edge=http://{edge}")


def enter(page, selector, value):
    page.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}")


def click(page, button):
    page.evaluate(f"document.getElementById({json.dumps(button)}).click()")


def replies(page, state):
    """The lines of both columns, once both have ended in a state."""
    for column in COLUMNS:
        page.until(f"!['running', undefined].includes(document.getElementById('{column}').dataset.state)")
    lines = "[...document.getElementById('{0}').querySelectorAll('li')].map(line => line.textContent)"
    shown = [page.evaluate(lines.format(column)) for column in COLUMNS]
    ended = [page.evaluate(f"document.getElementById('{column}').dataset.state") for column in COLUMNS]
    assert ended == [state, state], shown
    return shown


@pytest.fixture
def apophis():
    """The object that the page's form begins with."""
    named = json.loads((PROJECT_ROOT / "client" / "examples" / "named_orbits.json").read_text(encoding="utf-8"))
    known = json_format.ParseDict(named[0]["object"], v1.NearEarthObject())
    return v1.NearEarthObject(designation=known.designation, elements=known.elements, physical=known.physical)


def test_both_protocols_predict_what_the_python_client_gets(page, site, stack, client, apophis):
    open_example(page, site, stack["edge"])
    click(page, "predict")
    prediction = client.predict([apophis]).predictions[0]
    expected = [
        f"ATEN, Earth MOID {prediction.definition.earth_moid_au:.6f} au",
        f"P(potentially hazardous) {prediction.pha_probability:.3f} by neo_classifier",
    ]
    assert replies(page, "done") == [expected, expected]


def test_a_refusal_names_its_field_and_marks_the_input(page, site, stack):
    open_example(page, site, stack["edge"])
    enter(page, ECCENTRICITY, "-0.2")
    enter(page, "[data-field='physical.absolute_magnitude_h']", "99")
    click(page, "predict")
    for reason, *violations in replies(page, "refused"):
        assert reason == "INVALID_FIELD"
        assert [violation.split()[0] for violation in violations] == [
            "objects[0].elements.eccentricity",
            "objects[0].physical.absolute_magnitude_h",
        ]
    marked = "[...document.querySelectorAll('[aria-invalid]')].map(input => input.dataset.field)"
    assert page.evaluate(marked) == ["elements.eccentricity", "physical.absolute_magnitude_h"]
    click(page, "simulate")
    assert [lines[1].split()[0] for lines in replies(page, "refused")] == ["scenario.object.elements.eccentricity"] * 2


def test_a_stream_shows_progress_then_encounters(page, site, stack, client, apophis):
    open_example(page, site, stack["edge"])
    enter(page, "#fidelity", str(v1.FIDELITY_AUDIT))
    page.evaluate(WATCH_PROGRESS)
    click(page, "simulate")
    scenario = v1.Scenario(object=apophis, duration_days=3650, fidelity=v1.FIDELITY_AUDIT)
    encounters = client.simulate(scenario, timeout_s=60).baseline
    expected = [f"{v1.Body.Name(x.body)[5:]} at {x.distance_km:.0f} km, TDB JD {x.time_tdb_jd:.3f}" for x in encounters]
    assert any(line.startswith("EARTH at 380") for line in expected)
    assert replies(page, "done") == [expected, expected]
    for column in COLUMNS:
        shown = page.evaluate(f"progress['{column}']")
        assert shown == sorted(shown)
        assert shown[-1] == 1
        # How many updates there are depends on how quick the pod is.
        assert any(0 < fraction < 1 for fraction in shown)


def test_stop_ends_the_work_in_the_pod(page, site, stack):
    open_example(page, site, stack["edge"])
    enter(page, "#fidelity", str(v1.FIDELITY_AUDIT))
    enter(page, "#duration", "36525")
    click(page, "simulate")
    for column in COLUMNS:
        page.until(f"document.querySelector('#{column} progress').value > 0")
    assert in_flight(stack) == 2
    click(page, "stop")
    assert [lines[-1] for lines in replies(page, "stopped")] == ["stopped", "stopped"]
    until(lambda: in_flight(stack) == 0)


def test_a_page_elsewhere_needs_its_origin_in_the_settings(page, site, stack, tmp_path):
    open_example(page, site, stack["edge"], ELSEWHERE)
    click(page, "predict")
    allowed = f"its ORRERY_EDGE_CORS_ORIGINS does not list http://{ELSEWHERE}:{site}"
    for lines in replies(page, "refused"):
        assert lines == [f"no reply from http://{stack['edge']}: it is not running, or {allowed}"]
    with running_edge(tmp_path, [stack["front"]], cors_origins=f"http://{ELSEWHERE}:{site}") as edge:
        open_example(page, site, edge.address, ELSEWHERE)
        click(page, "predict")
        assert all(lines[0].startswith("ATEN") for lines in replies(page, "done"))
