"""Retrieval against pytorch-metric-learning, on random cases: precision@1, R-precision and mAP@R of every query.

Its ties fall as torch sorts them and it measures distances in float32, so that cases in which two candidates of a query are
closer than that tells apart are left out, and so are zero vectors. It has no groups: none are given.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    calculator = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    inference = pytest.importorskip("pytorch_metric_learning.utils.inference")

from nearfield.study.tasks.relevance import by_label
from nearfield.study.tasks.retrieval import retrieve

THEIRS = {
    "precision@1": "precision_at_1",
    "R-precision": "r_precision",
    "mAP@R": "mean_average_precision_at_r",
}
APART = 1e-5  # of cosine: below that float32 may order two candidates either way


def test_every_query_agrees_with_pytorch_metric_learning() -> None:
    by_cosine = inference.CustomKNN(distances.CosineSimilarity())
    theirs = calculator.AccuracyCalculator(
        include=tuple(THEIRS.values()), k="max_bin_count", return_per_class=False, knn_func=by_cosine
    )
    cases = queries = 0
    for seed in range(2300):
        rng = np.random.default_rng(seed)
        n, kinds = int(rng.integers(2, 24)), int(rng.integers(1, 6))
        vectors = rng.normal(size=(n, int(rng.integers(2, 9)))).astype(np.float32)
        labels = rng.integers(0, kinds, n)
        vectors += rng.choice([0.0, 1.0, 3.0]) * rng.normal(size=(kinds, vectors.shape[1])).astype(np.float32)[labels]
        unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
        if (np.diff(np.sort(unit @ unit.T, axis=1)) < APART).any():
            continue
        found = retrieve(vectors, by_label([f"l{x}" for x in labels]))
        if not len(found.queries):
            continue
        expected = theirs.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
        mean = {ours: float(found.values[ours].mean()) for ours in THEIRS}
        assert mean == pytest.approx({ours: expected[name] for ours, name in THEIRS.items()}, abs=1e-6), seed
        cases += 1
        queries += len(found.queries)
    assert cases >= 2000
    assert queries >= 20_000
