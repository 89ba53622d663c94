"""Exact search against a slow reference, and its promises at the edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.errors import SpaceError
from nearfield.search.exact import cosines, top_k


def reference(query: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], k: int, gone: set[int]) -> list[int]:
    """The best k rows by float64 cosines rounded to float32, one pair at a time; ties by index."""
    scored = []
    for i, vector in enumerate(vectors):
        if i not in gone:
            norms = np.linalg.norm(query.astype(float)) * np.linalg.norm(vector.astype(float))
            cosine = float(query.astype(float) @ vector.astype(float) / norms) if norms > 0 else 0.0
            scored.append((-round(cosine, 5), i))
    return [i for _, i in sorted(scored)][:k]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 60),
    d=st.integers(1, 9),
    k=st.integers(0, 70),
    block=st.integers(1, 64),
    levels=st.sampled_from([1, 2, 1000]),
)
def test_equals_the_reference(seed: int, n: int, d: int, k: int, block: int, levels: int) -> None:
    generator = np.random.default_rng(seed)  # few levels: many ties and zero vectors
    vectors = generator.integers(-levels, levels + 1, (n, d)).astype(np.float32)
    queries = generator.integers(-levels, levels + 1, (3, d)).astype(np.float32)
    exclude = [list(generator.integers(0, n, 2)) if n else [] for _ in queries]
    found = top_k(queries, vectors, k, exclude=exclude, block=block)
    assert found.indices.shape == found.scores.shape == (3, min(k, n))
    assert not np.isnan(found.scores).any()
    for q, query in enumerate(queries):
        expected = reference(query, vectors, k, set(exclude[q]))
        got = [i for i in found.indices[q] if i >= 0]
        assert len(got) == len(expected)
        if levels < 1000:  # exact ties: the order is pinned
            assert got == expected
        all_scores = cosines(query, vectors)
        np.testing.assert_allclose(found.scores[q][: len(got)], all_scores[expected], atol=2e-5)
        assert all(a >= b for a, b in zip(found.scores[q], found.scores[q][1:], strict=False))


def test_blocks_do_not_change_a_bit() -> None:
    generator = np.random.default_rng(1)
    vectors = generator.standard_normal((1000, 48)).astype(np.float32)
    vectors[500:600] = vectors[7]  # a hundred copies, over several blocks
    whole = top_k(vectors[:20], vectors, 150)
    for block in (1, 7, 64, 333):
        blocked = top_k(vectors[:20], vectors, 150, block=block)
        assert np.array_equal(whole.indices, blocked.indices)
        assert np.array_equal(whole.scores, blocked.scores)
    assert list(whole.indices[7][:101]) == [7, *range(500, 600)]
    assert whole.scores[7][0] == 1.0


def test_zero_and_huge_and_tiny_vectors() -> None:
    vectors = np.array([[0, 0], [3e38, 0], [1e-40, 1e-40], [-1, 0]], np.float32)
    found = top_k(np.array([1, 0], np.float32), vectors, 4)
    assert list(found.indices[0]) == [1, 2, 0, 3]
    np.testing.assert_allclose(found.scores[0], [1, np.sqrt(0.5), 0, -1], atol=1e-5)
    zero = top_k(np.zeros(2, np.float32), vectors, 4)
    assert list(zero.indices[0]) == [0, 1, 2, 3]
    assert not zero.scores.any()


def test_too_few_are_filled_with_minus_one() -> None:
    found = top_k(np.ones((1, 2), np.float32), np.ones((2, 2), np.float32), 5, exclude=[[0]])
    assert found.indices.tolist() == [[1, -1]]
    assert found.scores[0, 1] == -np.inf


def test_malformed_input_is_an_error() -> None:
    vectors = np.ones((3, 4), np.float32)
    with pytest.raises(SpaceError, match="shape"):
        top_k(np.ones(5, np.float32), vectors, 1)
    with pytest.raises(SpaceError, match="NaN"):
        top_k(np.full(4, np.nan, np.float32), vectors, 1)
    with pytest.raises(SpaceError, match="exclusions"):
        top_k(np.ones(4, np.float32), vectors, 1, exclude=[[], []])
    vectors[2, 1] = np.inf
    with pytest.raises(SpaceError, match="vector 2"):
        top_k(np.ones(4, np.float32), vectors, 1)
