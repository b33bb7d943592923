# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against the whole system: questions of any size, numpy, pandas and streams, by threads and by asyncio."""

import asyncio
import itertools

import grpc
import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format

from orrery.inference import AsyncInferenceClient, InferenceError, v1
from orrery.inference.tables import PART_ROWS
from tests.both_clients import BOTH
from tests.edges import example
from tests.objects import eros, named_objects

COUNT = 2 * PART_ROWS + 7


@pytest.fixture(params=BOTH)
def asking(request, stack):
    with BOTH[request.param](stack["front"], timeout_s=60.0) as client:
        yield client


def orbits(count):
    rng = np.random.default_rng(5)
    return {
        "epoch_tdb_jd": 2459000.5,
        "semi_major_axis_au": rng.uniform(0.7, 3.5, count),
        "eccentricity": rng.uniform(0.0, 0.7, count),
        "inclination_deg": rng.uniform(0.0, 60.0, count),
        "longitude_of_ascending_node_deg": rng.uniform(0.0, 360.0, count),
        "argument_of_perihelion_deg": rng.uniform(0.0, 360.0, count),
        "absolute_magnitude_h": rng.uniform(14.0, 26.0, count),
    }


def rows(columns, chosen):
    """The same orbits as messages."""
    for row in chosen:
        values = {name: values[row] for name, values in columns.items() if name != "epoch_tdb_jd"}
        magnitude = values.pop("absolute_magnitude_h")
        yield v1.NearEarthObject(
            designation=str(row),
            elements=v1.OrbitalElements(epoch_tdb_jd=columns["epoch_tdb_jd"], **values),
            physical=v1.PhysicalParameters(absolute_magnitude_h=magnitude),
        )


def test_columns_of_any_length_keep_their_order_and_say_what_rows_say(asking):
    columns = orbits(COUNT)
    chosen = [0, 1, PART_ROWS - 1, PART_ROWS, 2 * PART_ROWS, COUNT - 1]
    predicted = asking.predict_columns(columns)
    scored = asking.score_anomaly_columns(columns)
    moids = asking.compute_moid_columns(columns)
    assert all(len(column) == COUNT for column in (*predicted.values(), *scored.values()))
    by_row = asking.predict(rows(columns, chosen))
    assert by_row.model.version == predicted.model.version
    for row, said in zip(chosen, by_row.predictions, strict=True):
        assert said.designation == str(row)
        assert predicted["pha_probability"][row] == pytest.approx(said.pha_probability, abs=1e-6)
        assert predicted["orbit_class"][row] == said.orbit_class
        assert predicted["earth_moid_au"][row] == said.definition.earth_moid_au
        assert moids["distance_au"][row] == pytest.approx(said.definition.earth_moid_au, abs=1e-9)
    scores = asking.score_anomalies(rows(columns, chosen)).scores
    assert scored["score"][chosen] == pytest.approx([said.score for said in scores], abs=1e-12)


def test_more_rows_than_one_message_holds(asking):
    columns = orbits(2_345)
    reply = asking.predict(rows(columns, range(2_345)))
    assert [said.designation for said in reply.predictions] == [str(row) for row in range(2_345)]
    assert reply.model.training_data
    met = asking.compute_moid(rows(columns, range(2_345)), planets=[v1.PLANET_EARTH, v1.PLANET_VENUS])
    assert [len(item.moids) for item in met.objects] == [2] * 2_345


def test_a_refusal_names_the_callers_row(asking):
    columns = orbits(COUNT)
    columns["inclination_deg"][PART_ROWS + 5] = 181.0
    with pytest.raises(InferenceError) as refusal:
        asking.predict_columns(columns)
    assert refusal.value.reason == "INVALID_FIELD"
    path = f"orbits.inclination_deg[{PART_ROWS + 5}]"
    assert [violation.path for violation in refusal.value.violations] == [path]
    assert refusal.value.message.startswith(path)
    objects = [eros() for _ in range(1_003)]
    objects[1_002].elements.eccentricity = -1.0
    with pytest.raises(InferenceError) as refusal:
        asking.score_anomalies(objects)
    assert "objects[1002].elements.eccentricity" in [violation.path for violation in refusal.value.violations]


