# SPDX-License-Identifier: GPL-3.0-or-later
"""Against scipy, which a simulation pod does not install."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from gateway.simulation.impact.gaussian import over_disc, wilson


def by_scipy(mean, covariance, radius):
    variances, axes = np.linalg.eigh(covariance)
    (a, b), (m, n) = np.sqrt(variances), axes.T @ mean

    def density(angle, r):
        x, y = (r * np.cos(angle) - m) / a, (r * np.sin(angle) - n) / b
        return r * np.exp(-0.5 * (x * x + y * y)) / (2.0 * np.pi * a * b)

    return integrate.dblquad(density, 0.0, radius, 0.0, 2.0 * np.pi, epsabs=0.0, epsrel=1e-9)[0]


@pytest.mark.parametrize(
    ("mean", "covariance", "radius"),
    [
        ((0.0, 0.0), ((1.0, 0.0), (0.0, 1.0)), 1.0),
        ((3.0, 1.0), ((4.0, 1.0), (1.0, 2.0)), 1.5),
        ((0.5, -0.2), ((0.01, 0.0), (0.0, 100.0)), 1.0),
        ((6.0, 0.0), ((1.0, 0.0), (0.0, 2.0)), 1.0),
        ((0.9, 20.0), ((0.04, 0.0), (0.0, 100.0)), 1.0),
        ((1.1, 0.0), ((1e-4, 0.0), (0.0, 9.0)), 1.0),
    ],
)
def test_a_normal_vector_in_a_disc_against_scipy(mean, covariance, radius):
    expected = by_scipy(np.array(mean), np.array(covariance), radius)
    assert over_disc(np.array(mean), np.array(covariance), radius) == pytest.approx(expected, rel=1e-8)


def test_a_line_through_the_disc_is_an_integral_in_one_dimension():
    chord = stats.norm.cdf(0.8, 0.5, 3.0) - stats.norm.cdf(-0.8, 0.5, 3.0)
    assert over_disc(np.array([0.6, 0.5]), np.diag([0.0, 9.0]), 1.0) == pytest.approx(chord, rel=1e-6)


def test_in_the_tail_digits_remain():
    chord = stats.norm.sf(1999.2, scale=300.0) - stats.norm.sf(2000.8, scale=300.0)
    assert over_disc(np.array([0.6, 2000.0]), np.diag([1e-8, 300.0**2]), 1.0) == pytest.approx(chord, rel=1e-6)


def test_a_point_is_in_or_out():
    assert over_disc(np.array([0.5, 0.5]), np.zeros((2, 2)), 1.0) == pytest.approx(1.0, abs=1e-9)
    assert over_disc(np.array([0.8, 0.8]), np.zeros((2, 2)), 1.0) == 0.0
    assert over_disc(np.array([0.0, 0.0]), np.zeros((2, 2)), 1.0) == pytest.approx(1.0, abs=1e-9)


@given(
    mean=st.tuples(*[st.floats(-1e9, 1e9)] * 2),
    root=st.tuples(*[st.floats(-1e9, 1e9)] * 4),
    radius=st.floats(1.0, 1e6),
)
def test_it_is_always_a_probability(mean, root, radius):
    root = np.array(root).reshape(2, 2)
    assert 0.0 <= over_disc(np.array(mean), root @ root.T, radius) <= 1.0


@pytest.mark.parametrize(("hits", "samples"), [(1, 10), (5, 10), (116, 3_000), (9_999, 10_000), (1, 1_000_000)])
def test_the_interval_of_a_share_against_scipy(hits, samples):
    expected = stats.binomtest(hits, samples).proportion_ci(0.95, method="wilson")
    assert wilson(hits, samples) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_no_hits_are_a_bound_and_never_a_zero():
    assert wilson(0, 1_000) == (0.0, 0.003)
    assert wilson(0, 1) == (0.0, 1.0)
    assert wilson(1_000, 1_000) == (0.997, 1.0)
    # The exact one-sided bound is a little less.
    assert wilson(0, 1_000)[1] > 1.0 - 0.05**1e-3
