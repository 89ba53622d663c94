"""What the encoders have in common: an output in named parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One named part of the embedding: so many numbers the encoder gives, so many the embedder keeps of them."""

    name: str
    given: int
    kept: int
