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

from nearfield.data.manifest import Manifest
from nearfield.errors import Failure, SpaceError
from nearfield.sound.manipulate import KINDS, Manipulation, standard
from nearfield.study.metrics import Vectors, unit
from nearfield.study.sensitivity.comparison import AmountResult, Comparison, mean_distance
from nearfield.study.sensitivity.vectors import Embed, VersionEmbedder
from nearfield.study.sensitivity.versions import Progress, Recipe, Sound, VersionStore, make_versions


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
