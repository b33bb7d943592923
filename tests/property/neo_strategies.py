# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies for orbits: every kind, with the awkward values among them."""

from hypothesis import strategies as st

from gateway.neo import Orbits

EPOCH_TDB_JD = 2459000.5

perihelion_distances_au = st.floats(-2.0, 1.5).map(lambda exponent: 10.0**exponent)
eccentricities = st.one_of(
    st.just(0.0),
    st.just(1.0),
    st.floats(0.0, 1.0),
    st.floats(1.0, 6.0),
    st.floats(-15.0, -1.0).map(lambda exponent: 1.0 - 10.0**exponent),
    st.floats(-15.0, 0.0).map(lambda exponent: 1.0 + 10.0**exponent),
    st.floats(-15.0, -3.0).map(lambda exponent: 10.0**exponent),
)
inclinations_deg = st.one_of(
    st.sampled_from([0.0, 90.0, 180.0]),
    st.floats(0.0, 180.0),
    st.floats(-12.0, 0.0).map(lambda exponent: 10.0**exponent),
)
angles_deg = st.one_of(st.just(0.0), st.floats(-360.0, 360.0))


@st.composite
def orbits(draw, eccentricity=eccentricities):
    """One orbit within about a revolution, or ten years, of its perihelion."""
    return Orbits(
        draw(perihelion_distances_au),
        draw(eccentricity),
        draw(inclinations_deg),
        draw(angles_deg),
        draw(angles_deg),
        EPOCH_TDB_JD + draw(st.floats(-4000.0, 4000.0)),
        EPOCH_TDB_JD,
    )
