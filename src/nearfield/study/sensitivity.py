"""How far an embedding moves when one property of the sound is changed, and whether it still finds the original.

For a sample of a catalogue's tracks the middle of each is changed (`versions`), embedded, and compared with the unchanged
middle and with the catalogue. Every figure is over the tracks, with a bootstrap interval. The unchanged middle is the
baseline: it is not the whole track, of which the catalogue's vector is, so that its own rank need not be 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.data.manifest import Manifest
from nearfield.errors import Failure, SpaceError
from nearfield.search.exact import top_k
from nearfield.sound.manipulate import KINDS, Manipulation, standard
from nearfield.study.metrics import Estimate, Vectors, bootstrap_mean, unit
from nearfield.study.version_vectors import Embed, VersionEmbedder, VersionVectors
from nearfield.study.versions import Progress, Recipe, Sound, VersionStore, make_versions

UNCHANGED = "unchanged"
_EQUAL = np.float32(1e-6)  # cosines this near are equal up to rounding
_ROUNDS = 2000


@dataclass(frozen=True)
class AmountResult:
    """What one change by one amount does, over the tracks it could be made on; medians and means with 95 % intervals.

    `distance`: cosine distance from the unchanged excerpt to the changed one, `distance_to_track` from the track's vector in
    the catalogue, both as a fraction of the mean distance of two tracks of the catalogue: 1 is as far as any other
    piece. `recall_at_1`, `median_rank`: where the track stands among the whole catalogue when the changed excerpt asks.
    `kept`: share of the unchanged excerpt's K nearest, the track itself left out, that are also those of the changed one.
    """

    kind: str
    amount: float
    unit: str
    distance: Estimate
    distance_to_track: Estimate
    recall_at_1: Estimate
    median_rank: Estimate
    kept: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None for an infinite amount (no codec, no noise), and for figures over no tracks."""
        estimates = {k: v.as_dict() for k, v in self.__dict__.items() if isinstance(v, Estimate)}
        found = {k: {n: _plain(x) for n, x in v.items()} for k, v in estimates.items()}
        return {"kind": self.kind, "amount": _plain(self.amount), "unit": self.unit, **found}


@dataclass(frozen=True)
class Sensitivity:
    """The answers for one embedding. By chance: `kept` k / (n_catalogue - 1), `recall_at_1` 1 / n_catalogue.

    `n_tracks` were asked about; `random_distance` is the mean cosine distance of all pairs of the catalogue.
    """

    k: int
    n_catalogue: int
    n_tracks: int
    excerpt_s: float
    random_distance: float
    baseline: AmountResult
    amounts: tuple[AmountResult, ...]
    failures: tuple[Failure, ...]
    change_seconds: float
    embed_seconds: float

    @property
    def chance_kept(self) -> float:
        return self.k / (self.n_catalogue - 1)

    def curve(self, kind: str) -> tuple[AmountResult, ...]:
        """The results of one kind by amount, the baseline in its place at the identity."""
        still = AmountResult(**{**self.baseline.__dict__, "kind": kind, "amount": KINDS[kind].identity})
        found = [*(a for a in self.amounts if a.kind == kind), still]
        return tuple(sorted(found, key=lambda a: a.amount))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {**self.__dict__, "chance_kept": self.chance_kept, "baseline": self.baseline.as_dict()}
        found["amounts"] = [a.as_dict() for a in self.amounts]
        found["failures"] = [asdict(f) for f in self.failures]
        return found


def draw_sounds(manifest: Manifest, ids: Sequence[str], most: int, rng: np.random.Generator) -> tuple[Sound, ...]:
    """Up to `most` tracks of the catalogue (its track ids by row) whose files the manifest knows, drawn at random.

    Raises SpaceError where they share no id.
    """
    files = {track.id: str(manifest.locate(track)) for track in manifest}
    rows = [row for row, id in enumerate(ids) if id in files]
    if not rows:
        cause = f"shares no id with manifest {manifest.name!r}" + (f" (its first is {ids[0]!r})" if ids else "")
        raise SpaceError("catalogue", cause, "give the manifest it was made from, and the ids of its tracks")
    drawn = rng.permutation(len(rows))[: max(0, most)]
    return tuple(Sound(rows[i], ids[rows[i]], files[ids[rows[i]]]) for i in sorted(drawn))


