# SPDX-License-Identifier: GPL-3.0-or-later
"""Explanations are Shapley values, exactly: against all subsets of features, taken one by one."""

import itertools
import math
import threading

import numpy as np
import pytest

from gateway.anomaly._shap import Trees
from gateway.anomaly.explanation import contributions, path_length_shares
from gateway.anomaly.scorer import Forest
from tests.pods import PROJECT_ROOT

STORE = PROJECT_ROOT / "var" / "models" / "neo_anomaly"
FEATURES = 7


@pytest.fixture(scope="module")
def forest():
    versions = sorted((path for path in STORE.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))
    if not versions:
        pytest.fail("no models: run `make models` first (`make test` does)")
    return Forest(versions[-1])


def random_tree(rng, splits, features=FEATURES):
    """A tree of so many splits, children after their parents, features repeated along paths."""
    left, right, feature, threshold, samples = [-1], [-1], [-2], [0.0], [int(rng.integers(60 * splits, 90 * splits))]
    for _ in range(splits):
        node = int(rng.choice([n for n in range(len(left)) if left[n] < 0 and samples[n] > 1]))
        mine = int(rng.integers(1, samples[node]))
        left[node], right[node] = len(left), len(left) + 1
        feature[node], threshold[node] = int(rng.integers(features)), float(rng.normal())
        for share in (mine, samples[node] - mine):
            left.append(-1)
            right.append(-1)
            feature.append(-2)
            threshold.append(0.0)
            samples.append(share)
    value = rng.normal(10.0, 3.0, len(left))
    for node in reversed(range(len(left))):
        if left[node] >= 0:
            mine = samples[left[node]] / samples[node]
            value[node] = mine * value[left[node]] + (1.0 - mine) * value[right[node]]
    ints = [np.array(column, np.int32) for column in (left, right, feature)]
    return (*ints, np.array(threshold), value, np.array(samples, np.int32))


def compiled(tree, features=FEATURES):
    return Trees(*tree, np.array([0], np.int32), features)


def expectation(tree, row, known, node=0):
    left, right, feature, threshold, value, samples = tree
    if left[node] < 0:
        return value[node]
    if feature[node] in known:
        return expectation(tree, row, known, left[node] if row[feature[node]] <= threshold[node] else right[node])
    shares = [samples[child] * expectation(tree, row, known, child) for child in (left[node], right[node])]
    return sum(shares) / samples[node]


def shapley_by_subsets(tree, row, features=FEATURES):
    """Shapley 1953: the mean, over all orders of the features, of what each adds when it becomes known."""
    subsets = [frozenset(s) for size in range(features + 1) for s in itertools.combinations(range(features), size)]
    worth = {subset: expectation(tree, row, subset) for subset in subsets}
    weight = [math.factorial(s) * math.factorial(features - s - 1) / math.factorial(features) for s in range(features)]
    return [sum(weight[len(s)] * (worth[s | {j}] - worth[s]) for s in subsets if j not in s) for j in range(features)]


@pytest.mark.parametrize(("seed", "splits", "features"), [(1, 1, 7), (2, 25, 7), (3, 25, 2), (4, 30, 8), (5, 25, 1)])
def test_values_are_shapleys(seed, splits, features):
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, splits, features)
    rows = rng.normal(size=(6, features)).astype(np.float32)
    out = np.full(rows.shape, np.nan)
    compiled(tree, features).shapley(rows, out)
    expected = [shapley_by_subsets(tree, row, features) for row in rows]
    assert out == pytest.approx(np.array(expected), abs=1e-11)


def test_values_of_trees_add_up():
    rng = np.random.default_rng(9)
    one, other = random_tree(rng, 20), random_tree(rng, 12)
    count = len(one[0])
    children = [np.concatenate([a, np.where(b >= 0, b + count, -1)]) for a, b in zip(one[:2], other[:2], strict=True)]
    rest = [np.concatenate(pair) for pair in zip(one[2:], other[2:], strict=True)]
    both = Trees(*(c.astype(np.int32) for c in children), *rest, np.array([0, count], np.int32), FEATURES)
    rows = rng.normal(size=(5, FEATURES)).astype(np.float32)
    outs = [np.empty(rows.shape) for _ in range(3)]
    for trees, out in zip((compiled(one), compiled(other), both), outs, strict=True):
        trees.shapley(rows, out)
    assert outs[2] == pytest.approx(outs[0] + outs[1], abs=1e-12)


