"""Locality against a slow reading of its definition, and on spaces whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.study.neighbourhood import locality
from nearfield.study.properties import Property, key_signature, label, tempo


def slow_index(vectors: np.ndarray, distances: np.ndarray, k: int) -> float:
    """The definition, track by track."""
    n = len(vectors)
    seen, chance, best = [], [], []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        cosine = {j: vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j]) for j in others}
        nearest = sorted(others, key=lambda j: -cosine[j])[:k]
        seen.append(np.mean([distances[i, j] for j in nearest]))
        chance.append(np.mean([distances[i, j] for j in others]))
        best.append(np.mean(sorted(distances[i, j] for j in others)[:k]))
    return (np.mean(chance) - np.mean(seen)) / (np.mean(chance) - np.mean(best))


def apart_in(prop: Property) -> np.ndarray:
    """(N, N) distances."""
    everyone = np.arange(len(prop.known))
    return prop.between(everyone[:, None], everyone)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 30), st.integers(1, 5))
def test_the_index_is_its_definition(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    prop = tempo(rng.uniform(50, 200, n), "")
    assert locality(vectors, prop, k).value == pytest.approx(slow_index(vectors, apart_in(prop), k), abs=1e-9)


def test_vectors_that_are_the_tempo_have_all_its_locality() -> None:
    rng = np.random.default_rng(0)
    octave = rng.uniform(0, 2, 200)
    circle = np.stack([np.cos(octave), np.sin(octave)], axis=1).astype(np.float32)  # nearer in angle, nearer in tempo
    assert locality(circle, tempo(60 * 2**octave, ""), 10).value == pytest.approx(1, abs=1e-6)


def test_random_vectors_have_none() -> None:
    values = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        prop = tempo(rng.uniform(50, 200, 60), "")
        values.append(locality(rng.normal(size=(60, 8)).astype(np.float32), prop, 10).value)
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(100)
    assert np.std(values) < 0.1


def test_tracks_of_unknown_tempo_are_left_out() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    bpm = np.array([*rng.uniform(50, 200, 30), *[np.nan] * 10])
    whole = locality(vectors, tempo(bpm, ""), 10)
    assert whole == locality(vectors[:30], tempo(bpm[:30], ""), 10)
    assert whole.n == 30


@pytest.mark.parametrize("bpm", [[np.nan] * 20, [120.0] * 20, [100.0] * 5 + [np.nan] * 15])
def test_a_property_that_says_nothing_has_no_index(bpm: list[float]) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    assert math.isnan(locality(vectors, tempo(bpm, ""), 10).value)


def test_tempo_distances_are_octaves_and_fold_at_the_octave() -> None:
    assert apart_in(tempo([60, 120, 90], ""))[0] == pytest.approx([0, 1, math.log2(1.5)])
    assert apart_in(tempo([60, 120, 90], "", fold=True))[0] == pytest.approx([0, 0, 1 - math.log2(1.5)])


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("C major", "A minor", 0),
        ("C major", "G major", 1),
        ("C major", "F major", 1),
        ("C major", "F# major", 6),
        ("C major", "C minor", 3),
        ("F# minor", "A major", 0),
        ("Bb major", "B major", 5),
        ("Gb major", "F# major", 0),
    ],
)
def test_key_distances_go_round_the_circle_of_fifths(one: str, other: str, steps: int) -> None:
    assert apart_in(key_signature([one, other], "")).tolist() == [[0, steps], [steps, 0]]


def test_labels_are_0_or_1_apart() -> None:
    found = label("genre", ["a", "b", "a", ""], "")
    assert apart_in(found)[:3, :3].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert found.known.tolist() == [True, True, True, False]
