"""Labels read from frozen vectors, by a rule: by a catalogue's own split where it has one, else by fixed folds of whole groups.

Folds are made of the whole manifest, so that they are the same whichever tracks an embedding lacks, and kept as a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield.data.split import HELD_OUT, VALIDATION
from nearfield.data.track import Track
from nearfield.errors import BenchError, readable
from nearfield.study.benchmark.labels import codes, shared
from nearfield.study.benchmark.rules import LabellingRule, Rules
from nearfield.study.benchmark.task import Asked, Catalogue
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.intervals import Indices
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.probes import Answers, cross_validate, held_out
from nearfield.study.tasks.splits import FOLDS, Folds, make_folds, read_folds, write_folds
from nearfield.study.tasks.targets import Targets

DEPTHS: tuple[Depth, ...] = ("linear", "hidden")
LEARNED = ("train", VALIDATION)


@dataclass(frozen=True, eq=False)
class LabellingTask:
    """A probe's answers to what a rule asks. `folds`: the folder they are kept in; None: nowhere."""

    catalogue: Catalogue
    rule: LabellingRule
    clusters: tuple[str, ...]
    depth: Depth
    folds: Path | None = None
    settings: ProbeSettings | None = None

    @property
    def name(self) -> str:
        return f"labelling/{self.catalogue.name}/{self.rule.name}/{self.depth}"

    @property
    def catalogues(self) -> tuple[str, ...]:
        return (self.catalogue.name,)

    @cached_property
    def by_split(self) -> bool:
        """Whether the manifest's own split has labelled tracks to learn from and to ask."""
        sides = {t.split for t in self._labelled(self.catalogue.whole)}
        return self.rule.by_split and HELD_OUT in sides and not sides.isdisjoint(LEARNED)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels asked for: by the manifest's own split all of them, else those of enough groups for every fold."""
        tracks = [t for t in self.catalogue.whole if self._on_side(t)]
        fewest = 1 if self.by_split else self.rule.fewest
        return self.rule.label.names(tracks, shared(tracks, self.rule.groups), fewest)

    @property
    def possible(self) -> bool:
        """Whether there are labels to tell apart, and groups enough for folds."""
        groups = shared(self.catalogue.whole, self.rule.groups)
        alone = sum(g == "" for g in groups)
        enough = self.by_split or alone + len(set(groups) - {""}) >= FOLDS
        fewest_names = 2 if self.rule.label.kind == "classes" else 1
        return enough and len(self.names) >= fewest_names and bool(self._labelled(self.catalogue.tracks))

    def ask(self, vectors: Mapping[str, Vectors], seed: int) -> Asked:
        """`seed`: of what probes begin with. Raises BenchError when no track can be asked or learned from, and for folds of
        another manifest."""
        points = self.catalogue.vectors(vectors)
        targets = self._targets()
        groups = codes(shared(self.catalogue.tracks, self.rule.groups))
        if self.by_split:
            learn, asked = self._rows(LEARNED), self._rows((HELD_OUT,))
            apart = groups.copy()
            apart[asked] = -1  # a published split is used as it is, also where it divides an artist
            found = held_out(points, targets, learn, asked, apart, self.depth, seed, self.settings)
        else:
            found = cross_validate(points, targets, self._kept_folds(), groups, self.depth, seed, self.settings)
        if not len(found.rows):
            raise BenchError(self.name, "no track can be asked", "leave this task out")
        tracks = [self.catalogue.tracks[row] for row in found.rows]
        return Asked(found.measures(), codes(shared(tracks, self.clusters)), tuple(self._notes(found, targets, groups)))

    def whole_folds(self) -> Folds:
        """Of the whole manifest: read where they are kept, else made, and kept there."""
        whole, rule = self.catalogue.whole, self.rule
        ids, groups = [t.id for t in whole], shared(whole, rule.groups)
        path = None if self.folds is None else self.folds / f"{self.catalogue.name}-{rule.name}.json"
        if path is not None and path.exists():
            return read_folds(path, ids, groups)
        strata = ["".join(h) for h in rule.label.held(whole)] if rule.label.kind == "classes" else None
        made = make_folds(ids, groups, strata)
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                cause = error.strerror or str(error)
                raise BenchError(readable(path.parent), cause, "choose a place that can be written") from error
            write_folds(made, ids, path)
        return made

    def _kept_folds(self) -> Folds:
        """Those of the tracks that are asked."""
        whole, kept = self.whole_folds(), {t.id for t in self.catalogue.tracks}
        rows = [row for row, track in enumerate(self.catalogue.whole) if track.id in kept]
        return Folds(whole.fold[rows], whole.count, whole.catalogue)

    def _targets(self) -> Targets:
        """Of the tracks with vectors; those of other sides are not known."""
        found = self.rule.label.targets(self.catalogue.tracks, self.names)
        here = np.array([self._on_side(t) for t in self.catalogue.tracks], bool)
        return replace(found, known=np.asarray(found.known & here))

    def _on_side(self, track: Track) -> bool:
        return not self.rule.splits or track.split in self.rule.splits

    def _labelled(self, tracks: tuple[Track, ...]) -> list[Track]:
        label, here = self.rule.label, [t for t in tracks if self._on_side(t)]
        if label.kind in ("numbers", "shares"):
            return [t for t, row in zip(here, label.values(here), strict=True) if not np.isnan(row).any()]
        return [t for t, held in zip(here, label.held(here), strict=True) if held]

    def _rows(self, splits: tuple[str, ...]) -> Indices:
        return np.flatnonzero([t.split in splits for t in self.catalogue.tracks])

    def _notes(self, found: Answers, targets: Targets, groups: npt.NDArray[np.int64]) -> Iterator[str]:
        catalogue, rule = self.catalogue, self.rule
        here = [t for t in catalogue.tracks if self._on_side(t)]
        if unheard := len(catalogue.whole) - len(catalogue.tracks):
            yield f"{unheard} tracks without a vector of every embedding left out"
        if outside := len(catalogue.tracks) - len(here):
            yield f"{outside} tracks that are not {' or '.join(rule.splits)} left out"
        if unknown := len(here) - int(targets.known.sum()):
            yield f"{unknown} tracks without such a label left out"
        dropped = sorted({label for held in rule.label.held(here) for label in held} - set(self.names))
        if dropped:
            yield f"labels of fewer than {rule.fewest} groups left out: {', '.join(dropped)}"
        group_name = " or ".join(rule.groups)
        if self.by_split:
            taught = np.flatnonzero(targets.known & np.isin(np.arange(len(groups)), self._rows(LEARNED)))
            both = np.isin(groups[found.rows], groups[taught]) & (groups[found.rows] >= 0)
            yield f"by the manifest's own split: {len(taught)} tracks to learn from, {len(found.rows)} asked"
            if both.any():
                yield f"{int(both.sum())} tracks asked share their {group_name} with some that were learned from"
        else:
            yield f"in {FOLDS} folds by {group_name}"
            if bare := sum(not shared([t], rule.groups)[0] for t in here):
                yield f"of {bare} tracks no {group_name} is known, so that each is by itself"
        if rule.label.kind == "shares":
            yield f"a label counts where its share is {rule.label.at_least:g} or more"
        yield from rule.notes


def labelling_tasks(
    catalogue: Catalogue, rules: Rules, folds: Path | None, settings: ProbeSettings | None = None
) -> tuple[LabellingTask, ...]:
    """Those for which there are labels, each by both depths of a probe."""
    every = (
        LabellingTask(catalogue, rule, rules.clusters, depth, folds, settings)
        for rule in rules.labelling
        for depth in DEPTHS
    )
    return tuple(task for task in every if task.possible)
