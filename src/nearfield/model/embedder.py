"""Front-end settings, encoder and projector as one module: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfield.model.compact import CompactConfig, CompactEncoder
from nearfield.sound.mel import MelConfig

STD_FLOOR = 0.01


@dataclass(frozen=True)
class ProjectorConfig:
    """The head that only training uses: `hidden` ReLU layers' widths, then a linear layer to `dimensions`."""

    hidden: tuple[int, ...] = (1024, 1024)
    dimensions: int = 256


@dataclass(frozen=True)
class EmbedderConfig:
    """Everything that a set of weights cannot be used without."""

    mel: MelConfig = field(default_factory=MelConfig)
    encoder: CompactConfig = field(default_factory=CompactConfig)
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)

    def __post_init__(self) -> None:
        if self.encoder.n_mels != self.mel.n_mels:
            raise ValueError(f"encoder takes {self.encoder.n_mels} mels, the front end gives {self.mel.n_mels}")


class Embedder(nn.Module):
    """Raw log-mel slices (B, M, T) -> embeddings (B, D); `project` goes on to the space of the loss.

    Each part of the encoder's output is centred, mapped linearly and scaled to length 1, so that every part has one say in
    a cosine. The maps are fitted once, when training ends (train/whiten.py); until then they change nothing, or are a
    random projection where a part keeps fewer numbers than it is given. The projector sees what the encoder has learned
    through a ReLU: what an output is below zero has no part in the loss.
    """

    centre: Tensor
    whitener: Tensor

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = CompactEncoder(config.encoder)
        parts = config.encoder.parts
        self.register_buffer("centre", torch.zeros(sum(p.given for p in parts)))
        maps = [torch.eye(p.given) if p.given == p.kept else _random_projection(p.given, p.kept) for p in parts]
        self.register_buffer("whitener", torch.block_diag(*maps))  # type: ignore[no-untyped-call]
        layers: list[nn.Module] = []
        widths = (config.encoder.learned, *config.projector.hidden)
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.projector = nn.Sequential(*layers, nn.Linear(widths[-1], config.projector.dimensions))

    def encode(self, log_mel: Tensor) -> Tensor:
        """(B, M, T) -> the encoder's own output, before whitening."""
        out: Tensor = self.encoder(standardise(log_mel))
        return out

    def whiten(self, encoded: Tensor) -> Tensor:
        """The encoder's output -> (B, D), every part mapped but not yet scaled."""
        with torch.autocast(encoded.device.type, enabled=False):  # small directions are made large: 8 bits are too few
            return (encoded.float() - self.centre) @ self.whitener

    def forward(self, log_mel: Tensor) -> Tensor:
        parts = torch.split(self.whiten(self.encode(log_mel)), [p.kept for p in self.config.encoder.parts], dim=1)
        return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1)

    def project(self, log_mel: Tensor) -> Tensor:
        """(B, M, T) -> (B, projector dimensions)."""
        out: Tensor = self.projector(F.relu(self.encoder.learned(standardise(log_mel))))
        return out


def _random_projection(given: int, kept: int) -> Tensor:
    """(given, kept) with orthonormal columns."""
    columns: Tensor = torch.linalg.qr(torch.randn(given, kept))[0]
    return columns


def standardise(log_mel: Tensor) -> Tensor:
    """Each slice minus its own mean, over its own standard deviation, as MULE does (arXiv 2210.03799); (B, M, T)."""
    centred = log_mel - log_mel.mean(dim=(1, 2), keepdim=True)
    std = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return centred / std.clamp(min=STD_FLOOR)