def test_one_refusal_names_the_wrong_rows_of_all_parts(asking):
    count = 40_874
    wrong = {5: np.nan, 77: np.nan, 1_234: 99.99, 20_000: 99.99, 39_999: 99.99}
    frame = pd.DataFrame(orbits(count))
    for row, magnitude in wrong.items():
        frame.loc[row, "absolute_magnitude_h"] = magnitude
    with pytest.raises(InferenceError) as refusal:
        asking.predict_columns(frame)
    assert {violation.path: violation.description for violation in refusal.value.violations} == {
        f"orbits.absolute_magnitude_h[{row}]": f"must be in [-5, 40], not {value}" for row, value in wrong.items()
    }
    assert refusal.value.unnamed_violations == 0
    assert refusal.value.message == "orbits.absolute_magnitude_h[5]: must be in [-5, 40], not nan (and 4 more fields)"
    assert "\n  orbits.absolute_magnitude_h[39999]: must be" in str(refusal.value)
    with pytest.raises(InferenceError) as refusal:
        asking.compute_moid_columns({**orbits(count), "inclination_deg": np.full(count, -1.0)})
    assert len(refusal.value.violations) == 100
    assert refusal.value.unnamed_violations == count - 100


def test_one_refusal_names_the_wrong_objects_of_all_parts(asking):
    objects = [eros() for _ in range(2_100)]
    for row in (3, 1_500, 2_099):
        objects[row].elements.inclination_deg = -1.0
    objects[1_500].physical.Clear()
    with pytest.raises(InferenceError) as refusal:
        asking.predict(objects)
    assert [violation.path for violation in refusal.value.violations] == [
        "objects[3].elements.inclination_deg",
        "objects[1500].elements.inclination_deg",
        "objects[1500].physical.absolute_magnitude_h",
        "objects[2099].elements.inclination_deg",
    ]


def test_a_column_that_all_parts_lack_is_named_once(asking):
    lacking = orbits(COUNT)
    del lacking["absolute_magnitude_h"]
    with pytest.raises(InferenceError) as refusal:
        asking.predict_columns(lacking)
    (violation,) = refusal.value.violations
    assert (violation.path, violation.description) == ("orbits.absolute_magnitude_h", "is required")


def test_a_frame_for_a_frame(asking):
    frame = pd.DataFrame(orbits(5)).assign(name=list("abcde")).set_index("name")
    frame["note"] = "not an orbit's"
    predicted = asking.predict_columns(frame)
    assert list(predicted.index) == list("abcde")
    assert set(predicted["orbit_class"].dropna()) <= {"ATIRA", "ATEN", "APOLLO", "AMOR"}
    assert predicted["definition_orbit_class"].isin(["ATIRA", "ATEN", "APOLLO", "AMOR", "OTHER"]).all()
    assert predicted.attrs["model"]["name"] == "neo_classifier"
    arrays = asking.predict_columns(orbits(5))
    assert predicted["pha_probability"].to_numpy() == pytest.approx(arrays["pha_probability"])
    assert list(asking.compute_moid_columns(frame, planet=v1.PLANET_MARS, certify=True).columns) == [
        "distance_au",
        "object_true_anomaly_deg",
        "planet_true_anomaly_deg",
        "converged",
        "certified",
    ]


def test_the_network_alone(asking):
    columns = orbits(5)
    whole, alone = asking.predict_columns(columns), asking.predict_columns(columns, definition=False)
    assert list(alone) == ["pha_probability", "potentially_hazardous", "orbit_class"]
    assert alone["pha_probability"] == pytest.approx(whole["pha_probability"], abs=1e-6)
    assert list(asking.predict_columns(pd.DataFrame(columns), definition=False).columns) == list(alone)


def test_structured_arrays_and_messages_say_the_same(asking):
    columns = orbits(3)
    message = v1.OrbitColumns(**{name: np.atleast_1d(values) for name, values in columns.items()})
    structured = pd.DataFrame(columns).to_records(index=False)
    by_message, by_structure = asking.predict_columns(message), asking.predict_columns(structured)
    assert isinstance(by_message, v1.PredictColumnsResponse)
    assert list(by_message.pha_probability) == list(by_structure["pha_probability"])
    assert by_message.model == by_structure.model


