"""Hubs and duplicates: against scipy, scikit-learn's definitions read slowly, and where they are planted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from nearfield.errors import SpaceError
from nearfield.search.all_pairs import nearest_of_all
from nearfield.study.shape import duplicates, hubness, occurrences


def slow_robin_hood(counts: list[int]) -> float:
    """What the rich have above the mean, as a share of all (Feldbauer et al. 2018, eq. of section II)."""
    mean = sum(counts) / len(counts)
    return sum(c - mean for c in counts if c > mean) / sum(counts)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 6))
def test_figures_are_their_definitions(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    nearest = nearest_of_all(rng.normal(size=(n, 3)).astype(np.float32), k).indices
    counts = [sum(int(i in row) for row in nearest.tolist()) for i in range(n)]
    assert occurrences(nearest, n).tolist() == counts
    found = hubness(nearest, n, largest=3)
    assert found.robin_hood == pytest.approx(slow_robin_hood(counts), abs=1e-9)
    assert found.anti_hubs == pytest.approx(counts.count(0) / n, abs=1e-9)
    if found.skewness is None:
        assert len(set(counts)) == 1
    else:
        assert found.skewness == pytest.approx(float(skew(counts)), abs=1e-9)
        third = np.mean((np.array(counts) - k) ** 3) if min(k, n - 1) == k else None
        assert third is None or found.skewness == pytest.approx(third / np.std(counts) ** 3, abs=1e-9)
    wanted = sorted(range(n), key=lambda i: (-counts[i], i))[:3]
    assert [hub.row for hub in found.largest] == [i for i in wanted if counts[i]]


def test_a_ring_has_no_hubs_and_no_anti_hubs() -> None:
    turn = 2 * np.pi * np.arange(60) / 60
    found = hubness(nearest_of_all(np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32), 2).indices, 60)
    assert found.anti_hubs == found.robin_hood == 0
    assert found.skewness is None
    assert {hub.occurrences for hub in found.largest} == {2}


def test_planted_hubs_are_found() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 64)).astype(np.float32)
    plain = hubness(nearest_of_all(vectors, 5).indices, 300)
    vectors[:, 0] = np.abs(vectors[:, 0]) + 8
    hubs = [17, 111, 250]
    vectors[hubs] = 0.01 * rng.normal(size=(3, 64))
    vectors[hubs, 0] = 1
    found = hubness(nearest_of_all(vectors, 5).indices, 300, largest=3)
    assert sorted(hub.row for hub in found.largest) == hubs
    assert all(hub.occurrences > 250 for hub in found.largest)
    assert found.skewness is not None
    assert plain.skewness is not None
    assert found.skewness > 2 * plain.skewness
    assert found.robin_hood > plain.robin_hood
    assert found.anti_hubs > plain.anti_hubs
    json.dumps(found.as_dict(), allow_nan=False)


def test_nobody_near_is_an_error() -> None:
    with pytest.raises(SpaceError, match="no track has a neighbour"):
        hubness(nearest_of_all(np.ones((1, 2), np.float32), 3).indices, 1)


def test_duplicates_are_found_across_blocks_and_linked() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(2500, 16)).astype(np.float32)
    vectors[[30, 1200, 2400]] = vectors[5] * np.array([[1.0], [2.0], [0.1]], np.float32)
    vectors[1999] = vectors[2000] + 1e-4 * rng.normal(size=16)
    vectors[[7, 8]] = 0  # no direction
    found = duplicates(vectors)
    assert found.groups == ((5, 30, 1200, 2400), (1999, 2000))
    assert (found.pairs, found.tracks) == (7, 6)
    numbers = found.group_numbers(2500)
    assert numbers[[5, 2400, 2000, 7]].tolist() == [0, 0, 1, -1]
    assert np.count_nonzero(numbers >= 0) == 6
    assert duplicates(vectors, 1).groups == ((5, 30, 1200, 2400),)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 30), st.floats(0.5, 1))
def test_duplicates_are_the_pairs_above_the_threshold(seed: int, n: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 3)).astype(np.float32)
    points = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    cosines = points @ points.T
    wanted = [(i, j) for j in range(n) for i in range(j) if cosines[i, j] >= threshold]
    found = duplicates(vectors, threshold)
    assert found.pairs == len(wanted)
    assert {i for pair in wanted for i in pair} == {i for group in found.groups for i in group}
    numbers = found.group_numbers(n)
    assert all(numbers[i] == numbers[j] for i, j in wanted)


def test_chains_are_one_group() -> None:
    turn = np.arange(10) * 0.1
    chain = np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)
    found = duplicates(chain, float(np.cos(0.11)))
    assert found.pairs == 9
    assert found.groups == (tuple(range(10)),)


def test_malformed_input_is_an_error() -> None:
    with pytest.raises(SpaceError, match="threshold"):
        duplicates(np.eye(2, dtype=np.float32), 1.5)
    with pytest.raises(SpaceError, match="NaN"):
        duplicates(np.array([[1, np.nan]], np.float32))
