"""Figures with weights against scikit-learn on copies of the tracks, and the bootstrap against known errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, r2_score, roc_auc_score

from nearfield.errors import BenchError
from nearfield.study.tasks import chance, intervals, scores
from nearfield.study.tasks.intervals import Retaught, both_retaught, cluster_bootstrap, cluster_codes, taught_variance
from oracles.bench import slow_macro_f1


def weighed(statistic: scores.Statistic, weights: np.ndarray) -> list[float]:
    return [float(x) for x in statistic(weights.astype(float))]


def test_classes_agree_with_scikit_learn_whatever_is_drawn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        n, classes = int(rng.integers(1, 25)), int(rng.integers(2, 6))
        true, said = rng.integers(0, classes, (2, n))
        weights = rng.integers(0, 4, (3, n))
        weights[:, 0] += 1
        drawn = [np.repeat(np.arange(n), w) for w in weights]
        expected = [accuracy_score(true[d], said[d]) for d in drawn]
        assert weighed(scores.accuracy(true, said), weights) == pytest.approx(expected)
        f1 = [slow_macro_f1(true[d].tolist(), said[d].tolist()) for d in drawn]
        assert weighed(scores.macro_f1(true, said, classes), weights) == pytest.approx(f1)
        assert f1 == pytest.approx([f1_score(true[d], said[d], average="macro") for d in drawn])


def test_r2_agrees_with_scikit_learn_whatever_is_drawn() -> None:
    rng = np.random.default_rng(1)
    for _ in range(150):
        n = int(rng.integers(3, 25))
        true = rng.normal(size=(n, 3)) * [1, 1e-3, 1e4] + [0, 5, -1e5]
        said = true + rng.normal(size=true.shape) * [0.3, 1e-3, 5e4]
        weights = rng.integers(0, 4, (3, n))
        weights[:, :3] += 1
        expected = [r2_score(true[d], said[d]) for d in (np.repeat(np.arange(n), w) for w in weights)]
        assert weighed(scores.r2(true, said), weights) == pytest.approx(expected, rel=1e-6)


def test_tags_agree_with_scikit_learn_whatever_is_drawn() -> None:
    rng = np.random.default_rng(2)
    for _ in range(70):
        n, tags = int(rng.integers(4, 30)), int(rng.integers(1, 4))
        true = rng.random((n, tags)) < 0.4
        true[0], true[1] = True, False
        said = rng.integers(0, 6, (n, tags)) / 5  # ties
        weights = rng.integers(0, 3, (3, n))
        weights[:, :2] += 1
        drawn = [np.repeat(np.arange(n), w) for w in weights]
        area = [np.mean([roc_auc_score(true[d, t], said[d, t]) for t in range(tags)]) for d in drawn]
        assert weighed(scores.roc_auc(true, said), weights) == pytest.approx(area)
        mean = [np.mean([average_precision_score(true[d, t], said[d, t]) for t in range(tags)]) for d in drawn]
        assert weighed(scores.average_precision(true, said), weights) == pytest.approx(mean)


def test_tags_are_compared_within_folds() -> None:
    rng = np.random.default_rng(3)
    true, folds = rng.random((90, 2)) < 0.5, np.repeat([0, 1, 2], 30)
    said = true * 0.3 + rng.random((90, 2))
    expected = np.mean([[roc_auc_score(true[folds == f, t], said[folds == f, t]) for f in range(3)] for t in (0, 1)])
    one = np.ones((1, 90))
    assert scores.roc_auc(true, said, folds)(one)[0] == pytest.approx(expected)
    moved = said + 10 * folds[:, None]  # a probe of another scale
    assert scores.roc_auc(true, moved, folds)(one)[0] == pytest.approx(expected)
    assert scores.roc_auc(true, moved)(one)[0] != pytest.approx(expected, abs=0.01)


def test_perfect_is_one_and_what_cannot_be_said_is_left_out() -> None:
    one = np.ones((1, 6))
    true, flags = np.array([0, 1, 2, 0, 1, 2]), np.array([[1, 0], [1, 0], [0, 0], [0, 0], [0, 0], [1, 0]])
    assert scores.accuracy(true, true)(one)[0] == scores.macro_f1(true, true, 9)(one)[0] == 1
    assert scores.r2(true[:, None] * 1.0, true[:, None] * 1.0)(one)[0] == 1
    assert scores.roc_auc(flags, flags)(one)[0] == scores.average_precision(flags, flags)(one)[0] == 1
    assert scores.roc_auc(flags, 1 - flags)(one)[0] == 0
    assert np.isnan(scores.roc_auc(flags[:, 1:], flags[:, 1:])(one)[0])
    assert np.isnan(scores.r2(np.full((6, 1), 0.1), np.zeros((6, 1)))(one)[0])
    assert np.isnan(scores.average_precision(np.empty((0, 2)), np.empty((0, 2)))(np.ones((1, 0)))[0])


def test_malformed_answers_are_errors() -> None:
    with pytest.raises(BenchError, match=r"shape \(2,\) for labels of shape \(3,\)"):
        scores.accuracy([1, 2, 3], [1, 2])
    with pytest.raises(BenchError, match="not 0 to 1"):
        scores.macro_f1(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(BenchError, match="NaN"):
        scores.roc_auc([[1], [0]], [[np.nan], [0]])
    with pytest.raises(BenchError, match=r"\(N, T\)"):
        scores.roc_auc([1, 0], [1, 0])


def test_dealt_f1_agrees_with_dealing() -> None:
    rng = np.random.default_rng(4)
    of_class, shares = np.array([20, 9, 3]), np.array([0.5, 0.3, 0.2])
    true = np.repeat([0, 1, 2], of_class)
    said = rng.choice(3, (3000, 32), p=shares)
    drawn = np.array([scores.macro_f1(true, s, 3)(np.ones((1, 32)))[0] for s in said])
    assert chance.dealt_f1(of_class, shares) == pytest.approx(drawn.mean(), abs=4 * drawn.std() / np.sqrt(3000))
    assert chance.dealt_f1([5, 0], [1, 0]) == 1
    assert math.isnan(chance.dealt_f1([0, 0], [0.5, 0.5]))


def test_the_interval_is_that_of_the_clusters() -> None:
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(60), 10)
    values = np.repeat(rng.normal(size=60), 10)  # an artist's tracks all alike
    found = cluster_bootstrap(scores.mean_of(values), clusters, np.random.default_rng(0), 4000)
    error = values[::10].std() / np.sqrt(60)
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.05)
    alone = cluster_bootstrap(scores.mean_of(values), np.full(600, -1), np.random.default_rng(0), 4000)
    assert (alone.high - alone.low) / (2 * 1.96) == pytest.approx(values.std() / np.sqrt(600), rel=0.05)
    assert (found.n, alone.n) == (600, 600)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 8, 50)
        values = np.repeat(rng.normal(size=50), sizes) + rng.normal(size=sizes.sum())
        clusters = np.repeat(np.arange(50), sizes)
        found = cluster_bootstrap(scores.mean_of(values), clusters, rng, 300)
        held += found.low <= 0 <= found.high
    assert 0.90 < held / 300 < 0.98


def test_draws_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = np.random.default_rng(6).normal(size=50), np.arange(50) // 3
    whole = cluster_bootstrap(scores.mean_of(values), clusters, np.random.default_rng(0))
    monkeypatch.setattr(intervals, "_CELLS", 70)
    parted = cluster_bootstrap(scores.mean_of(values), clusters, np.random.default_rng(0))
    assert (parted.low, parted.high) == pytest.approx((whole.low, whole.high), abs=1e-12)


def test_few_clusters_and_bad_ones() -> None:
    one = cluster_bootstrap(scores.mean_of([1, 2, 3]), [4, 4, 4], np.random.default_rng(0))
    assert (one.value, one.n) == (2, 3)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert cluster_codes([5, -1, 5, -1]).tolist() == [0, 1, 0, 2]
    assert cluster_codes([]).tolist() == []
    with pytest.raises(BenchError, match="whole number"):
        cluster_codes([0.5, 1])


def test_what_taught_adds_is_the_jackknife_over_blocks() -> None:
    rng = np.random.default_rng(8)
    values, block = rng.normal(size=60), np.arange(60) // 12
    less = rng.normal(size=(5, 60))
    lost = np.array([values.mean() - other.mean() for other in less])
    lost -= lost.mean()
    added = np.array([(values[block == g] - values.mean()).sum() / 60 for g in range(5)])
    without = tuple(scores.mean_of(other) for other in less)
    folds = taught_variance(scores.mean_of(values), Retaught(without, block))
    assert folds == pytest.approx(float(((added + lost) ** 2).sum() - (added**2).sum()))
    held = taught_variance(scores.mean_of(values), Retaught(without, np.full(60, -1)))
    assert held == pytest.approx(float((lost**2).sum()))


def test_intervals_grow_by_what_taught_within_bounds() -> None:
    rng = np.random.default_rng(9)
    values, clusters = rng.random(80), np.arange(80) // 2
    statistic, none = scores.mean_of(values), np.full(80, -1)
    plain = cluster_bootstrap(statistic, clusters, np.random.default_rng(0))
    found = []
    for spread in (0.0, 0.02, 5.0):
        less = tuple(scores.mean_of(values + spread * sign) for sign in (1, -1, 1, -1))
        wide = cluster_bootstrap(statistic, clusters, np.random.default_rng(0), retaught=Retaught(less, none, math.inf))
        assert (wide.value, wide.n) == (plain.value, plain.n)
        assert wide.high - wide.value == pytest.approx(wide.value - wide.low)
        found.append(wide.high - wide.value)
    error = values.reshape(40, 2).mean(axis=1).std(ddof=1) / math.sqrt(40)
    assert found[0] == pytest.approx(2.0227 * error * math.sqrt(1.5), rel=0.08)  # Student's t of 39
    assert found[0] < found[1] < found[2]
    assert found[2] / found[0] == pytest.approx(math.sqrt(2.5 / 1.5))
    top = cluster_bootstrap(statistic, clusters, np.random.default_rng(0), retaught=Retaught(less, none, plain.value))
    assert top.high == plain.value
    perfect = cluster_bootstrap(scores.mean_of(np.ones(80)), clusters, rng, retaught=Retaught(less, none))
    assert (perfect.low, perfect.high) == (1, 1)


def test_a_difference_is_of_probes_taught_the_same() -> None:
    one, two = (Retaught((scores.mean_of([x, x]),), np.array([0, -1])) for x in (3.0, 1.0))
    both = both_retaught(one, two)
    assert both is not None
    assert both.without[0](np.ones((1, 2))).tolist() == [2.0]
    assert both.highest == math.inf
    assert both_retaught(None, None) is None
    for other in (None, Retaught(one.without, np.array([0, 1])), Retaught((), one.block)):
        with pytest.raises(BenchError, match="taught differently"):
            both_retaught(one, other)
