# SPDX-License-Identifier: GPL-3.0-or-later
"""Anchors farther off than a year: JPL's close approaches 1900 to 2200, and the MPC's orbits five years later.

NeoWs (https://api.nasa.gov, `/neo/rest/v1/neo/browse`) gives, of one JPL orbit solution, elements at full precision
and all close approaches to planets from 1900 to 2200: times to the minute, distances to 1e-10 au (15 m). It does not
give the non-gravitational parameters that some of the solutions have.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.cad import ORBITS_FILE, Case, Published, read_orbits, states_of
from bench.compare import Difference, final_states, follow_all
from bench.tables import markdown
from gateway.neo.elements import Orbits, from_states, to_states
from gateway.neo.units import AU_KM, DAY_S, JULIAN_YEAR_D
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Fidelity

Floats = NDArray[np.float64]

MPC_FILE: Final = "mpc_nea_extended_20260212.csv.gz"
# Oldest first; that of October 2025 has two digits.
A2_FILES: Final = (ORBITS_FILE, "jpl_sbdb_numbered971_2020.csv.gz", "jpl_sbdb_pha_202510.csv.gz")
START_TDB_JD: Final = 2_459_000.5
MPC_EPOCH_TDB_JD: Final = 2_461_000.5
_BODIES: Final = {
    "Merc": Body.MERCURY,
    "Venus": Body.VENUS,
    "Earth": Body.EARTH,
    "Moon": Body.MOON,
    "Mars": Body.MARS,
    "Juptr": Body.JUPITER,
}
_NEOWS_TITLE: Final = "### JPL's own approaches, 1900 to 2200"
_MPC_TITLE: Final = "### The MPC's orbits five years later"
_UNIX_EPOCH_JD: Final = 2_440_587.5
_OBJECTS: Final = 400
_SEED: Final = 2020


def report(shared: Path, kernel: Path | None, neows: Path | None, processes: int, earlier: str) -> str:
    """The chapter on longer anchors, in Markdown.

    Args:
        shared: the folder with `data/`.
        kernel: of the perturbing asteroids, or None.
        neows: a recorded page of NeoWs, or None: what the earlier report says of it stays.
        processes: how many work at once.
        earlier: the report that is there, or nothing.
    """
    parts = ["## Longer anchors\n"]
    if neows is not None:
        parts.append(_neows_report(neows, shared, kernel, processes))
    elif _NEOWS_TITLE in earlier and _MPC_TITLE in earlier:
        parts.append(earlier[earlier.index(_NEOWS_TITLE) : earlier.index(_MPC_TITLE)])
    parts.append(_mpc_report(shared, kernel, processes))
    return "\n".join(parts)


def read_neows(path: Path, shared: Path) -> list[Case]:
    """The objects of a recorded page, with A2 of other solutions by JPL: the newest list that has one."""
    page = json.loads(path.read_text(encoding="utf-8"))
    a2_au_d2: dict[str, float] = {}
    for name in A2_FILES:
        listed = pd.read_csv(shared / "data" / name, low_memory=False).dropna(subset=["A2"])
        numbers = listed["full_name"].str.strip().str.split().str[0]
        a2_au_d2.update(zip(numbers, listed["A2"].astype(float), strict=True))
    return [_neows_case(item, a2_au_d2) for item in page["near_earth_objects"]]


def _neows_case(item: dict[str, Any], a2_au_d2: dict[str, float]) -> Case:
    given = {name: float(text) for name, text in item["orbital_data"].items() if _is_number(text)}
    orbit = Orbits(
        *(
            np.array([given[name]])
            for name in (
                "perihelion_distance",
                "eccentricity",
                "inclination",
                "ascending_node_longitude",
                "perihelion_argument",
                "perihelion_time",
                "epoch_osculation",
            )
        )
    )
    name = item.get("designation") or item["name"].split()[0]
    published = tuple(
        Published(
            _BODIES[one["orbiting_body"]],
            _UNIX_EPOCH_JD + float(one["epoch_date_close_approach"]) / 1000.0 / DAY_S,
            float(one["miss_distance"]["astronomical"]) * AU_KM,
            float(one["relative_velocity"]["kilometers_per_second"]),
        )
        for one in item["close_approach_data"]
    )
    return Case(
        designation=name,
        condition_code=str(item["orbital_data"]["orbit_uncertainty"]),
        epoch_tdb_jd=given["epoch_osculation"],
        state=to_states(orbit)[0],
        a1_au_d2=0.0,
        a2_au_d2=a2_au_d2.get(name, 0.0),
        a3_au_d2=0.0,
        published=published,
    )


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def _neows_report(neows: Path, shared: Path, kernel: Path | None, processes: int) -> str:
    cases = [case for case in read_neows(neows, shared) if case.published]
    pushed = {case.designation for case in cases if case.a2_au_d2 != 0.0}
    differences = follow_all(cases, Fidelity.PRECISE, kernel, processes=processes, tell=lambda _: None)
    rows = []
    for low, high in ((0, 25), (25, 50), (50, 100), (100, 150), (150, 200)):
        some = [one for one in differences if low <= abs(one.days_from_epoch) / JULIAN_YEAR_D < high]
        for label, wanted in (("A2 not known", False), ("A2 of another solution", True)):
            chosen = [one for one in some if (one.designation in pushed) is wanted]
            if chosen:
                rows.append([f"{low} to {high} years, {label}", *_spread(chosen)])
    by_object = [
        [
            f"{case.designation}{', A2' if case.a2_au_d2 else ''}",
            *_spread([one for one in differences if one.designation == case.designation]),
        ]
        for case in cases
    ]
    header = ["", "approaches", "not found", "km, median", "km, 90 %", "km, largest", "mm/s, median"]
    return f"""{_NEOWS_TITLE}

