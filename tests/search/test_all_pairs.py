"""Neighbours of all tracks at once: equal to the search for one, whatever the blocks, ties and exclusions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.errors import SpaceError
from nearfield.search import all_pairs
from nearfield.search.all_pairs import nearest_of_all
from nearfield.search.exact import top_k


def barred(row: int, n: int, groups: list[npt.NDArray[np.int64]]) -> list[int]:
    """The row itself and all that share a group with it, one pair at a time."""
    return [j for j in range(n) if j == row or any(g[j] == g[row] != -1 for g in groups)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 70),
    d=st.integers(1, 9),
    k=st.integers(0, 80),
    block=st.integers(1, 64),
    levels=st.sampled_from([0, 1, 2, 1000]),
    n_groups=st.integers(0, 2),
)
def test_equals_the_search_for_one(seed: int, n: int, d: int, k: int, block: int, levels: int, n_groups: int) -> None:
    rng = np.random.default_rng(seed)  # few levels: many ties and zero vectors
    vectors = rng.integers(-levels, levels + 1, (n, d)).astype(np.float32)
    groups = [rng.integers(-1, 3, n) for _ in range(n_groups)]
    found = nearest_of_all(vectors, k, groups, block=block)
    wanted = top_k(vectors, vectors, min(k, n - 1), [barred(i, n, groups) for i in range(n)])
    assert found.indices.shape == (n, min(k, n - 1))
    assert np.array_equal(found.indices, wanted.indices)
    assert np.array_equal(found.scores, wanted.scores)


def test_blocks_and_chosen_queries_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((900, 32)).astype(np.float32)
    vectors[100:180] = vectors[7]  # eighty copies: more than the pools hold
    vectors[300:340] = 0
    whole = nearest_of_all(vectors, 30)
    wanted = top_k(vectors, vectors, 30, [[i] for i in range(900)])
    assert np.array_equal(whole.indices, wanted.indices)
    assert whole.indices[7].tolist() == list(range(100, 130))
    assert whole.indices[100].tolist() == [7, *range(101, 130)]
    assert whole.indices[305].tolist() == list(range(30))  # nothing is near a zero vector: ties by number
    monkeypatch.setattr(all_pairs, "QUERY_BLOCK", 77)
    rows = rng.permutation(900)[:200]
    part = nearest_of_all(vectors, 30, queries=rows, block=111)
    assert np.array_equal(part.indices, whole.indices[rows])
    assert np.array_equal(part.scores, whole.scores[rows])


def test_one_group_of_all_leaves_nobody() -> None:
    vectors = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    found = nearest_of_all(vectors, 3, np.zeros(9, int))
    assert (found.indices == -1).all()
    assert (found.scores == -np.inf).all()
    assert (nearest_of_all(vectors, 3, np.full(9, -1)).indices >= 0).all()


def test_few_allowed_are_filled_with_minus_one() -> None:
    vectors = np.eye(5, dtype=np.float32)
    found = nearest_of_all(vectors, 99, np.array([0, 0, 0, 0, 1]))
    assert found.indices.shape == (5, 4)
    assert found.indices[0].tolist() == [4, -1, -1, -1]
    assert found.indices[4].tolist() == [0, 1, 2, 3]


def test_one_vector_and_none_have_no_neighbours() -> None:
    assert nearest_of_all(np.ones((1, 3), np.float32), 5).indices.shape == (1, 0)
    assert nearest_of_all(np.ones((0, 3), np.float32), 5).indices.shape == (0, 0)
    assert nearest_of_all(np.eye(3, dtype=np.float32), 2, queries=[]).indices.shape == (0, 2)


def test_malformed_input_is_an_error() -> None:
    vectors = np.eye(4, dtype=np.float32)
    with pytest.raises(SpaceError, match="shape"):
        nearest_of_all(vectors[0], 1)
    with pytest.raises(SpaceError, match="group array"):
        nearest_of_all(vectors, 1, np.zeros(3, int))
    with pytest.raises(SpaceError, match="group array"):
        nearest_of_all(vectors, 1, np.zeros(4))
    with pytest.raises(SpaceError, match="from 0 to 3"):
        nearest_of_all(vectors, 1, queries=[4])
    vectors[2, 1] = np.nan
    with pytest.raises(SpaceError, match="vector 2"):
        nearest_of_all(vectors, 1)
