"""Front-end settings, encoder and projector as one module: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

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


class Embedder(nn.Module):
    """Raw log-mel slices (B, M, T) -> embeddings (B, D); `project` goes on to the space of the loss."""

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        if config.encoder.n_mels != config.mel.n_mels:
            raise ValueError(f"encoder takes {config.encoder.n_mels} mels, the front end gives {config.mel.n_mels}")
        self.config = config
        self.encoder = CompactEncoder(config.encoder)
        widths = (config.encoder.dimensions, *config.projector.hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.projector = nn.Sequential(*layers, nn.Linear(widths[-1], config.projector.dimensions))

    def forward(self, log_mel: Tensor) -> Tensor:
        out: Tensor = self.encoder(standardise(log_mel))
        return out

    def project(self, log_mel: Tensor) -> Tensor:
        out: Tensor = self.projector(F.relu(self(log_mel)))
        return out


def standardise(log_mel: Tensor) -> Tensor:
    """Each slice minus its own mean, over its own standard deviation, as MULE does (arXiv 2210.03799); (B, M, T)."""
    centred = log_mel - log_mel.mean(dim=(1, 2), keepdim=True)
    std = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return centred / std.clamp(min=STD_FLOOR)