Measured on {datetime.now(UTC):%Y-%m-%d}, asteroid kernel: {kernel.name if kernel else "none"}; again with
`python -m bench.accuracy --neows <the page as JSON>`, otherwise this chapter is kept as it is.

{len(cases)} objects of a recorded NeoWs page (elements of 2025-05-05 and approaches of the same JPL solutions, all of
condition code 0), {len(differences)} approaches to Mercury, Venus, Earth, Mars and Jupiter. Distances are given to
15 m; times only to the minute, so they are not compared. NeoWs leaves out A2; it is taken from JPL's lists of October
2025 (two digits) or of 2020 (another solution) where they have one.

{markdown(["years from the epoch", *header[1:]], rows)}
{markdown(["object", *header[1:]], by_object)}
What limits it: A2 first. What stays without one, or with another solution's, drifts with the square of the time; where
A2 is zero or well known (433, 719, 1036, 1864, 1866) a century and a half is followed to a few km. Then close
encounters on the way, which multiply whatever differs.
"""


def _spread(some: list[Difference]) -> list[str]:
    distance_km = np.abs([one.distance_km for one in some])
    found = np.isfinite(distance_km)
    if not found.any():
        return [str(len(some)), str(len(some)), "-", "-", "-", "-"]
    speed_mm_s = np.abs([one.v_rel_km_s for one in some])[found] * 1e6
    median, most, largest = np.quantile(distance_km[found], [0.5, 0.9, 1.0])
    return [
        str(len(some)),
        str(int((~found).sum())),
        f"{median:.2f}",
        f"{most:.2f}",
        f"{largest:.2f}",
        f"{np.median(speed_mm_s):.3f}",
    ]


def well_known(shared: Path) -> tuple[list[Case], Floats]:
    """Objects that JPL (2020) and the MPC (2026) both know well, and the MPC's states.

    Returns:
        JPL's elements of 2020, and (N, 6) the MPC's heliocentric ecliptic states of JD 2461000.5.
    """
    jpl = read_orbits(shared)
    jpl = jpl[(jpl["condition_code"] == "0") & (jpl["epoch"] == START_TDB_JD) & jpl["A1"].isna()]
    mpc = pd.read_csv(shared / "data" / MPC_FILE, low_memory=False, dtype={"Number": str, "U": str})
    mpc = mpc[(mpc["U"] == "0") & (mpc["Epoch"] == MPC_EPOCH_TDB_JD)]
    mpc["key"] = mpc["Number"].str.removesuffix(".0").fillna(mpc["Principal_desig"])
    both = jpl.merge(mpc, left_on="pdes", right_on="key", suffixes=("", "_mpc"))
    both = both.sample(min(_OBJECTS, len(both)), random_state=_SEED).sort_values("pdes")
    theirs = Orbits.from_mean_anomaly(
        semi_major_axis_au=both["a_mpc"],
        eccentricity=both["e_mpc"],
        inclination_deg=both["i_mpc"],
        longitude_of_ascending_node_deg=both["Node"],
        argument_of_perihelion_deg=both["Peri"],
        mean_anomaly_deg=both["M"],
        epoch_tdb_jd=both["Epoch"],
    )
    states, a2_au_d2 = states_of(both), both["A2"].astype(float).fillna(0.0).to_numpy()
    cases = [
        Case(str(name), "0", START_TDB_JD, states[row], 0.0, float(a2_au_d2[row]), 0.0, ())
        for row, name in enumerate(both["pdes"])
    ]
    return cases, to_states(theirs)


def _mpc_report(shared: Path, kernel: Path | None, processes: int) -> str:
    cases, theirs = well_known(shared)
    rows = []
    for label, used in (("with the asteroid kernel", kernel), ("without", None)):
        if used is None and label != "without":
            continue
        ours = final_states(cases, MPC_EPOCH_TDB_JD, Fidelity.PRECISE, used, processes=processes)
        rows.append([f"JPL 2020, followed {label}", *_quantiles_km(ours, theirs)])
    epochs = np.full(len(cases), START_TDB_JD)
    unperturbed = to_states(
        from_states(np.array([case.state for case in cases]), epochs), np.full(len(cases), MPC_EPOCH_TDB_JD)
    )
    rows.append(["JPL 2020, two-body (for scale)", *_quantiles_km(unperturbed, theirs)])
    years = (MPC_EPOCH_TDB_JD - START_TDB_JD) / JULIAN_YEAR_D
    return f"""{_MPC_TITLE}

{len(cases)} objects (seeded sample) of condition code 0 at JPL in 2020 and uncertainty 0 at the MPC in February 2026:
JPL's elements of 2020-05-31 followed to 2025-11-21 ({years:.1f} years) and compared with the MPC's elements of
that day.

{markdown(["", "km, median", "km, 90 %", "km, largest"], rows)}
What limits it: the MPC prints angles to 1e-5 deg and the semi-major axis to 1e-7 au, 13 km each at 1 au, and fits
other observations with another weighting and mostly without A2. Both orbits are real ones, with errors of their own.
JPL's list of PHAs of October 2025 has elements of the same day too, but to 0.01 deg: 26,000 km, no anchor.
"""


def _quantiles_km(ours: Floats, theirs: Floats) -> list[str]:
    distance_km = np.linalg.norm(ours[:, :3] - theirs[:, :3], axis=1) * AU_KM
    return [f"{value:,.0f}" for value in np.quantile(distance_km, [0.5, 0.9, 1.0])]
