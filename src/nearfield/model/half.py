"""A checkpoint's smaller sibling: what is needed to embed again, in float16.

The projector and the optimiser stay behind; `load_checkpoint` reads the file as any other, and computes in float32. What
the rounding does to embeddings is measured before the file takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import save_checkpoint
from nearfield.model.embedder import Embedder, evaluating

SLICES = 16
TOLERANCE = 1e-3  # what the study tells apart is a hundred times larger


@dataclass(frozen=True)
class Halved:
    """`largest_distance`: the largest cosine distance of a slice's embedding from that of the original weights."""

    path: Path
    bytes: int
    largest_distance: float


def save_half(path: Path, embedder: Embedder, provenance: Mapping[str, Any], seed: int = 0) -> Halved:
    """Write `path`, atomically; raises ModelError where float16 does not hold these weights."""
    half = Embedder(replace(embedder.config, projector=None))
    half.load_state_dict({k: v for k, v in embedder.state_dict().items() if not k.startswith("projector.")})
    half = half.half()
    again = Embedder(half.config)  # computes in float32, as whoever loads it will
    again.load_state_dict(half.state_dict())
    distance = largest_distance(embedder, again, seed)
    if not distance <= TOLERANCE:
        cause = f"in float16 its embeddings are {distance:.2g} from those of its weights, more than {TOLERANCE}"
        raise ModelError(readable(path), cause, "keep the checkpoint itself")
    save_checkpoint(path, half, provenance)
    return Halved(path, path.stat().st_size, distance)


def largest_distance(one: Embedder, other: Embedder, seed: int = 0) -> float:
    """Of the embeddings of SLICES random slices (B, M, T), which seed draws, each of its own spectrum and beat."""
    generator = torch.Generator().manual_seed(seed)
    shape = (one.config.mel.n_mels, one.config.encoder.slice_frames)
    spectrum = 5 * torch.rand(SLICES, shape[0], 1, generator=generator)
    speed = 0.05 + 0.3 * torch.rand(SLICES, 1, 1, generator=generator)
    beat = 1 + torch.sin(speed * torch.arange(shape[1]))
    slices = spectrum * (0.5 + 0.5 * beat) + torch.rand(SLICES, *shape, generator=generator)
    with torch.no_grad(), evaluating(one), evaluating(other):
        cosines = torch.cosine_similarity(one(slices).double(), other(slices).double(), dim=1)
    return float((1 - cosines).max())
