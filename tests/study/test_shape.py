"""Alignment, uniformity and RankMe where the answer can be worked out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nearfield.study.shape import alignment, rank_me, uniformity


def test_alignment_is_the_mean_squared_distance_of_unit_vectors() -> None:
    first = np.array([[2.0, 0], [0, 3]], np.float32)
    assert alignment(first, first) == pytest.approx(0, abs=1e-12)
    assert alignment(first, -first) == pytest.approx(4)
    assert alignment(first, np.array([[0, 1.0], [0, 1]], np.float32)) == pytest.approx(1)  # one at right angles: 2


def test_uniformity_of_two_opposite_points() -> None:
    assert uniformity(np.array([[1.0, 0], [-5, 0]], np.float32)) == pytest.approx(-8)
    assert uniformity(np.array([[1.0, 0], [2, 0]], np.float32)) == pytest.approx(0)


def test_uniformity_against_a_slow_sum() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 5))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    potentials = [
        math.exp(-2 * float(np.square(points[i] - points[j]).sum())) for i in range(20) for j in range(20) if i != j
    ]
    assert uniformity(points.astype(np.float32)) == pytest.approx(math.log(np.mean(potentials)), abs=1e-5)


def test_one_vector_has_no_uniformity() -> None:
    with pytest.raises(ValueError, match="at least two"):
        uniformity(np.ones((1, 3), np.float32))


def test_rank_me_counts_directions() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    points = np.concatenate([basis[:5], -basis[:5]])  # five directions of the same strength, centred
    assert rank_me(points) == pytest.approx(5, rel=1e-6)
    assert rank_me(points + 100) == pytest.approx(5, rel=1e-4)  # an offset is no direction
    assert rank_me(np.outer(rng.normal(size=30), basis[0])) == pytest.approx(1, rel=1e-6)