def test_an_unknown_moid_is_no_number(asking):
    predicted = asking.predict_columns({**orbits(2), "epoch_tdb_jd": 2305447.5})
    assert np.isnan(predicted["earth_moid_au"]).all()
    assert not predicted["definition_potentially_hazardous"].any()


def test_no_objects_are_refused_by_name(asking):
    for ask, nothing, path in ((asking.predict, [], "objects"), (asking.predict_columns, v1.OrbitColumns(), "orbits")):
        with pytest.raises(InferenceError) as refusal:
            ask(nothing)
        assert refusal.value.violations[0].path.startswith(path)


@pytest.mark.parametrize("method", ["stream_predict", "stream_score_anomalies"])
def test_streams_answer_each_table_in_its_form(asking, method):
    whole = orbits(100)
    tables = [
        {name: np.atleast_1d(values)[row % len(np.atleast_1d(values))] for name, values in whole.items()}
        for row in range(100)
    ]
    answers = list(getattr(asking, method)(iter(tables)))
    at_once = {"stream_predict": asking.predict_columns, "stream_score_anomalies": asking.score_anomaly_columns}[
        method
    ](whole)
    name = next(iter(at_once))
    assert [answer[name][0] for answer in answers] == pytest.approx(list(at_once[name]), abs=1e-6)
    assert {answer.model.version for answer in answers} == {at_once.model.version}


@pytest.mark.parametrize("bad_row", [0, 1, 40, 99])
def test_a_stream_ends_with_the_refusal_of_its_first_bad_table(asking, bad_row):
    tables = [{**orbits(1), "eccentricity": -1.0 if row == bad_row else 0.2} for row in range(100)]
    with pytest.raises(InferenceError) as refusal:
        list(asking.stream_predict(tables))
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.path for violation in refusal.value.violations] == ["orbits.eccentricity[0]"]


def test_large_tables_stream_without_waiting_for_each_other_for_ever(asking):
    large = orbits(60_000)
    answers = list(asking.stream_predict([large] * 6))
    assert [len(answer["pha_probability"]) for answer in answers] == [60_000] * 6


def test_a_stream_takes_only_a_few_tables_ahead(stack):
    taken = itertools.count()
    with BOTH["threads"](stack["front"]) as client:
        answers = client.stream_predict({**orbits(1), "eccentricity": next(taken) * 1e-6} for _ in range(10_000))
        for _ in range(10):
            next(answers)
        answers.close()
    assert next(taken) < 40


async def test_tables_may_come_asynchronously(stack):
    async def tables():
        for _ in range(3):
            await asyncio.sleep(0)
            yield orbits(2)

    async with AsyncInferenceClient(stack["front"]) as client:
        answers = [answer async for answer in client.stream_score_anomalies(tables())]
    assert [len(answer["score"]) for answer in answers] == [2, 2, 2]


def test_simulations_stream_in_both(asking):
    scenario = v1.Scenario(object=named_objects()["(99942) Apophis"], duration_days=300)
    updates = list(asking.stream_simulate(scenario))
    assert updates[-1].WhichOneof("update") == "result"
    assert asking.simulate(scenario).provenance.ephemeris == updates[-1].result.provenance.ephemeris
    with pytest.raises(InferenceError, match="duration_days"):
        list(asking.stream_simulate(v1.Scenario(object=eros())))


def impact_question(**changes):
    """Does 2024 YR4 hit the Moon in 2032? The example that REST has too."""
    asked = json_format.ParseDict(example("EstimateImpact"), v1.EstimateImpactRequest())
    asked.MergeFrom(v1.EstimateImpactRequest(**changes))
    return asked


def test_impact_estimates_stream_in_both(asking):
    asked = impact_question(method=v1.IMPACT_METHOD_MONTE_CARLO, samples=400)
    updates = list(asking.estimate_impact(asked))
    estimates = [update.estimate for update in updates if update.HasField("estimate")]
    assert [said.final for said in estimates] == [False] * (len(estimates) - 1) + [True]
    assert updates[-1].estimate.final
    assert estimates[0].method == v1.IMPACT_METHOD_LINEAR
    assert estimates[0].probability == pytest.approx(0.0389, abs=0.0005)
    assert estimates[-1].samples == 400
    assert estimates[-1].probability_low < estimates[0].probability < estimates[-1].probability_high
    fractions = [update.progress.fraction_done for update in updates if update.HasField("progress")]
    assert fractions
    assert fractions == sorted(fractions)
    (again,) = [update.estimate for update in asking.estimate_impact(asked) if update.estimate.final]
    assert again == estimates[-1]