def measure_sensitivity(
    sounds: Sequence[Sound],
    catalogue: Vectors,
    embed: Embed,
    cache: Path,
    rng: np.random.Generator,
    *,
    manipulations: Sequence[Manipulation] | None = None,
    recipe: Recipe | None = None,
    k: int = 10,
    digest: str | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Sensitivity:
    """Change, embed and compare these tracks of a `catalogue` of (N, D) vectors; the standard changes when None.

    `embed` must be what made the catalogue. Versions are kept in `cache`, and vectors too where the `digest` of the
    embedding is given; a run that was ended goes on from there. `k` is cut to N - 1. Tracks and versions that fail are
    listed. Raises SpaceError for a catalogue that cannot be asked or where no track is left, ManipulationError where a
    library is missing.
    """
    random_distance = mean_distance(_checked(catalogue, sounds))
    recipe = Recipe() if recipe is None else recipe
    wanted = tuple(dict.fromkeys(standard() if manipulations is None else manipulations))
    begun = time.monotonic()
    made = make_versions(sounds, wanted, cache, recipe, workers, progress)
    changed_at = time.monotonic()
    embedder = VersionEmbedder(VersionStore.at(cache, recipe), recipe.seed, embed, catalogue.shape[1], digest)
    found = embedder.run([s for s in sounds if s.id in made.contents], made.contents, wanted, progress)
    failures = made.failures + found.failures
    if not found.of:
        cause = f"none of {len(sounds)} tracks could be embedded" + (f" ({failures[0].cause})" if failures else "")
        raise SpaceError("sensitivity", cause, failures[0].remedy if failures else "name tracks of the catalogue")
    compare = Comparison(unit(catalogue), random_distance, min(k, len(catalogue) - 1), rng)
    baseline, amounts = compare.all(sounds, found, wanted)
    seconds = (changed_at - begun, time.monotonic() - changed_at)
    return Sensitivity(
        compare.k,
        len(catalogue),
        len(found.of),
        recipe.excerpt_s,
        random_distance,
        baseline,
        amounts,
        failures,
        *seconds,
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """A catalogue of (N, D) unit vectors, against which versions are compared."""

    catalogue: Vectors
    random_distance: float
    k: int
    rng: np.random.Generator

    def all(
        self, sounds: Sequence[Sound], vectors: VersionVectors, manipulations: Sequence[Manipulation]
    ) -> tuple[AmountResult, tuple[AmountResult, ...]]:
        """The baseline, and one result a manipulation in their order."""
        asked = [s for s in sounds if s.id in vectors.of]
        rows = np.array([s.row for s in asked])
        unchanged = unit([vectors.of[s.id][None] for s in asked])
        nearest = self._nearest(unchanged, rows)
        baseline = self._result(UNCHANGED, 0.0, "", rows, unchanged, unchanged, nearest)
        results = []
        for m in manipulations:
            has = np.array([m in vectors.of[s.id] for s in asked])
            changed = unit([vectors.of[s.id][m] for s in asked if m in vectors.of[s.id]]).reshape(
                -1, self.catalogue.shape[1]
            )
            results.append(self._result(m.kind, m.amount, m.unit, rows[has], unchanged[has], changed, nearest[has]))
        return baseline, tuple(results)

    def _result(
        self,
        kind: str,
        amount: float,
        unit_name: str,
        rows: npt.NDArray[np.int64],
        unchanged: Vectors,
        changed: Vectors,
        nearest: npt.NDArray[np.int64],
    ) -> AmountResult:
        """Of S tracks: their rows, vectors (S, D) before and after, and the nearest (S, K) before."""
        ranks = self._ranks(changed, rows)
        after = self._nearest(changed, rows)
        kept = (nearest[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)
        return AmountResult(
            kind,
            amount,
            unit_name,
            bootstrap_mean(_distances(unchanged, changed) / self.random_distance, self.rng),
            bootstrap_mean(_distances(self.catalogue[rows], changed) / self.random_distance, self.rng),
            bootstrap_mean(ranks == 1, self.rng),
            bootstrap_median(ranks, self.rng),
            bootstrap_mean(kept, self.rng),
        )

    def _ranks(self, queries: Vectors, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(S,) ranks of each query's own row among all, 1 = nearest; equal similarities count against it."""
        if not len(rows):
            return np.zeros(0, np.int64)
        scores = queries @ self.catalogue.T
        own = scores[np.arange(len(rows)), rows]
        return np.asarray((scores >= own[:, None] - _EQUAL).sum(axis=1))  # its own row is among them

    def _nearest(self, queries: Vectors, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(S, K) nearest rows of each query, its own left out."""
        if not len(rows):
            return np.zeros((0, self.k), np.int64)
        return top_k(queries, self.catalogue, self.k, exclude=[[int(row)] for row in rows]).indices


def mean_distance(vectors: Vectors) -> float:
    """Mean cosine distance of all pairs of (N, D) vectors, from their sum: no pair is looked at."""
    array = unit(vectors).astype(np.float64)
    n = len(array)
    total = array.sum(axis=0)
    return float(1 - (total @ total - np.square(array).sum()) / (n * (n - 1)))


def bootstrap_median(values: npt.ArrayLike, rng: np.random.Generator, rounds: int = _ROUNDS) -> Estimate:
    """Percentile interval of the median of (n,) values, resampled `rounds` times. No values: NaN throughout."""
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    medians = np.median(array[rng.integers(0, array.size, (rounds, array.size))], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return Estimate(float(np.median(array)), float(low), float(high), int(array.size))


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _distances(first: Vectors, second: Vectors) -> npt.NDArray[np.float64]:
    """(S,) cosine distances of unit vectors, row by row, from their difference: exactly 0 for the same vector."""
    return np.asarray(np.square(first.astype(np.float64) - second.astype(np.float64)).sum(axis=1) / 2)


def _checked(catalogue: Vectors, sounds: Sequence[Sound]) -> Vectors:
    if catalogue.ndim != 2 or len(catalogue) < 3 or not np.isfinite(catalogue).all():
        cause = f"vectors of shape {catalogue.shape}, all finite: {bool(np.isfinite(catalogue).all())}"
        raise SpaceError("sensitivity", cause, "give (N, D) vectors of at least three tracks, all finite")
    if any(not 0 <= s.row < len(catalogue) for s in sounds) or len({s.id for s in sounds}) < len(sounds):
        raise SpaceError(
            "sensitivity", "sounds are named twice, or are not in the catalogue", "name each once by its row"
        )
    if mean_distance(catalogue) < 1e-6:
        raise SpaceError("sensitivity", "all vectors of the catalogue are alike", "embed it again with a trained model")
    return catalogue