def test_a_feature_that_no_tree_asks_for_gets_nothing():
    rng = np.random.default_rng(8)
    tree = random_tree(rng, 20, features=5)
    rows = rng.normal(size=(4, FEATURES)).astype(np.float32)
    out = np.empty(rows.shape)
    compiled(tree).shapley(rows, out)
    assert (out[:, 5:] == 0.0).all()


@pytest.mark.parametrize(
    ("column", "value"), [(0, 0), (1, 99), (2, 7), (5, 0)], ids=["loop", "no such child", "no such feature", "empty"]
)
def test_what_is_no_tree_is_refused(column, value):
    tree = random_tree(np.random.default_rng(7), 5)
    tree[column][0] = value
    with pytest.raises(ValueError, match=r"children|split"):
        compiled(tree)


def test_nine_features_are_too_many():
    tree = random_tree(np.random.default_rng(7), 5)
    with pytest.raises(ValueError, match="9 features"):
        compiled(tree, 9)
    with pytest.raises(ValueError, match="shape"):
        compiled(tree).shapley(np.zeros((3, 6), np.float32), np.zeros((3, 6)))


def test_threads_do_not_disturb_each_other(forest):
    rows = forest.score(orbits(60, seed=3)).features
    alone = path_length_shares(forest.tables, rows)
    found = {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: path_length_shares(forest.tables, rows)}))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((values == alone).all() for values in found.values())
    assert len(found) == 4


def orbits(count, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform([0.2, 0.0, 0.0, 0.0, 0.0, 15.0], [1.3, 0.95, 60.0, 360.0, 360.0, 29.0], (count, 6))


def test_contributions_add_up_to_the_score(forest):
    said = forest.score(orbits(200, seed=5))
    pushes = contributions(forest.tables, said.features, said.score)
    assert forest.tables.base_score + pushes.sum(axis=1) == pytest.approx(said.score, abs=1e-12)


def test_shares_add_up_to_the_path_length(forest):
    """Without any factor: the walk finds the very leaves that the ONNX graph finds."""
    said = forest.score(orbits(200, seed=6))
    length = -np.log2(said.score) * forest.tables.normal_path_length
    shares = path_length_shares(forest.tables, said.features)
    assert forest.tables.mean_path_length + shares.sum(axis=1) == pytest.approx(length, abs=1e-11)


# The median object of the Minor Planet Center's 40,863 of February 2026: q, e, i, node, perihelion, H.
MEDIAN = np.array([0.98, 0.46, 8.6, 180.0, 180.0, 24.2])
# What is pushed, to where (beyond all but a few hundred objects), and the features that are functions of it.
CULPRITS = {
    "perihelion distance": (0, np.linspace(0.05, 0.15, 20), {0, 4, 5, 6}),
    "eccentricity": (1, np.linspace(0.86, 0.98, 20), {0, 1, 5, 6}),
    "inclination": (2, np.linspace(55.0, 175.0, 20), {2, 6}),
    "absolute magnitude, bright": (5, np.linspace(9.0, 14.5, 20), {3}),
    "absolute magnitude, faint": (5, np.linspace(31.5, 33.5, 20), {3}),
}


def test_a_single_culprit_is_named(forest):
    """Of all objects ordinary but for one of their elements, at least 95 % are explained by it."""
    named = []
    for column, values, guilty in CULPRITS.values():
        odd = np.tile(MEDIAN, (len(values), 1))
        odd[:, column] = values
        said = forest.score(odd)
        pushes = contributions(forest.tables, said.features, said.score)
        assert (pushes.max(axis=1) > 0).all()
        named += [int(first) in guilty for first in pushes.argmax(axis=1)]
    assert np.mean(named) >= 0.95


def test_the_median_object_is_more_ordinary_than_the_mean_path(forest):
    said = forest.score(MEDIAN[None])
    assert said.score[0] < forest.tables.base_score
    assert contributions(forest.tables, said.features, said.score).sum() < 0