def test_deflections_stream_in_both(asking):
    asked = json_format.ParseDict(example("EstimateDeflection"), v1.EstimateDeflectionRequest())
    updates = list(asking.estimate_deflection(asked))
    kinds = [update.WhichOneof("update") for update in updates if not update.HasField("progress")]
    assert kinds[0] == "encounter"
    assert kinds[-1] == "summary"
    assert sorted(kinds[1:-1]) == ["minimum_push"] * 3 + ["point"] * 3
    pushes = {round(u.minimum_push.lead_time_d): u.minimum_push for u in updates if u.HasField("minimum_push")}
    assert all(push.search == v1.PUSH_SEARCH_CONVERGED for push in pushes.values())
    assert pushes[30].push_mm_s > pushes[365].push_mm_s > pushes[1000].push_mm_s > 0.0


def test_refusals_and_deadlines_of_estimates_are_the_clients_own_errors(asking):
    with pytest.raises(InferenceError) as refusal:
        list(asking.estimate_impact(v1.EstimateImpactRequest(object=eros())))
    named = [violation.path for violation in refusal.value.violations]
    assert "window" in " ".join(named)
    assert any(path.startswith("object.uncertainty") for path in named)
    with pytest.raises(InferenceError) as refusal:
        list(asking.estimate_deflection(v1.EstimateDeflectionRequest(object=eros(), lead_time_d=[-1.0])))
    assert {"from_tdb_jd", "to_tdb_jd", "lead_time_d[0]"} <= {violation.path for violation in refusal.value.violations}
    endless = impact_question(method=v1.IMPACT_METHOD_MONTE_CARLO, samples=1_000_000, target_relative_precision=0.001)
    *_, last = list(asking.estimate_impact(endless, timeout_s=2.0))
    # The estimate so far, in time.
    assert last.estimate.final
    assert not last.estimate.complete
    with pytest.raises(InferenceError) as refusal:
        list(asking.estimate_impact(endless, timeout_s=0.001))
    assert refusal.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_leaving_an_estimate_cancels_it(stack):
    """What nobody waits for any more holds up nobody: the next answer does not wait for a million clones."""
    endless = impact_question(method=v1.IMPACT_METHOD_MONTE_CARLO, samples=1_000_000, target_relative_precision=0.001)
    with BOTH["threads"](stack["front"]) as client:
        updates = client.estimate_impact(endless)
        seen = next(update.estimate for update in updates if update.estimate.samples)
        updates.close()
        assert not seen.final
        assert [u.estimate.final for u in client.estimate_impact(impact_question(), timeout_s=20.0)][-1]
        with pytest.raises(StopIteration):
            next(updates)


def test_a_version_is_pinned_or_missing_by_name(asking):
    version = asking.predict([eros()]).model.version
    columns = orbits(COUNT)
    assert asking.predict_columns(columns, model=v1.ModelSelector(version=version)).model.version == version
    with pytest.raises(InferenceError) as refusal:
        asking.predict_columns(columns, model=v1.ModelSelector(version=7))
    assert refusal.value.reason == "MODEL_NOT_FOUND"


def test_a_deadline_is_kept(asking, stack):
    scenario = v1.Scenario(object=eros(), duration_days=36_000, fidelity=v1.FIDELITY_AUDIT)
    with pytest.raises(InferenceError) as refusal:
        asking.simulate(scenario, timeout_s=0.2)
    assert refusal.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"ecentricity": [0.1]}, "no such columns: 'ecentricity'"),
        ({"eccentricity": [0.1, 0.2], "inclination_deg": [1.0]}, "differ in length"),
        ({"eccentricity": [[0.1]]}, "dimensions"),
    ],
)
def test_columns_that_make_no_table_are_refused_here(asking, wrong, error):
    with pytest.raises(ValueError, match=error):
        asking.predict_columns(wrong)
    with pytest.raises(TypeError, match="not columns, but list"):
        asking.predict_columns([1.0])
