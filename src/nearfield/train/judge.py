"""The weights of a run, judged: validated while it lasts, the best kept, and the last linear map fitted at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfield.model.checkpoint import load_checkpoint, save_checkpoint
from nearfield.model.embedder import Embedder
from nearfield.train.corpora import Corpora
from nearfield.train.keep import RunFolder
from nearfield.train.watch import Watch, Watched, slice_embedding, usable_tracks
from nearfield.train.whiten import fit_whitening


class Judge:
    """`watches` is false where no corpus has two validation tracks that are long enough: nothing is best then."""

    def __init__(self, corpora: Corpora, slice_frames: int, seed: int, folder: RunFolder) -> None:
        self._train, self._folder = corpora.train, folder
        self._watches = [
            Watch(store, numbers, slice_frames, seed)
            for store, numbers in corpora.validation
            if len(usable_tracks(store, numbers, slice_frames)) > 1
        ]
        self.watches = bool(self._watches)
        self._best = folder.best_recall()

    def look(self, embedder: Embedder, progress: Mapping[str, Any]) -> dict[str, Watched]:
        """Validate, by corpus; weights with a better mean recall_at_1 than any before are kept, with their `progress`."""
        watched = self._validated(embedder)
        if not watched:
            return watched
        recall = sum(seen.recall_at_1 for seen in watched.values()) / len(watched)
        if recall > self._best:
            self._best = recall
            save_checkpoint(self._folder.best, embedder, {**progress, "recall_at_1": recall})
        return watched

    def finish(self, embedder: Embedder) -> dict[str, Watched]:
        """Whiten what will be exported, and the best checkpoint likewise; what is seen of the former."""
        self._whiten(embedder)
        if self.watches:
            best = load_checkpoint(self._folder.best)
            self._whiten(best.embedder.to(next(embedder.parameters()).device))
            save_checkpoint(self._folder.best, best.embedder, best.provenance)
        return self._validated(embedder)

    def _validated(self, embedder: Embedder) -> dict[str, Watched]:
        return {watch.name: watch.look(embedder) for watch in self._watches}

    def _whiten(self, embedder: Embedder) -> None:
        fit_whitening(embedder, slice_embedding(embedder, whitened=False, bf16=False), self._train)
