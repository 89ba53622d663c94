"""Retrieval against slow definitions, scikit-learn, every order of a few candidates, and planted answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from nearfield.errors import BenchError, SpaceError
from nearfield.study.tasks import chance, retrieval
from nearfield.study.tasks.relevance import Relevance, by_flags, by_label, by_tags
from nearfield.study.tasks.retrieval import Retrieval, best_first, retrieve
from nearfield.study.tasks.row import difference_rows, rows_of
from oracles.bench import every_order, slow_chance, slow_order, slow_retrieval

SIZES = (1, 3, 10)


def random_case(seed: int) -> tuple[np.ndarray, Relevance, np.ndarray, np.ndarray]:
    """Few coordinates, so that ties, copies and zero vectors come; labels or tags; two group arrays; the gains of all pairs."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 14))
    vectors = rng.integers(-1, 2, (n, 3)).astype(np.float32)
    if rng.random() < 0.5:
        labels = [str(x) for x in rng.choice(["", "a", "b", "c"], n)]
        relevance = by_label(labels)
        gains = np.array([[float(a == b) for b in labels] for a in labels])
    else:
        sets = [frozenset(str(t) for t in np.flatnonzero(rng.random(4) < 0.4)) for _ in range(n)]
        relevance = by_tags(sets)
        gains = np.array([[len(a & b) / max(1, len(a | b)) for b in sets] for a in sets])
    return vectors, relevance, rng.integers(-1, 4, (2, n)), gains


def allowed_of(query: int, known: np.ndarray, groups: np.ndarray) -> list[int]:
    return [j for j in range(len(known)) if known[j] and j != query and not any(g[query] == g[j] >= 0 for g in groups)]


def test_every_metric_agrees_with_its_definition_on_random_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    for seed in range(400):
        vectors, relevance, groups, gains = random_case(seed)
        monkeypatch.setattr(retrieval, "_CELLS", 1 + seed % 40)  # blocks of one query and more
        found = retrieve(vectors, relevance, groups, SIZES)
        known = np.asarray(relevance.known)
        candidates = {q: allowed_of(q, known, groups) for q in np.flatnonzero(known)}
        answerable = [q for q, them in candidates.items() if any(gains[q, j] > 0 for j in them)]
        assert found.queries.tolist() == answerable
        assert found.unlabelled == int((~known).sum())
        assert found.unanswerable == int(known.sum()) - len(answerable)
        assert found.directionless == int((known & ~vectors.any(axis=1)).sum())
        for n, q in enumerate(answerable):
            slow = slow_retrieval([gains[q, j] for j in slow_order(vectors, q, candidates[q])], SIZES)
            assert {name: values[n] for name, values in found.values.items()} == pytest.approx(slow, abs=1e-12)
        asked += len(answerable)
    assert asked > 1500


def test_chance_is_the_mean_over_every_order() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 7):
        flags = (rng.random((n, 3)) < 0.6).astype(int)
        flags[0] = 1
        flags[1, 0] = 1
        found = retrieve(rng.normal(size=(n, 4)).astype(np.float32), by_flags(flags), None, SIZES)
        gains = [float((flags[0] & f).sum() / (flags[0] | f).sum()) for f in flags[1:] if f.any()]
        assert {name: c[0] for name, c in found.chance.items()} == pytest.approx(every_order(gains, SIZES), abs=1e-12)


@given(st.integers(1, 400), st.data())
@settings(max_examples=100, deadline=None)
def test_chance_of_many_candidates_agrees_with_counting(candidates: int, data: st.DataObject) -> None:
    relevant = data.draw(st.integers(1, candidates))
    for name, expected in slow_chance(candidates, relevant).items():
        assert float(getattr(chance, name)(candidates, relevant)) == pytest.approx(expected, rel=1e-9)


def test_chance_of_nothing_relevant_is_no_figure() -> None:
    for figure in (chance.r_precision, chance.map_at_r, chance.average_precision, chance.reciprocal_rank):
        assert math.isnan(float(figure(5, 0)))
        assert float(figure(7, 7)) == pytest.approx(1)


def test_ndcg_and_average_precision_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    flags = (rng.random((60, 5)) < 0.4).astype(int)
    vectors = rng.normal(size=(60, 6)).astype(np.float32)
    found = retrieve(vectors, by_flags(flags), None, SIZES)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for n, q in enumerate(found.queries):
        others = [j for j in range(60) if j != q and flags[j].any()]
        gains = np.array([(flags[q] & flags[j]).sum() / (flags[q] | flags[j]).sum() for j in others])
        scores = unit[others] @ unit[q]
        assert found.values["nDCG"][n] == pytest.approx(ndcg_score([gains], [scores]), abs=1e-9)
        assert found.values["nDCG@10"][n] == pytest.approx(ndcg_score([gains], [scores], k=10), abs=1e-9)
        early = np.argsort(-scores)[
            : (gains > 0).sum()
        ]  # mAP@R is the average precision of the first R, times its recall
        hits = gains[early] > 0
        expected = average_precision_score(hits, -np.arange(len(early))) * hits.mean() if hits.any() else 0
        assert found.values["mAP@R"][n] == pytest.approx(expected, abs=1e-9)


