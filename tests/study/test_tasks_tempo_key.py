"""Tempo and key: figures against mir_eval and slow definitions, planted answers, chance."""

from __future__ import annotations

from itertools import product

import mir_eval.key
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.errors import BenchError
from nearfield.sound.key import KEYS
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.row import rows_of
from nearfield.study.tasks.tempo_key import (
    LEVELS,
    key_by_probe,
    key_codes,
    key_measures,
    mirex_scores,
    right_tempo,
    tempo_by_neighbours,
    tempo_by_probe,
    tempo_measures,
)
from oracles.bench import slow_right_tempo

SMALL = ProbeSettings(
    linear_decays=(100.0, 1.0), hidden_decays=(10.0, 0.1), hidden_units=16, linear_blocks=6, hidden_blocks=3
)
BPM = st.floats(20, 400)


def test_mirex_scores_are_those_of_mir_eval_for_every_pair() -> None:
    names = [f"{note} {mode}" for note in (*"ABCDEFG", "Gb", "F#", "Bb", "A#") for mode in ("major", "minor")]
    pairs = [*product(KEYS, KEYS), *product(names, names)]
    found = mirex_scores(key_codes([a for a, _ in pairs]), key_codes([b for _, b in pairs]))
    assert found.tolist() == [mir_eval.key.weighted_score(a, b) for a, b in pairs]
    assert mirex_scores(key_codes(["C major"]), key_codes(["G major"])).tolist() == [0.5]  # a fifth above
    assert mirex_scores(key_codes(["C major"]), key_codes(["F major"])).tolist() == [0.0]  # a fifth below
    assert mirex_scores(key_codes(["C major"]), key_codes([""], none=True)).tolist() == [0.0]


@given(BPM, BPM)
def test_right_tempo_agrees_with_its_definition(true: float, said: float) -> None:
    assert bool(right_tempo([true], [said], (1.0,))[0]) == slow_right_tempo(true, said, (1.0,))
    assert bool(right_tempo([true], [said], LEVELS)[0]) == slow_right_tempo(true, said, LEVELS)


def test_the_bounds_of_tempo() -> None:
    said = [104, 96, 104.01, 95.99, 200, 50, 300, 100 / 3, 150, np.nan]
    true = [100.0] * len(said)
    assert right_tempo(true, said, (1.0,)).tolist() == [True, True] + [False] * 8
    assert right_tempo(true, said, LEVELS).tolist() == [True, True, False, False, True, True, True, True, False, False]


