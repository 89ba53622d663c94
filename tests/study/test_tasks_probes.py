"""Folds kept and read again, and probes: planted answers found, random vectors at chance, nothing tuned on the test."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.errors import BenchError
from nearfield.study.tasks import fitting, targets
from nearfield.study.tasks.fitting import fit_probe
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.probes import cross_validate, held_out
from nearfield.study.tasks.row import difference_rows, rows_of
from nearfield.study.tasks.splits import Folds, make_folds, read_folds, write_folds

SMALL = ProbeSettings(
    linear_decays=(100.0, 1.0), hidden_decays=(10.0, 0.1), hidden_units=16, linear_blocks=6, hidden_blocks=3
)
DEPTHS: tuple[Depth, ...] = ("linear", "hidden")


def catalogue(n: int = 150, seed: int = 0) -> tuple[list[str], list[str], list[str], np.ndarray]:
    """Ids, artists, labels, and artists as numbers."""
    rng = np.random.default_rng(seed)
    artists = rng.integers(0, n // 4, n)
    labels = [f"l{x}" for x in rng.integers(0, 3, n)]
    return [f"t{i}" for i in range(n)], [f"artist {a}" for a in artists], labels, artists


@given(st.lists(st.tuples(st.sampled_from(["", *"abcdefgh"]), st.sampled_from("xyz")), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_folds_keep_groups_whole_whatever_the_order(rows: list[tuple[str, str]]) -> None:
    ids, groups, labels = [f"t{i}" for i in range(len(rows))], [g for g, _ in rows], [x for _, x in rows]
    together = len({g for g in groups if g}) + groups.count("")
    if together < 3:
        with pytest.raises(BenchError, match=f"3 of {together} groups"):
            make_folds(ids, groups, labels, 3)
        return
    folds = make_folds(ids, groups, labels, 3)
    assert set(folds.fold) <= {0, 1, 2}
    for group in set(groups) - {""}:
        assert len({int(f) for f, g in zip(folds.fold, groups, strict=True) if g == group}) == 1
    turned = make_folds(ids[::-1], groups[::-1], labels[::-1], 3)
    assert turned.fold[::-1].tolist() == folds.fold.tolist()
    assert turned.catalogue == folds.catalogue


def test_folds_are_even_in_size_and_label() -> None:
    ids, groups, labels, _ = catalogue(600)
    folds = make_folds(ids, groups, labels)
    assert all(110 <= size <= 130 for size in np.bincount(folds.fold))
    for label in ("l0", "l1", "l2"):
        counts = Counter(int(f) for f, x in zip(folds.fold, labels, strict=True) if x == label)
        assert max(counts.values()) - min(counts.values()) <= 8


def test_folds_are_read_as_written_and_for_their_tracks_only(tmp_path: Path) -> None:
    ids, groups, labels, _ = catalogue()
    ids[3] = 'odd \udcff\n"name"'
    folds, path = make_folds(ids, groups, labels), tmp_path / "folds.json"
    write_folds(folds, ids, path)
    again = read_folds(path, ids[::-1], groups[::-1])
    assert again.fold[::-1].tolist() == folds.fold.tolist()
    assert (again.count, again.catalogue) == (5, folds.catalogue)
    assert json.loads(path.read_text())["format"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["folds.json"]
    with pytest.raises(BenchError, match="other tracks or groups"):
        read_folds(path, ids, ["another", *groups[1:]])
    with pytest.raises(BenchError, match="other tracks or groups"):
        read_folds(path, ids[1:], groups[1:])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "is not a file of folds"),
        ("[]", "is not a file of folds"),
        ("{}", "is not a file of folds"),
        ('{"format": 9, "count": 5, "catalogue": "", "folds": {}}', "format is 9"),
        ('{"format": 1, "count": 5, "catalogue": "", "folds": {}}', "other tracks"),
        ('{"format": 1, "count": 5, "catalogue": "HASH", "folds": {"a": 1}}', "without a fold"),
        ('{"format": 1, "count": 5, "catalogue": "HASH", "folds": {"a": 1, "b": 5}}', "without a fold"),
        ('{"format": 1, "count": 5, "catalogue": "HASH", "folds": {"a": 1, "b": true}}', "without a fold"),
    ],
)
def test_other_files_are_no_folds(tmp_path: Path, text: str, cause: str) -> None:
    path, ids, groups = tmp_path / "folds.json", ["a", "b"], ["", ""]
    path.write_text(text.replace("HASH", make_folds(ids, groups, count=2).catalogue))
    with pytest.raises(BenchError, match=cause):
        read_folds(path, ids, groups)


def test_folds_that_cannot_be_made_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="2 ids \\(1 of them different\\)"):
        make_folds(["a", "a"], ["", ""])
    with pytest.raises(BenchError, match="give the file"):
        read_folds(tmp_path / "gone.json", [], [])
    with pytest.raises(BenchError, match="can be written"):
        write_folds(make_folds(["a", "b"], ["", ""], count=2), ["a", "b"], tmp_path / "gone" / "folds.json")


@pytest.mark.parametrize("depth", DEPTHS)
def test_vectors_that_are_the_labels_are_perfect(depth: Depth) -> None:
    ids, groups, labels, artists = catalogue()
    folds = make_folds(ids, groups, labels, 3)
    rng = np.random.default_rng(0)
    flags = rng.random((150, 3)) < 0.4
    numbers = rng.normal(size=(150, 2))
    onehot = np.eye(3)[[int(x[1]) for x in labels]]
    cases = (
        (onehot, targets.classes(labels), {"accuracy": 1.0, "macro-F1": 1.0}),
        (flags, targets.flagged(flags, "abc"), {"ROC-AUC": 1.0, "mAP": 1.0}),
        (flags[:, :1], targets.flagged(flags[:, :1], "a"), {"ROC-AUC": 1.0, "mAP": 1.0}),
        (numbers, targets.numbers(numbers, "xy"), {"R2": 1.0}),
        (numbers[:, :1], targets.numbers(numbers[:, :1], "x"), {"R2": 1.0}),
    )
    for vectors, wanted, expected in cases:
        answers = cross_validate(vectors.astype(np.float32), wanted, folds, artists, depth, 0, SMALL)
        assert sorted(answers.rows) == list(range(150))
        rows = rows_of("task", answers.measures(), artists[answers.rows], 0, rounds=100)
        near = 0.05 if "R2" in expected else 0.001
        assert {r.metric: r.value for r in rows} == pytest.approx(expected, abs=near)
        assert all(r.chance < 0.6 and r.low > r.chance and r.n == 150 for r in rows)


def test_random_vectors_are_at_chance() -> None:
    inside, above = [], []
    for seed in range(4):
        ids, groups, _, artists = catalogue(160, seed)
        rng = np.random.default_rng(100 + seed)
        labels = [f"l{x}" for x in rng.permutation(np.arange(160) % 3)]
        vectors, flags = rng.normal(size=(160, 8)).astype(np.float32), rng.random((160, 2)) < 0.3
        folds, depth = make_folds(ids, groups, labels), DEPTHS[seed == 3]
        for wanted in (targets.classes(labels), targets.flagged(flags, "ab")):
            answers = cross_validate(vectors, wanted, folds, artists, depth, 0, SMALL)
            for row in rows_of("task", answers.measures(), artists[answers.rows], 0, rounds=200):
                inside.append(row.low <= row.chance <= row.high)
                above.append(row.value - row.chance)
    assert np.mean(inside) > 0.8  # 95 % are meant, of 16 figures of four draws
    assert np.mean(above) == pytest.approx(0, abs=0.02)
    noise = targets.numbers(np.random.default_rng(0).normal(size=(160, 1)), "x")
    answers = cross_validate(vectors, noise, folds, artists, "linear", 0, SMALL)
    assert answers.measures()[0].statistic(np.ones((1, 160)))[0] < 0.05


def test_a_hidden_layer_finds_what_a_line_cannot() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.choice([-1.0, 1.0], (300, 2)).astype(np.float32) + 0.1 * rng.normal(size=(300, 2)).astype(np.float32)
    wanted = targets.classes(["same" if x else "other" for x in vectors[:, 0] * vectors[:, 1] > 0])
    learn, asked, alone = np.arange(200), np.arange(200, 300), np.full(300, -1)
    right = {
        depth: held_out(vectors, wanted, learn, asked, alone, depth, 0, SMALL)
        .measures()[0]
        .statistic(np.ones((1, 100)))[0]
        for depth in DEPTHS
    }
    assert right["hidden"] > 0.95
    assert right["linear"] < 0.85  # a line has three of the four corners at best


def test_nothing_of_the_tracks_asked_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    vectors, labels = rng.normal(size=(80, 5)).astype(np.float32), [f"l{x}" for x in rng.integers(0, 2, 80)]
    learn, asked, alone = np.arange(60), np.arange(60, 80), np.full(80, -1)
    moved, swapped = vectors.copy(), list(labels)
    moved[61:] *= 1000
    swapped[61:] = ["l0"] * 19
    for depth in DEPTHS:
        first = held_out(vectors, targets.classes(labels, ("l0", "l1")), learn, asked, alone, depth, 0, SMALL)
        second = held_out(moved, targets.classes(swapped, ("l0", "l1")), learn, asked, alone, depth, 0, SMALL)
        assert first.said[0].tolist() == second.said[0].tolist()
        assert first.choices == second.choices


def test_the_setting_is_chosen_on_whole_groups_set_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, labels, artists = catalogue(100, seed=5)
    wanted = targets.classes(labels)
    apart = fitting.set_apart(artists, wanted)
    assert not set(artists[apart]) & set(artists[~apart])
    assert 10 <= apart.sum() <= 30
    seen: list[int] = []
    real = fitting.judged
    monkeypatch.setattr(fitting, "judged", lambda t, a: seen.append(len(a)) or real(t, a))
    vectors = np.eye(3, dtype=np.float32)[wanted.codes]
    probe = fit_probe(vectors, wanted, artists, "linear", SMALL, np.random.default_rng(0))
    assert seen == [int(apart.sum())] * 2
    assert probe.choice.decay == 1.0  # what is plain is said the more surely
    assert -0.2 < probe.choice.validated < 0
    assert probe.choice.at_edge


def test_a_choice_at_the_edge_of_the_grid_is_told() -> None:
    rng = np.random.default_rng(9)
    vectors = rng.normal(size=(120, 6)).astype(np.float32)
    wanted, alone = targets.numbers(vectors[:, :1] + rng.normal(size=(120, 1)), "x"), np.full(120, -1)
    for decays, edge in (((1e6, 10.0, 1e-6), False), ((1e8, 1e7, 1e6), True), ((10.0,), False)):
        grid = ProbeSettings(linear_decays=decays)
        answers = held_out(vectors, wanted, np.arange(90), np.arange(90, 120), alone, "linear", 0, grid)
        assert [c.at_edge for c in answers.choices] == [edge]
        assert answers.at_edge == edge


def test_the_grid_is_judged_by_likelihood() -> None:
    likely = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    kinds, flags = targets.classes(["a", "a"], ("a", "b", "c")), targets.flagged([[1, 0], [0, 0]], "ab")
    assert fitting.judged(kinds, likely) == pytest.approx((np.log(0.5) + np.log(1e-6)) / 2)
    expected = (np.log(0.5) + np.log(0.75) + np.log(1 - 1e-6) + np.log(1e-6)) / 2
    assert fitting.judged(flags, likely[:, :2]) == pytest.approx(expected)
    assert fitting.judged(targets.numbers([[1.0], [1.0]], "x"), np.ones((2, 1))) == -np.inf


@pytest.mark.parametrize("depth", DEPTHS)
def test_without_a_block_is_what_a_probe_of_the_other_tracks_says(depth: Depth) -> None:
    ids, groups, labels, artists = catalogue(90, seed=11)
    folds, wanted = make_folds(ids, groups, labels, 3), targets.classes(labels)
    vectors = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    answers = cross_validate(vectors, wanted, folds, artists, depth, 0, SMALL)
    block = np.empty(90, int)
    block[answers.rows] = answers.block
    assert len(answers.without) == {"linear": 6, "hidden": 3}[depth] == len(set(block))
    for g in set(block):
        assert len(set(folds.fold[block == g])) == 1
        assert not set(artists[block == g]) & set(artists[block != g])
    learn = np.flatnonzero(folds.fold != 0)
    probe = fit_probe(vectors[learn], wanted.of(learn), artists[learn], depth, SMALL, np.random.default_rng(0))
    here, g = answers.fold == 0, int(block[learn[0]])
    rest = learn[block[learn] != g]
    again = probe.again(vectors[rest], wanted.of(rest)).scores(vectors[answers.rows[here]])
    assert answers.without[g][here] == pytest.approx(again, abs=1e-9)
    own = int(block[answers.rows[here][0]])
    assert answers.without[own][here].tolist() == answers.said[here].tolist()


def test_standardisation_makes_scale_and_offset_nothing() -> None:
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(90, 4)).astype(np.float32)
    labels = [f"l{int(x > 0)}" for x in vectors[:, 0] + 0.5 * rng.normal(size=90)]
    other = (vectors * np.array([1, 100, 0.01, 5]) + np.array([0, 3, 0.1, -2])).astype(np.float32)
    constant = np.concatenate([vectors, np.full((90, 1), 0.1, np.float32)], axis=1)
    alone = np.full(90, -1)
    one, two, three = (
        held_out(v, targets.classes(labels), np.arange(70), np.arange(70, 90), alone, "linear", 0, SMALL).said
        for v in (vectors, other, constant)
    )
    assert two == pytest.approx(one, abs=1e-3)
    assert three == pytest.approx(one, abs=1e-4)


def test_unknown_targets_neither_teach_nor_are_asked_and_unseen_classes_are_wrong() -> None:
    labels = ["a", "b"] * 20 + ["", "rare"]
    vectors = np.random.default_rng(7).normal(size=(42, 3)).astype(np.float32)
    ids = [f"t{i}" for i in range(42)]
    folds = make_folds(ids, [""] * 42, labels)
    answers = cross_validate(vectors, targets.classes(labels), folds, np.full(42, -1), "linear", 0, SMALL)
    assert sorted(answers.rows) == [*range(40), 41]
    place = answers.rows.tolist().index(41)
    assert answers.said[place].argmax() != answers.targets.codes[place]
    sets = targets.tags([frozenset("ab"), frozenset(), frozenset("b")])
    assert sets.known.tolist() == [True, False, True]
    assert sets.values.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_no_known_target_is_a_counted_nothing() -> None:
    folds = make_folds(["a", "b"], ["", ""], count=2)
    vectors, alone = np.ones((2, 3), np.float32), np.array([-1, -1])
    for wanted in (
        targets.classes(["", ""]),
        targets.numbers([[np.nan], [np.nan]], "x"),
        targets.tags([frozenset()] * 2),
    ):
        answers = cross_validate(vectors, wanted, folds, alone, "linear", 0)
        rows = rows_of("task", answers.measures(), np.empty(0, int), 0)
        assert [r.n for r in rows] == [0] * len(rows)
        assert all(np.isnan(r.value) for r in rows)


def test_two_embeddings_are_compared_on_the_same_tracks() -> None:
    ids, groups, labels, artists = catalogue()
    folds, wanted = make_folds(ids, groups, labels), targets.classes(labels)
    good = np.eye(3, dtype=np.float32)[wanted.codes]
    poor = np.random.default_rng(8).normal(size=(150, 3)).astype(np.float32)
    a, b = (cross_validate(v, wanted, folds, artists, "linear", 0, SMALL) for v in (good, poor))
    row = difference_rows("genre", a.measures(), b.measures(), artists[a.rows], 0, rounds=200)[0]
    assert (row.metric, row.n, row.chance) == ("accuracy", 150, 0.0)
    assert row.low > 0.4


def test_malformed_input_is_an_error() -> None:
    vectors, alone, rng = np.ones((4, 2), np.float32), np.array([0, 1, 2, 3]), np.random.default_rng(0)
    wanted = targets.classes(["a", "b", "a", "b"])
    with pytest.raises(BenchError, match="for 4 known targets"):
        fit_probe(vectors[:3], wanted, alone, "linear", SMALL, rng)
    with pytest.raises(BenchError, match="NaN or infinity"):
        fit_probe(vectors * np.nan, wanted, alone, "linear", SMALL, rng)
    with pytest.raises(BenchError, match="1 classes"):
        fit_probe(vectors, targets.classes(["a"] * 4), alone, "linear", SMALL, rng)
    with pytest.raises(BenchError, match="groups"):
        fit_probe(vectors, wanted, np.zeros(4, int), "linear", SMALL, rng)
    with pytest.raises(BenchError, match="in two folds"):
        cross_validate(vectors, wanted, Folds(np.array([0, 1, 0, 1]), 2, ""), np.zeros(4, int), "linear", 0)
    with pytest.raises(BenchError, match="both to learn from and to ask"):
        held_out(vectors, wanted, [0, 1], [1, 2], alone, "linear", 0)
    with pytest.raises(BenchError, match="'c' is no class"):
        targets.classes(["a", "c"], ("a", "b"))
    with pytest.raises(BenchError, match="finite"):
        targets.numbers([[np.inf]], "x")
    with pytest.raises(BenchError, match="beside 0 and 1"):
        targets.flagged([[2]], "x")


def test_without_scikit_learn_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    wanted = targets.classes(["a", "b", "a", "b"])
    with pytest.raises(BenchError, match=r"pip install 'nearfield\[bench\]'"):
        fit_probe(np.ones((4, 2), np.float32), wanted, np.arange(4), "linear", SMALL, np.random.default_rng(0))