def test_equal_vectors_tie_and_go_to_the_lower_index() -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(size=512).astype(np.float32)
    vectors = np.outer(rng.random(300) + 0.5, one).astype(np.float32)  # of one direction, to rounding
    vectors[:150] = one
    labels = ["b"] * 149 + ["a", "a"] + ["b"] * 149
    found = retrieve(vectors[:150], by_label([*labels[:149], "b"]), None)
    assert found.values["MRR"].tolist() == [1.0] * 150
    alone = retrieve(vectors[:150], by_label([*labels[:148], "a", "a"]), None)
    assert 1 / alone.values["MRR"][-1] == pytest.approx(149)  # its like stands last among the equals before it


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_order_is_that_of_a_stable_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([-1, -0.5, -1e-17, -0.0, 0.0, 1e-17, 1e-6, 0.25, 1 - 1e-6, 1 - 1e-16, 1])
    cosines, barred = rng.choice(values, (3, 20)), rng.random((3, 20)) < 0.3
    slow = [
        sorted(range(20), key=lambda j: (bool(b[j]), 0 if b[j] else -round(float(c[j]), 9), j))
        for c, b in zip(cosines, barred, strict=True)
    ]
    assert best_first(cosines, barred).tolist() == slow


def planted(seed: int, n: int = 200) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    return [f"l{x}" for x in rng.integers(0, 4, n)], rng.integers(0, 40, n)


def test_vectors_that_are_the_labels_are_perfect() -> None:
    labels, artists = planted(3)
    vectors = np.eye(4, dtype=np.float32)[[int(x[1]) for x in labels]]
    found = retrieve(vectors, by_label(labels), artists)
    for row in rows_of("genre", found.measures(), artists[found.queries], seed=0):
        assert (row.value, row.low, row.high, row.n) == (1.0, 1.0, 1.0, 200)
        assert row.chance < 0.95
    tags = np.random.default_rng(0).random((80, 8)) < 0.4
    graded = retrieve(tags.astype(np.float32), by_flags(tags), None)  # cosines of flags go with shared tags
    assert graded.values["precision@1"].mean() == 1
    assert 0.97 < graded.values["nDCG"].mean() <= 1


def test_random_vectors_are_at_chance() -> None:
    inside = total = 0
    for seed in range(8):
        labels, artists = planted(seed)
        vectors = np.random.default_rng(100 + seed).normal(size=(200, 16)).astype(np.float32)
        found = retrieve(vectors, by_label(labels), artists)
        for row in rows_of("genre", found.measures(), artists[found.queries], seed=0, rounds=400):
            inside += row.low <= row.chance <= row.high
            total += 1
    assert inside / total > 0.8  # 95 % are meant; 80 figures of eight draws


def test_an_artist_who_is_all_of_a_label_is_counted_not_asked() -> None:
    labels = ["a", "a", "b", "b", "", "c"]
    found = retrieve(np.eye(6, dtype=np.float32), by_label(labels), np.array([0, 0, 1, 2, 3, 4]))
    assert found.queries.tolist() == [2, 3]
    assert (found.unanswerable, found.unlabelled) == (3, 1)


def test_nothing_to_ask_is_a_counted_nothing() -> None:
    for n, labels in ((3, ["", "", ""]), (3, ["a", "b", "c"]), (0, [])):
        found = retrieve(np.ones((n, 2), np.float32), by_label(labels))
        rows = rows_of("genre", found.measures(), np.empty(0, int), seed=0)
        assert len(rows) == 10
        assert all(math.isnan(r.value) and math.isnan(r.chance) and r.n == 0 for r in rows)
        assert rows[0].as_dict() == {
            "task": "genre", "metric": "precision@1", "value": None, "low": None, "high": None, "n": 0, "seed": 0, "chance": None,
        }  # fmt: skip


def test_malformed_input_is_an_error() -> None:
    labels, vectors = by_label(["a", "a"]), np.ones((2, 3), np.float32)
    with pytest.raises(BenchError, match=r"\(2,\) for 2 tracks"):
        retrieve(vectors[:, 0], labels)
    with pytest.raises(BenchError, match=r"shape \(1, 3\) for 2 tracks"):
        retrieve(vectors[:1], labels)
    with pytest.raises(BenchError, match="vector 1 holds NaN"):
        retrieve(np.array([[1, 0], [np.nan, 0]], np.float32), labels)
    with pytest.raises(BenchError, match="ask for one or more"):
        retrieve(vectors, labels, sizes=(0,))
    with pytest.raises(SpaceError, match="group array"):
        retrieve(vectors, labels, np.array([0, 1, 2]))
    with pytest.raises(BenchError, match="not all 0 or 1"):
        by_flags(np.array([[0.5]]))
    found: Retrieval = retrieve(vectors, labels)
    with pytest.raises(BenchError, match=r"\(3,\) for 2 tracks"):
        rows_of("genre", found.measures(), np.zeros(3, int), 0)


def test_the_difference_of_two_embeddings_is_paired() -> None:
    labels, artists = planted(5)
    rng = np.random.default_rng(0)
    near = np.eye(4)[[int(x[1]) for x in labels]]
    first = retrieve((near + 0.6 * rng.normal(size=near.shape)).astype(np.float32), by_label(labels), artists)
    second = retrieve((near + 0.7 * rng.normal(size=near.shape)).astype(np.float32), by_label(labels), artists)
    a, b, apart = (
        {r.metric: r for r in rows}
        for rows in (
            rows_of("x", first.measures(), artists[first.queries], 7),
            rows_of("x", second.measures(), artists[second.queries], 7),
            difference_rows("x", first.measures(), second.measures(), artists[first.queries], 7),
        )
    )
    for name, row in apart.items():
        assert row.value == pytest.approx(a[name].value - b[name].value)
        assert row.chance == 0
        assert row.low < row.value < row.high
    same = difference_rows("x", first.measures(), first.measures(), artists[first.queries], 7)
    assert {(r.value, r.low, r.high) for r in same} == {(0.0, 0.0, 0.0)}
    other = retrieve(np.eye(3, dtype=np.float32), by_label(["a", "a", "a"]))
    with pytest.raises(BenchError, match="not asked the same"):
        difference_rows("x", first.measures(), other.measures(), artists, 7)