def sounds(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Tempi, and vectors that hold them: bumps along log2 BPM."""
    bpm = 2 ** rng.uniform(np.log2(60), np.log2(200), n)
    place = (np.log2(bpm[:, None]) - np.linspace(5.8, 7.8, 24)) / 0.1
    return bpm, (np.exp(-0.5 * place**2) + 0.01 * rng.normal(size=place.shape)).astype(np.float32)


@pytest.mark.parametrize("depth", ["linear", "hidden"])
def test_planted_tempi_are_found(depth: Depth) -> None:
    rng = np.random.default_rng(0)
    (learn_bpm, learn), (true, asked) = sounds(rng, 400), sounds(rng, 100)
    answers = tempo_by_probe(learn, learn_bpm, np.arange(400) // 2, asked, depth, rng, SMALL)
    assert answers.kind in ("bins", "circle")
    near = tempo_by_neighbours(learn, learn_bpm, asked)
    for said in (answers.bpm, near):
        one, two = rows_of("tempo", tempo_measures(true, said, learn_bpm), np.full(100, -1), 0, rounds=200)
        assert (one.metric, two.metric) == ("Accuracy1", "Accuracy2")
        assert one.low > 0.85
        assert one.value <= two.value <= 1
        assert one.chance < 0.12
    perfect = rows_of("tempo", tempo_measures(true, true, learn_bpm), np.full(100, -1), 0, rounds=50)
    assert [(r.value, r.low, r.high) for r in perfect] == [(1.0, 1.0, 1.0)] * 2


def test_each_kind_of_probe_answers_where_the_other_cannot() -> None:
    rng = np.random.default_rng(1)
    bpm = np.exp2(rng.uniform(6, 8, 300))
    turn = 2 * np.pi * np.log2(bpm)
    circle = np.stack([np.cos(turn), np.sin(turn), np.log2(bpm)], axis=1).astype(np.float32)
    assert tempo_by_probe(circle, bpm, np.full(300, -1), circle, "linear", rng, SMALL).kind == "circle"
    steps = rng.integers(0, 8, 300)
    scattered = np.array([70, 160, 75, 150, 82, 140, 90, 130])[steps].astype(float)  # no line along the classes
    found = tempo_by_probe(
        np.eye(8, dtype=np.float32)[steps],
        scattered,
        np.full(300, -1),
        np.eye(8, dtype=np.float32),
        "linear",
        rng,
        SMALL,
    )
    assert found.bpm == pytest.approx([70, 160, 75, 150, 82, 140, 90, 130], rel=0.04)


def test_random_vectors_are_at_chance() -> None:
    rng = np.random.default_rng(2)
    tempi, keys = np.array([75.0, 90.0, 110.0, 131.0]), ("C major", "F# major", "D# minor")
    learn, asked = rng.normal(size=(300, 6)).astype(np.float32), rng.normal(size=(200, 6)).astype(np.float32)
    bpm, true = tempi[rng.permutation(300) % 4], tempi[rng.permutation(200) % 4]
    said = tempo_by_probe(learn, bpm, np.full(300, -1), asked, "linear", rng, SMALL).bpm
    nearest = tempo_by_neighbours(learn, bpm, asked, k=1)
    for row in (
        rows_of("tempo", tempo_measures(true, said, bpm), np.full(200, -1), 0)[0],
        rows_of("tempo", tempo_measures(true, nearest, bpm), np.full(200, -1), 0)[0],
    ):
        assert row.chance == pytest.approx(0.25)
        assert row.high >= row.chance - 0.1
        assert row.low <= row.chance
    names, labels = [keys[i % 3] for i in rng.permutation(300)], [keys[i % 3] for i in rng.permutation(201)]
    more = rng.normal(size=(201, 6)).astype(np.float32)
    answers = key_by_probe(learn, names, np.full(300, -1), more, "linear", rng, SMALL).keys
    _, exact = rows_of("key", key_measures(labels, answers, names), np.full(201, -1), 0)
    assert exact.chance == pytest.approx(1 / 3)
    assert exact.low <= exact.chance <= exact.high


def test_planted_keys_are_found_and_spelt_as_KEYS() -> None:  # noqa: N802
    rng = np.random.default_rng(3)
    codes = np.arange(240) % 24
    named = [KEYS[c].replace("D#", "Eb") for c in codes]
    vectors = np.eye(24, dtype=np.float32)[codes] + 0.05 * rng.normal(size=(240, 24)).astype(np.float32)
    said = key_by_probe(vectors, named, np.full(240, -1), vectors[:48], "linear", rng, SMALL).keys
    assert said == tuple(KEYS[c] for c in codes[:48])
    mirex, exact = rows_of("key", key_measures(named[:48], said, named), np.full(48, -1), 0, rounds=50)
    assert (mirex.metric, mirex.value, exact.metric, exact.value) == ("MIREX weighted", 1.0, "exact", 1.0)
    assert exact.chance == pytest.approx(1 / 24)
    assert mirex.chance == pytest.approx((1 + 0.5 + 0.3 + 0.2) / 24)


def test_chance_is_the_one_answer_that_does_best_on_what_was_learned_from() -> None:
    one, two = tempo_measures([100, 100, 60, 90], [1, 1, 1, 1], [100, 102, 60, 30, 30, 30, 180])
    assert one.chance == 0.0  # 30 BPM is right three times of seven
    assert two.chance == pytest.approx(0.25)  # 60 BPM is: 60, its half three times, its triple
    mirex, exact = key_measures(["C major", "G major"], ["", ""], ["G major", "G major", "C major"])
    assert (mirex.chance, exact.chance) == (pytest.approx(0.75), 0.5)
    assert mirex.statistic(np.ones((1, 2))).tolist() == [0.0]


def test_neighbours_take_the_median_in_log2() -> None:
    learn = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1]], np.float32)
    asked = np.array([[1, 0.1]], np.float32)
    assert tempo_by_neighbours(learn, [50, 100, 200, 77], asked, 3) == pytest.approx([100])
    assert tempo_by_neighbours(learn, [50, 100, 200, 77], asked, 2) == pytest.approx([np.sqrt(100 * 200)])
    assert tempo_by_neighbours(learn[:2], [50, 200], asked, 9) == pytest.approx([100])


def test_nothing_asked_is_a_counted_nothing() -> None:
    rows = [
        *rows_of("tempo", tempo_measures([], [], [100.0]), np.empty(0, int), 0),
        *rows_of("key", key_measures([], [], ["C major"]), np.empty(0, int), 0),
    ]
    assert [r.n for r in rows] == [0] * 4
    assert all(np.isnan(r.value) and np.isnan(r.chance) for r in rows)


def test_malformed_input_is_an_error() -> None:
    vectors, rng = np.ones((3, 2), np.float32), np.random.default_rng(0)
    with pytest.raises(BenchError, match="not above 0"):
        tempo_measures([0.0], [100.0], [100.0])
    with pytest.raises(BenchError, match="give one a label"):
        tempo_measures([100.0, 90.0], [100.0], [100.0])
    with pytest.raises(BenchError, match="several tempi"):
        tempo_by_probe(vectors, [100.0] * 3, np.arange(3), vectors, "linear", rng)
    with pytest.raises(BenchError, match="give one or more"):
        tempo_by_neighbours(vectors, [100.0] * 3, vectors, 0)
    with pytest.raises(BenchError, match="'H major' is not one"):
        key_measures(["H major"], ["C major"], [])
    with pytest.raises(BenchError, match="'' is not one"):
        key_measures([""], ["C major"], [])


def test_answers_come_with_those_of_probes_taught_less() -> None:
    rng = np.random.default_rng(4)
    (bpm, learn), (true, asked) = sounds(rng, 120), sounds(rng, 30)
    groups = np.arange(120) // 2
    tempi = tempo_by_probe(learn, bpm, groups, asked, "linear", rng, SMALL)
    assert tempi.without.shape == (6, 30)
    assert tempi.choice.decay in SMALL.linear_decays
    keys = key_by_probe(learn, ["C major", "D minor"] * 60, groups, asked, "linear", rng, SMALL)
    assert [len(less) for less in keys.without] == [30] * 6
    measures = [
        *tempo_measures(true, tempi.bpm, bpm, tempi.without),
        *key_measures(["C major"] * 30, keys.keys, ["C major"], keys.without),
    ]
    for measure in measures:
        assert measure.retaught is not None
        assert len(measure.retaught.without) == 6
        assert set(measure.retaught.block) == {-1}
    one = measures[0].retaught.without[2](np.ones((1, 30)))[0]
    assert one == pytest.approx(right_tempo(true, tempi.without[2], (1.0,)).mean())
    said = tempi.bpm * np.where(np.arange(30) < 8, 1.2, 1)
    plain, wide = (
        rows_of("tempo", tempo_measures(true, said, bpm, less), np.arange(30), 0)[0] for less in ((), tempi.without)
    )
    assert wide.low < plain.low
    assert wide.high <= 1
