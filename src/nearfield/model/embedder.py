"""Front-end settings, encoder and projector as one module: what a checkpoint holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfield.errors import ModelError
from nearfield.model.compact import CompactConfig, CompactEncoder
from nearfield.model.nfnet import NfnetConfig, NfnetEncoder
from nearfield.sound.mel import MelConfig

STD_FLOOR = 0.01


@dataclass(frozen=True)
class ProjectorConfig:
    """The head that only training uses: `hidden` ReLU layers' widths, then a linear layer to `dimensions`."""

    hidden: tuple[int, ...] = (1024, 1024)
    dimensions: int = 256


@dataclass(frozen=True)
class EmbedderConfig:
    """Everything that a set of weights cannot be used without.

    `mapped` = False leaves the encoder's output as it is, neither whitened nor scaled to length 1. Without a `projector` the
    weights can be used but not trained on.
    """

    mel: MelConfig = field(default_factory=MelConfig)
    encoder: CompactConfig | NfnetConfig = field(default_factory=CompactConfig)
    projector: ProjectorConfig | None = field(default_factory=ProjectorConfig)
    mapped: bool = True

    def __post_init__(self) -> None:
        if self.encoder.n_mels != self.mel.n_mels:
            raise ValueError(f"encoder takes {self.encoder.n_mels} mels, the front end gives {self.mel.n_mels}")
        shrinking = [p.name for p in self.encoder.parts if p.given != p.kept]
        if shrinking and not self.mapped:
            raise ValueError(f"the {shrinking[0]} keeps fewer numbers than it is given: mapped must be true")


class Embedder(nn.Module):
    """Raw log-mel slices (B, M, T) -> embeddings (B, D); `project` goes on to the space of the loss.

    Each part of the encoder's output is centred, mapped linearly and scaled to length 1, so that every part has one say in
    a cosine. The maps are fitted once, when training ends (train/whiten.py); until then they change nothing, or are a
    random projection where a part keeps fewer numbers than it is given. With `mapped` = False there are none.
    """

    centre: Tensor
    whitener: Tensor

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config.encoder)
        parts = config.encoder.parts
        if config.mapped:
            self.register_buffer("centre", torch.zeros(sum(p.given for p in parts)))
            maps = [torch.eye(p.given) if p.given == p.kept else _random_projection(p.given, p.kept) for p in parts]
            self.register_buffer("whitener", torch.block_diag(*maps))  # type: ignore[no-untyped-call]
        self.projector = None if config.projector is None else _projector(config.encoder.learned, config.projector)

    def encode(self, log_mel: Tensor) -> Tensor:
        """(B, M, T) -> the encoder's own output, before whitening."""
        out: Tensor = self.encoder(standardise(log_mel))
        return out

    def whiten(self, encoded: Tensor) -> Tensor:
        """The encoder's output -> (B, D), every part mapped but not yet scaled."""
        with torch.autocast(encoded.device.type, enabled=False):  # small directions are made large: 8 bits are too few
            return (encoded.float() - self.centre) @ self.whitener

    def forward(self, log_mel: Tensor) -> Tensor:
        encoded = self.encode(log_mel)
        if not self.config.mapped:
            return encoded
        parts = torch.split(self.whiten(encoded), [p.kept for p in self.config.encoder.parts], dim=1)
        return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1)

    def project(self, log_mel: Tensor, hidden: str = "") -> Tensor:
        """(B, M, T) -> (B, projector dimensions); the projector finds zeros in place of the learned part named `hidden`."""
        if self.projector is None:
            raise ModelError("the model", "its weights came without a projector", "train one that has it")
        learned = self.encoder.for_projector(standardise(log_mel))
        if hidden:
            shown = [torch.full((p.given,), float(p.name != hidden)) for p in self.config.encoder.learned_parts]
            learned = learned * torch.cat(shown).to(learned)
        out: Tensor = self.projector(learned)
        return out


def _encoder(config: CompactConfig | NfnetConfig) -> CompactEncoder | NfnetEncoder:
    return NfnetEncoder(config) if isinstance(config, NfnetConfig) else CompactEncoder(config)


def _projector(given: int, config: ProjectorConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = (given, *config.hidden)
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], config.dimensions))


def _random_projection(given: int, kept: int) -> Tensor:
    """(given, kept) with orthonormal columns."""
    columns: Tensor = torch.linalg.qr(torch.randn(given, kept))[0]
    return columns


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Whatever is random in training (stochastic depth) is off inside, and afterwards as it was."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def standardise(log_mel: Tensor) -> Tensor:
    """Each slice minus its own mean, over its own standard deviation, as MULE does (arXiv 2210.03799); (B, M, T)."""
    centred = log_mel - log_mel.mean(dim=(1, 2), keepdim=True)
    std = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return centred / std.clamp(min=STD_FLOOR)
