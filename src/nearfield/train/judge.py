"""The weights of a run, judged: validated while it lasts, the best kept, and the last linear map fitted at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from nearfield.data.melstore import MelStore
from nearfield.data.split import Split
from nearfield.model.checkpoint import load_checkpoint, save_checkpoint
from nearfield.model.embedder import Embedder
from nearfield.train.keep import RunFolder
from nearfield.train.watch import Watch, Watched, slice_embedding, usable_tracks
from nearfield.train.whiten import fit_whitening


class Judge:
    """`watches` is false where fewer than two validation tracks are long enough: nothing is best then."""

    def __init__(self, store: MelStore, sides: Split, slice_frames: int, seed: int, folder: RunFolder) -> None:
        self._store, self._train, self._folder = store, sides.train, folder
        self.watches = len(usable_tracks(store, sides.validation, slice_frames)) > 1
        self._watch = Watch(store, sides.validation, slice_frames, seed) if self.watches else None
        self._best = folder.best_recall()

    def look(self, embedder: Embedder, progress: Mapping[str, Any]) -> Watched | None:
        """Validate; weights better than any before are kept, with their `progress`."""
        watched = self._validated(embedder)
        if watched is not None and watched.recall_at_1 > self._best:
            self._best = watched.recall_at_1
            save_checkpoint(self._folder.best, embedder, {**progress, "recall_at_1": self._best})
        return watched

    def finish(self, embedder: Embedder) -> Watched | None:
        """Whiten what will be exported, and the best checkpoint likewise; what is seen of the former."""
        self._whiten(embedder)
        if self.watches:
            best = load_checkpoint(self._folder.best)
            self._whiten(best.embedder.to(next(embedder.parameters()).device))
            save_checkpoint(self._folder.best, best.embedder, best.provenance)
        return self._validated(embedder)

    def _validated(self, embedder: Embedder) -> Watched | None:
        if self._watch is None:
            return None
        with _at_rest(embedder):
            return self._watch.look(embedder)

    def _whiten(self, embedder: Embedder) -> None:
        with _at_rest(embedder):
            encode = slice_embedding(embedder, whitened=False, bf16=False)
            fit_whitening(embedder, encode, self._store, self._train)


@contextlib.contextmanager
def _at_rest(embedder: Embedder) -> Iterator[None]:
    """Nothing is dropped at random while a model is looked at."""
    embedder.eval()
    try:
        yield
    finally:
        embedder.train()
