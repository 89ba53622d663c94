"""What a run learns from: one store or several, each divided into who is trained on and who is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nearfield.data.melstore import MelStore
from nearfield.data.pairs import shares
from nearfield.data.split import Split, split_tracks
from nearfield.errors import ModelError, readable
from nearfield.sound.mel import MelConfig


@dataclass(frozen=True)
class Corpora:
    """Stores with names of their own and one front end, and how the tracks of each are divided."""

    stores: tuple[MelStore, ...]
    sides: tuple[Split, ...]

    @classmethod
    def of(cls, stores: MelStore | Sequence[MelStore], mel: MelConfig, validation_share: float) -> Corpora:
        """Raises ModelError where stores cannot be learnt from together."""
        several = (stores,) if isinstance(stores, MelStore) else tuple(stores)
        for store in several:
            if store.config != mel:
                cause = "was made with another front end than [model.mel] says"
                raise ModelError(readable(store.path), cause, "prepare it again, or change that")
        names = [store.manifest.name for store in several]
        if len(set(names)) < len(names):
            raise ModelError("corpora", f"two are named {max(names, key=names.count)!r}", "give each a name of its own")
        return cls(several, tuple(split_tracks(store.tracks, validation_share) for store in several))

    @property
    def train(self) -> list[tuple[MelStore, tuple[int, ...]]]:
        """Each store with the entries to train on."""
        return [(store, side.train) for store, side in zip(self.stores, self.sides, strict=True)]

    @property
    def validation(self) -> list[tuple[MelStore, tuple[int, ...]]]:
        """Each store with the entries to choose by."""
        return [(store, side.validation) for store, side in zip(self.stores, self.sides, strict=True)]

    def described(self) -> dict[str, str]:
        """Their names, and hashes of what they hold."""
        return {
            "corpus": " + ".join(store.manifest.name for store in self.stores),
            "corpus_hash": " + ".join(store.digest() for store in self.stores),
        }

    def check_weights(self, batch_pairs: int, weights: Mapping[str, float]) -> None:
        """Raises ModelError for weights that do not fit these corpora."""
        try:
            shares(batch_pairs, [store.manifest.name for store in self.stores], weights)
        except ValueError as error:
            raise ModelError("[weights]", str(error), "correct it, or name the store with --also") from error
