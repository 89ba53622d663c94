"""Properties as distances: exact values, what agrees, what is not known, and where it comes from."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.data.track import Track
from nearfield.study.estimate import TrackEstimate
from nearfield.study.properties import (
    MEASURED,
    NAMES,
    PropertyError,
    key,
    label,
    numeric,
    properties_of,
    tags,
    tempo,
)

RESULTS = Path(__file__).parents[2] / "results" / "estimators.json"
KEYS = [
    f"{tonic} {mode}"
    for tonic in ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    for mode in ("major", "minor")
]
ESTIMATE = TrackEstimate(120.0, 0.6, "A minor", 0.8, -4.0, 9.0, -18.0)


def all_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n)[:, None], np.arange(n)[None, :]


@pytest.mark.parametrize(
    ("other", "agrees"), [(104.0, True), (104.1, False), (96.16, True), (96.1, False), (200.0, False)]
)
def test_tempi_agree_within_four_per_cent(other: float, agrees: bool) -> None:
    found = tempo([100.0, other], "")
    assert (found.between(np.array(0), np.array(1)) <= found.agrees_within) == agrees


def test_half_the_tempo_agrees_when_octaves_are_folded() -> None:
    found = tempo([60.0, 120.0, 240.0, 90.0], "", fold=True)
    apart = found.between(*all_pairs(4))
    assert apart[0].tolist() == pytest.approx([0, 0, 0, 1 - math.log2(1.5)])
    assert found.name == "tempo_folded"


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("C major", "C major", 0.0),
        ("Gb major", "F# major", 0.0),
        ("C major", "A minor", 0.5),
        ("C major", "C minor", 0.5),
        ("C major", "G major", 1.0),
        ("C major", "F major", 1.0),
        ("A minor", "E minor", 1.0),
        ("C major", "E minor", 1.5),
        ("C major", "D minor", 1.5),
        ("C major", "G minor", 1.5),
        ("C major", "A major", 3.0),
        ("C major", "C# minor", 4.5),
        ("C major", "F# major", 6.0),
    ],
)
def test_key_distances(one: str, other: str, steps: float) -> None:
    found = key([one, other], "")
    assert found.between(*all_pairs(2)).tolist() == [[0, steps], [steps, 0]]
    assert (steps <= found.agrees_within) == (steps == 0)


def test_every_key_is_equally_far_from_its_relative_and_parallel_and_no_other_is_as_near() -> None:
    apart = key(KEYS, "").between(*all_pairs(24))
    np.testing.assert_array_equal(apart, apart.T)
    for row in np.sort(apart, axis=1):
        assert row[:5].tolist() == [0, 0.5, 0.5, 1, 1]
        assert sorted(row)[-1] == 6


def test_labels_tags_and_numbers() -> None:
    genre = label("genre", ["a", "b", "a", ""], "")
    assert genre.known.tolist() == [True, True, True, False]
    assert genre.between(np.array([0, 0]), np.array([1, 2])).tolist() == [1, 0]
    sets = tags([frozenset("ab"), frozenset("bc"), frozenset("de"), frozenset(), frozenset("ab")], "")
    assert sets.known.tolist() == [True, True, True, False, True]
    apart = sets.between(np.zeros(4, int), np.array([1, 2, 4, 0]))
    assert apart == pytest.approx([1 - 1 / 3, 1, 0, 0])
    assert (apart <= sets.agrees_within).tolist() == [True, False, True, True]
    level = numeric("level", [-20.0, -14.5, math.nan], 2.0, "", "dB")
    assert level.known.tolist() == [True, True, False]
    assert level.between(np.array(0), np.array(1)) == 5.5


def test_no_tags_at_all_are_known_of_nobody() -> None:
    assert not tags([frozenset(), frozenset()], "").known.any()


TRACKS = [
    Track("a", "a.wav", genre="rock", artist="X", year=1999, tempo_bpm=100.0, tags=("loud",)),
    Track("b", "b.wav", genre="rock", artist="Y"),
    Track("c", "c.wav", genre="jazz"),
]


def test_the_manifest_goes_before_estimates_and_they_are_not_mixed() -> None:
    found = {p.name: p for p in properties_of(TRACKS, [ESTIMATE, ESTIMATE, None])}
    assert found["tempo"].source == "manifest"
    assert found["tempo"].known.tolist() == [True, False, False]
    assert found["key"].source.startswith("estimated from the sound (nearfield's own estimator; ")
    assert found["key"].known.tolist() == [True, True, False]
    assert found["level"].source == "measured from the sound"
    assert found["tilt"].unit == "dB/octave"
    assert found["genre"].between(np.array(0), np.array([1, 2])).tolist() == [0, 1]
    assert list(found) == [n for n in NAMES if n not in ("album", "package")]


def test_without_estimates_only_what_the_manifest_knows_is_there() -> None:
    assert [p.name for p in properties_of(TRACKS)] == ["tempo", "tempo_folded", "year", "genre", "artist", "tags"]
    assert properties_of([Track("a", "a.wav")]) == ()
    assert [p.name for p in properties_of(TRACKS, names=("genre", "tempo"))] == ["genre", "tempo"]


def test_an_estimate_without_beat_or_key_is_not_known() -> None:
    blank = replace(ESTIMATE, tempo_bpm=None, key="")
    found = {p.name: p for p in properties_of([Track("a", "a"), Track("b", "b")], [ESTIMATE, blank])}
    assert found["tempo"].known.tolist() == [True, False]
    assert found["key"].known.tolist() == [True, False]
    assert found["centroid"].known.all()


def test_every_property_is_zero_from_itself_symmetric_and_broadcasts() -> None:
    tracks = [replace(t, id=str(n)) for n, t in enumerate(TRACKS * 3)]
    for found in properties_of(tracks, [ESTIMATE] * 9):
        at = np.flatnonzero(found.known)
        apart = found.between(at[:, None], at[None, :])
        assert apart.shape == (at.size, at.size)
        assert apart.dtype == np.float64
        np.testing.assert_array_equal(apart, apart.T)
        assert (np.diagonal(apart) == 0).all()
        assert len(found.values) == len(tracks)


def test_what_cannot_be_a_property_is_an_error() -> None:
    with pytest.raises(PropertyError, match="there is no 'mood'"):
        properties_of(TRACKS, names=("mood",))
    with pytest.raises(PropertyError, match="2 for 3 tracks"):
        properties_of(TRACKS, [None, None])
    with pytest.raises(PropertyError, match="not above 0"):
        tempo([120.0, 0.0], "")
    with pytest.raises(PropertyError, match="infinite"):
        numeric("level", [math.inf], 1.0, "", "dB")


def test_the_accuracy_that_sources_state_is_the_one_measured() -> None:
    figures = {f["name"]: f["value"] for f in json.loads(RESULTS.read_text())["estimators"]["figures"]}
    assert set(MEASURED) == {"tempo", "key"}
    for stated in MEASURED.values():
        assert stated
        for measure, tracks, share in stated:
            assert share == round(figures[f"{tracks}: {measure}"], 2)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.frozensets(st.integers(0, 25).map(str), min_size=1), min_size=2, max_size=8))
def test_tag_distances_are_jaccard(sets: list[frozenset[str]]) -> None:
    apart = tags(sets, "").between(*all_pairs(len(sets)))
    slow = [[1 - len(one & other) / len(one | other) for other in sets] for one in sets]
    np.testing.assert_allclose(apart, slow, atol=1e-12)
