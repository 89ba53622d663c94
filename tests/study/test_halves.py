"""Same-track retrieval: planted answers, a slow oracle, and the hand-made baselines."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.test_melstore import small_store
from nearfield.data.melstore import MelStore
from nearfield.sound.mel import log_mel
from nearfield.study.halves import cut_halves, embed_halves, judge_halves
from nearfield.study.handmade import mean_log_mel, mfcc_statistics, standardised
from nearfield.study.metrics import bootstrap_mean, half_ranks, unit


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 12), d=st.integers(1, 6), seed=st.integers(0, 9999), groups=st.integers(1, 3))
def test_ranks_equal_a_slow_count(n: int, d: int, seed: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, n, d)).astype(np.float32)
    group = rng.integers(0, groups, n)
    ours, within = half_ranks(first, second), half_ranks(first, second, group)
    halves = unit(np.concatenate([first, second]))
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        wanted = np.float32(halves[i] @ halves[partner])
        others = [j for j in range(2 * n) if j not in (i, partner)]
        close = [j for j in others if abs(np.float32(halves[i] @ halves[j]) - wanted) < 1e-6]
        if close:
            continue  # a tie up to rounding has no one answer
        ahead = [j for j in others if halves[i] @ halves[j] >= wanted]
        assert ours[i % n, i // n] == 1 + len(ahead)
        assert within[i % n, i // n] == 1 + len([j for j in ahead if group[j % n] == group[i % n]])


def test_perfect_random_and_tied_spaces() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((300, 16)).astype(np.float32)
    perfect = judge_halves(np.stack([points, points], axis=1), ["p"] * 300, rng)
    assert perfect.recall_at_1.value == perfect.within_recall_at_1.low == 1.0
    chance = judge_halves(rng.standard_normal((300, 2, 16)).astype(np.float32), ["p"] * 300, rng)
    assert chance.recall_at_1.value < 0.02
    assert chance.recall_at_10.value == pytest.approx(10 / 599, abs=0.02)
    tied = judge_halves(np.ones((300, 2, 4), np.float32), ["p"] * 300, rng)
    assert tied.recall_at_10.value == 0, "equal similarities must not count as found"


def test_within_counts_only_tracks_that_have_company() -> None:
    vectors = np.random.default_rng(1).standard_normal((5, 2, 8)).astype(np.float32)
    result = judge_halves(vectors, ["a", "a", "b", "c", "c"], np.random.default_rng(0))
    assert (result.recall_at_1.n, result.within_recall_at_1.n) == (5, 4)


def test_bootstrap_covers_and_shrinks() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        sample = np.random.default_rng(seed).normal(3.0, 1.0, 60)
        estimate = bootstrap_mean(sample, rng, rounds=500)
        inside += estimate.low <= 3.0 <= estimate.high
    assert 180 <= inside <= 198
    assert bootstrap_mean(np.ones(10), rng).high == 1.0
    assert np.isnan(bootstrap_mean([], rng).value)


def test_halves_are_cut_apart_and_evenly(tmp_path: Path) -> None:
    store = MelStore(small_store(tmp_path / "s", [2400, 900]))
    halves = cut_halves(store, [0, 1], slices=8)
    assert halves.shape == (2, 2, 8, 96, 300)
    whole = store.frames(0).T
    assert np.array_equal(halves[0, 0, 0], whole[:, :300])
    assert np.array_equal(halves[0, 0, 7], whole[:, 900:1200])
    assert np.array_equal(halves[0, 1, 0], whole[:, 1200:1500])
    assert np.array_equal(halves[0, 1, 7], whole[:, 2100:])
    vectors = embed_halves(halves, mean_log_mel, batch=5)
    assert vectors.shape == (2, 2, 96)
    wanted = unit(halves[0, 0].astype(np.float32).mean(axis=2)).mean(axis=0)
    assert np.abs(vectors[0, 0] - wanted).max() < 1e-6


def test_mfcc_statistics_are_those_of_librosa() -> None:
    samples = np.random.default_rng(0).standard_normal(48_000).astype(np.float32) * 0.1
    mels = log_mel(samples)[None]
    decibel = librosa.power_to_db(10.0 ** mels[0] - 1, ref=1.0, amin=1e-10, top_db=80)
    mfcc = librosa.feature.mfcc(S=decibel, n_mfcc=20)
    ours = mfcc_statistics(mels)[0]
    assert np.abs(ours[:20] - mfcc.mean(axis=1)).max() < 1e-2
    assert np.abs(ours[20:] - mfcc.std(axis=1)).max() < 1e-2


def test_standardised_dimensions() -> None:
    vectors = np.random.default_rng(0).normal(5, [[[1, 10, 0]]], (50, 2, 3)).astype(np.float32)
    out = standardised(vectors).reshape(-1, 3)
    assert np.allclose(out.mean(axis=0), 0, atol=1e-3)
    assert np.allclose(out.std(axis=0)[:2], 1, atol=1e-3)
