"""The softmax over candidates against loops, finite differences and answers that can be had by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.study.organise import choice
from nearfield.study.organise.bends import bends_of
from nearfield.study.organise.choice import Candidates, sample_candidates
from nearfield.study.organise.jackknife import mean_covariance
from nearfield.study.organise.score import Score
from oracles.choice import slow_loss, slow_variance

NONE = np.empty((0, 40), np.int64)


def made_up(rng: np.random.Generator, q: int = 6, r: int = 9, k: int = 3) -> Candidates:
    cases = np.zeros((q, r), bool)
    cases[:, :k] = True
    weights = np.where(cases, 1, rng.uniform(0.5, 4, (q, r)))
    weights[rng.random((q, r)) < 0.1] = 0
    return Candidates(np.arange(q), rng.integers(0, 40, (q, r)), cases & (weights > 0), weights)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_loss_is_its_definition_and_the_gradient_its_slope(seed: int) -> None:
    rng = np.random.default_rng(seed)
    candidates = made_up(rng)
    blocks = [rng.normal(size=(6, 9, f)) for f in (2, 3)]
    at = [rng.normal(size=f) for f in (2, 3)]
    features, flat = np.concatenate(blocks, axis=2), np.concatenate(at)

    def slow(point: np.ndarray) -> float:
        return slow_loss(features, point, candidates.cases, candidates.weights, 0.7)

    loss, gradient = choice.loss_and_gradient(blocks, at, candidates, 0.7)
    assert loss == pytest.approx(slow(flat), rel=1e-12)
    slope = [(slow(flat + h) - slow(flat - h)) / 2e-6 for h in 1e-6 * np.eye(5)]
    assert np.concatenate(gradient) == pytest.approx(np.array(slope), abs=1e-7)


def test_one_label_has_the_answer_of_a_table() -> None:
    """Of 30 others 10 agree; of the 4 neighbours 3 do: odds 3 : 1 where chance has 10 : 20."""
    agree = np.zeros((5, 30, 1))
    agree[:, :3] = agree[:, 4:11] = 1
    cases = np.zeros((5, 30), bool)
    cases[:, :4] = True
    candidates = Candidates(np.arange(5), np.tile(np.arange(30), (5, 1)), cases, np.ones((5, 30)))
    (found,) = choice.fit([agree], candidates, 1e-9, [np.zeros(1)], np.eye(1))
    assert found[0] == pytest.approx(math.log((3 / 1) / (10 / 20)), abs=1e-4)
    gain = (choice.log_shares([agree], [found], candidates) - candidates.even)[cases].mean() / math.log(2)
    assert gain == pytest.approx(0.75 * math.log2(0.75 / (1 / 3)) + 0.25 * math.log2(0.25 / (2 / 3)), abs=1e-6)


def test_huge_scores_and_rows_without_weight_stay_finite() -> None:
    scores = np.array([[1e4, -1e4], [5.0, 2.0], [1e4, 3.0]])
    weights = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 2.0]])
    assert choice.log_sums(scores, weights) == pytest.approx([1e4, 0, 3 + math.log(2)])


def test_controls_are_others_that_are_allowed_and_stand_for_all_of_them() -> None:
    rng = np.random.default_rng(0)
    near = np.array([[1, 2, 3], [0, 2, -1], [-1, -1, -1]])
    groups = np.full((1, 40), -1)
    groups[0, [0, 10, 11]] = 7
    found = sample_candidates(near, np.arange(3), groups, 5, rng)
    assert found.queries.tolist() == [0, 1]  # the third has no neighbours
    assert found.weights.sum(axis=1) == pytest.approx([37, 39])  # 0 may not have itself, 10 and 11
    first = found.tracks[0][found.weights[0] > 0]
    assert len(set(first)) == 8
    assert not set(first) & {0, 10, 11}
    every = sample_candidates(near, np.arange(3), groups, 100, rng)
    assert set(np.unique(every.weights)) == {0, 1}
    assert every.tracks[1][every.weights[1] > 0].tolist() == [0, 2, 1 + 2, *range(4, 40)]


def test_few_distances_are_levels_and_many_a_curve() -> None:
    levels = bends_of(np.array([0, 1, 2, 2, np.nan, 9]), np.array([1, 1, 1, 1, 1, 0]))
    assert levels.features(np.array([0, 1, 2, np.nan])).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    curve = bends_of(np.r_[np.linspace(0, 10, 1001), np.zeros(500)], np.r_[np.full(1001, 2.0), np.full(500, 1e-9)])
    assert curve.knots == pytest.approx([0, 0.2, 0.5, 1, 2, 4, 7, 10])
    at = curve.features(np.array([3.0, 99.0, -1.0]))
    assert at[0] == pytest.approx([0, 0, 0, 0, 0.5, 0.5, 0, 0])
    assert at[1] == pytest.approx(np.zeros(8))
    assert at[2] == pytest.approx([1, 0, 0, 0, 0, 0, 0, 0])


def test_the_variance_of_a_mean_over_edges_is_its_definition() -> None:
    rng = np.random.default_rng(3)
    edges = np.array([(i, j) for i in range(12) for j in rng.choice(12, 4, replace=False) if i != j])
    values = rng.normal(size=(len(edges), 2))
    found = mean_covariance(edges, values, 12)
    assert np.diagonal(found) == pytest.approx([slow_variance(edges, v) for v in values.T], rel=1e-12)


def test_the_score_is_near_twice_the_gain_in_likelihood_of_a_weak_feature() -> None:
    rng = np.random.default_rng(5)
    near = np.array([rng.choice([j for j in range(40) if j != i], 5, replace=False) for i in range(40)])
    candidates = sample_candidates(near, np.arange(40), NONE, 60, rng)
    old, new = (rng.normal(size=(*candidates.weights.shape, 1)) for _ in range(2))
    new += 0.5 * old
    ridge, edges = 1e-6, int(candidates.cases.sum())
    less = choice.fit([old], candidates, ridge, [np.zeros(1)], np.eye(1))
    more = choice.fit([old, new], candidates, ridge, [np.zeros(1), np.zeros(1)], np.eye(2))
    fall = (
        choice.loss_and_gradient([old], less, candidates, 0)[0]
        - choice.loss_and_gradient([old, new], more, candidates, 0)[0]
    )
    score = Score([old], choice.log_shares([old], less, candidates), candidates, ridge).of(new)
    assert score == pytest.approx(2 * edges * fall, rel=0.15, abs=0.02)
