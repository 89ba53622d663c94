"""Neighbour statistics against slow definitions, on spaces whose answer is planted, and where nothing can be measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from nearfield.errors import SpaceError
from nearfield.study.neighbourhood.measure import Neighbours, compare, locality, neighbourhood
from oracles.neighbourhood import slow_index, slow_nearest, slow_parts, slow_variance


@dataclass(frozen=True, eq=False)
class Given:
    """A property by a matrix of distances."""

    name: str
    known: np.ndarray
    between: Callable[[np.ndarray, np.ndarray], np.ndarray]
    agrees_within: float = 0.0


def tempo(octaves: np.ndarray, within: float = 0.06) -> Given:
    return Given("tempo", ~np.isnan(octaves), lambda a, b: np.abs(octaves[a] - octaves[b]), within)


def label(names: np.ndarray) -> Given:
    return Given("label", names >= 0, lambda a, b: (names[a] != names[b]).astype(float))


def on_a_circle(octaves: np.ndarray) -> np.ndarray:
    """Vectors that are the tempo: nearer in angle, nearer in tempo."""
    return np.stack([np.cos(octaves), np.sin(octaves)], axis=1).astype(np.float32)


def rng_of(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def at(vectors: np.ndarray, prop: Given, k: int, **more: object) -> Neighbours:
    return neighbourhood(vectors, prop, rng_of(0), (k,), permutations=0, **more).sizes[0]  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 24), st.integers(1, 4), st.integers(0, 2), st.booleans())
def test_figures_are_their_definitions(seed: int, n: int, k: int, n_groups: int, labels: bool) -> None:
    rng = rng_of(seed)
    vectors = rng.normal(size=(n, 3)).astype(np.float32)
    values = rng.integers(0, 3, n).astype(float) if labels else rng.uniform(0, 2, n)
    groups = [rng.integers(-1, 4, n) for _ in range(n_groups)]
    prop = tempo(values, 0.4)
    distances = np.abs(values[:, None] - values[None, :])
    allowed = [[j for j in range(n) if j != i and not any(g[i] == g[j] != -1 for g in groups)] for i in range(n)]
    nearest = slow_nearest(vectors, allowed, k)
    found = at(vectors, prop, k, exclude_groups=groups)
    for scale, apart in ((found.distance, distances), (found.disagree, (distances > 0.4).astype(float))):
        parts = slow_parts(apart, nearest, allowed, k)
        assert found.asked == len(parts["asked"])
        if not found.asked:
            assert scale is None
            continue
        assert scale is not None
        for name in ("seen", "chance", "best"):
            assert getattr(scale, name).value == pytest.approx(parts[name].mean(), abs=1e-9)
        if scale.index is None:
            assert parts["chance"].mean() == pytest.approx(parts["best"].mean(), abs=1e-9)
        else:
            assert scale.index.value == pytest.approx(slow_index(parts), abs=1e-9)
    if found.agree_seen is not None and found.disagree is not None:
        assert found.agree_seen.value == pytest.approx(k * (1 - found.disagree.seen.value), abs=1e-9)


@pytest.mark.parametrize("k", [1, 4, 15])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_interval_is_that_of_the_slow_variance(k: int, share: float) -> None:
    rng = rng_of(k)
    octaves = rng.uniform(0, 2, 30)
    vectors = np.concatenate([rng.normal(size=(30, 4)), share * on_a_circle(octaves)], axis=1).astype(np.float32)
    index = at(vectors, tempo(octaves), k).distance.index  # type: ignore[union-attr]
    assert index is not None
    allowed = [[j for j in range(30) if j != i] for i in range(30)]
    error = np.sqrt(slow_variance(np.abs(octaves[:, None] - octaves), slow_nearest(vectors, allowed, k), allowed, k))
    quantile = (index.value - index.low) / error  # of a t distribution
    assert 1.959 < quantile < 2.6
    p = neighbourhood(vectors, tempo(octaves), rng_of(0), (k,), permutations=0).sizes[0].distance.p_interval  # type: ignore[union-attr]
    assert (p < 0.05) == (abs(index.value) > quantile * error)


def test_random_vectors_have_an_index_of_0_and_intervals_that_cover_it() -> None:
    covered = []
    for seed in range(500):
        rng = rng_of(8, seed)
        octaves = rng.normal(size=150)
        found = locality(rng.normal(size=(150, 16)).astype(np.float32), tempo(octaves), 10)
        covered.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_two_random_spaces_do_not_differ() -> None:
    covered = []
    for seed in range(100):
        rng = rng_of(10, seed)
        first, second = rng.normal(size=(2, 60, 16)).astype(np.float32)
        gap = compare(first, second, tempo(rng.normal(size=60)), rng, (5,))[0].difference
        assert gap is not None
        covered.append(gap.low <= 0 <= gap.high)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_permutation_p_values_are_uniform_where_there_is_nothing() -> None:
    less, both = [], []
    for seed in range(150):
        rng = rng_of(19, seed)
        found = neighbourhood(
            rng.normal(size=(30, 4)).astype(np.float32), tempo(rng.normal(size=30)), rng, (3,), None, 49
        )
        scale = found.sizes[0].distance
        assert scale is not None
        less.append(scale.p_less)
        both.append(scale.p_both)
    assert kstest(less, "uniform").pvalue > 0.01
    assert kstest(both, "uniform").pvalue > 0.01


def test_vectors_that_are_the_tempo_have_all_of_tempo_and_none_of_key() -> None:
    rng = rng_of(1)
    octaves, keys = rng.uniform(0, 2, 300), rng.integers(0, 12, 300)
    found = neighbourhood(on_a_circle(octaves), tempo(octaves), rng, (1, 10, 50), permutations=99)
    for size in found.sizes:
        assert size.distance is not None
        assert size.distance.index is not None
        assert size.distance.index.value == pytest.approx(1, abs=1e-6)
        assert size.distance.p_less == 0.01
        assert size.distance.p_both == 0.02
        assert size.distance.p_interval == pytest.approx(0, abs=1e-12)
    for size in neighbourhood(on_a_circle(octaves), label(keys), rng, (1, 10, 50), permutations=99).sizes:
        assert size.disagree is not None
        assert size.disagree.index is not None
        assert abs(size.disagree.index.value) < 0.08
        assert size.disagree.index.low < 0 < size.disagree.index.high


def test_planted_mixtures_rise() -> None:
    rng = rng_of(2)
    octaves, noise = rng.uniform(0, 2, 300), rng.normal(size=(300, 8)) / np.sqrt(8)
    values = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        vectors = np.concatenate([np.sqrt(1 - share) * noise, np.sqrt(share) * on_a_circle(octaves)], axis=1)
        values.append(at(vectors.astype(np.float32), tempo(octaves), 10).distance.index.value)  # type: ignore[union-attr]
    assert abs(values[0]) < 0.05
    assert values == sorted(values)
    assert min(np.diff(values)) > 0.05
    assert values[-1] == pytest.approx(1, abs=1e-6)


def test_a_hub_widens_the_interval() -> None:
    rng = rng_of(3)
    vectors, octaves = rng.normal(size=(200, 64)), rng.normal(size=200)
    octaves[0] = 3
    plain = at(vectors.astype(np.float32), tempo(octaves), 5).distance.index  # type: ignore[union-attr]
    vectors[:, 0] = np.abs(vectors[:, 0]) + 8
    vectors[0, 1:] = 0  # among the nearest of almost all
    hub = at(vectors.astype(np.float32), tempo(octaves), 5).distance.index  # type: ignore[union-attr]
    assert plain is not None
    assert hub is not None
    assert hub.high - hub.low > 2 * (plain.high - plain.low)


def test_tracks_of_one_group_count_as_one() -> None:
    rng = rng_of(4)
    artists = np.repeat(np.arange(30), 8)  # each artist has one tempo and one corner of the space
    octaves = rng.normal(size=30)[artists] + 0.01 * rng.normal(size=240)
    vectors = (rng.normal(size=(30, 8))[artists] + 0.1 * rng.normal(size=(240, 8))).astype(np.float32)
    free = at(vectors, tempo(octaves), 5).distance.index  # type: ignore[union-attr]
    apart = at(vectors, tempo(octaves), 5, exclude_groups=[artists]).distance.index  # type: ignore[union-attr]
    assert free is not None
    assert apart is not None
    assert free.value > 0.95
    assert apart.low < 0 < apart.high
    assert apart.high - apart.low > 0.2


def test_a_sample_that_asks_has_the_figures_of_all() -> None:
    rng = rng_of(5)
    octaves = rng.uniform(0, 2, 600)
    vectors = np.concatenate([rng.normal(size=(600, 4)), 2 * on_a_circle(octaves)], axis=1).astype(np.float32)
    whole, part = at(vectors, tempo(octaves), 10), at(vectors, tempo(octaves), 10, most_asked=200)
    assert part.asked == 200
    assert whole.distance is not None
    assert part.distance is not None
    assert whole.distance.index is not None
    assert part.distance.index is not None
    assert part.distance.index.low < whole.distance.index.value < part.distance.index.high
    assert part.distance.index.high - part.distance.index.low > whole.distance.index.high - whole.distance.index.low


def test_tracks_without_property_or_direction_are_counted_and_left_out() -> None:
    rng = rng_of(6)
    vectors, octaves = rng.normal(size=(60, 4)).astype(np.float32), rng.normal(size=60)
    octaves[40:50] = np.nan
    vectors[50:55] = 0
    found = neighbourhood(vectors, tempo(octaves), rng, (5,), permutations=0)
    assert (found.known, found.unknown, found.directionless, found.asked) == (45, 10, 5, 45)
    kept = np.r_[0:40, 55:60]
    alone = neighbourhood(vectors[kept], tempo(octaves[kept]), rng, (5,), permutations=0)
    assert alone.sizes == found.sizes


@pytest.mark.parametrize("n_known", [0, 1, 2])
def test_too_few_tracks_are_said_to_be(n_known: int) -> None:
    octaves = np.r_[np.linspace(0, 1, n_known), np.full(4 - n_known, np.nan)]
    vectors = np.eye(4, dtype=np.float32)
    found = neighbourhood(vectors, tempo(octaves), rng_of(0))
    assert found.sizes == ()
    assert f"{n_known} of 4 tracks have tempo" in found.reason
    assert all(
        d.difference is None and "not measurable" in d.reason
        for d in compare(vectors, vectors, tempo(octaves), rng_of(0))
    )


def test_more_neighbours_than_there_are_is_said() -> None:
    rng = rng_of(7)
    found = neighbourhood(
        rng.normal(size=(20, 4)).astype(np.float32), tempo(rng.normal(size=20)), rng, (18, 19, 50), None, 9
    )
    assert [s.asked for s in found.sizes] == [20, 0, 0]
    assert found.sizes[2].distance is None
    assert "more than 50 others" in found.sizes[2].reason
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("names", "reason"), [(np.arange(30), "no two tracks share it"), (np.zeros(30, int), "all tracks are alike")]
)
def test_a_label_that_tells_nothing_has_no_index(names: np.ndarray, reason: str) -> None:
    vectors = rng_of(8).normal(size=(30, 4)).astype(np.float32)
    size = neighbourhood(vectors, label(names), rng_of(0), (5,), permutations=9).sizes[0]
    assert size.distance is not None
    assert size.distance.index is None
    assert reason in size.distance.reason
    assert size.agree_seen is not None
    assert size.agree_seen.value == (0 if len(set(names)) > 1 else 5)
    (distance, disagree) = compare(vectors, vectors[::-1], label(names), rng_of(0), (5,))
    assert reason in distance.reason
    assert reason in disagree.reason


def test_everybody_in_one_group_is_said() -> None:
    size = at(np.eye(9, dtype=np.float32), tempo(np.arange(9.0)), 1, exclude_groups=[np.zeros(9, int)])
    assert size.asked == 0
    assert "not measurable" in size.reason


def test_two_spaces_are_told_apart_and_a_space_from_itself_is_not() -> None:
    rng = rng_of(9)
    octaves = rng.uniform(0, 2, 200)
    noise = rng.normal(size=(200, 6)).astype(np.float32)
    local, distance = compare(on_a_circle(octaves), noise, tempo(octaves), rng, (10,))[0], np.nan
    assert local.first is not None
    assert local.second is not None
    assert local.difference is not None
    assert local.p is not None
    assert local.difference.value == pytest.approx(local.first.value - local.second.value)
    assert local.difference.low > 0.8
    assert local.p < 1e-12
    same = compare(noise, 3 * noise, tempo(octaves), rng, (10,))[0]
    assert same.difference is not None
    distance = same.difference.value
    assert (distance, same.difference.low, same.difference.high, same.p) == (0, 0, 0, 1)


def test_malformed_input_is_an_error() -> None:
    vectors, prop = np.eye(5, dtype=np.float32), tempo(np.arange(5.0))
    with pytest.raises(SpaceError, match="for 4 tracks"):
        neighbourhood(vectors, tempo(np.arange(4.0)), rng_of(0))
    with pytest.raises(SpaceError, match=r"sizes \[0\]"):
        neighbourhood(vectors, prop, rng_of(0), (0,))
    with pytest.raises(SpaceError, match="group array"):
        neighbourhood(vectors, prop, rng_of(0), (1,), [np.zeros(3, int)])
    with pytest.raises(SpaceError, match="5 and 4 tracks"):
        compare(vectors, vectors[:4], prop, rng_of(0))
    vectors[3, 3] = np.nan
    with pytest.raises(SpaceError, match="vector 3"):
        neighbourhood(vectors, prop, rng_of(0))
