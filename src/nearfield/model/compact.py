"""The small encoder for CPUs: a slow path that hears sound, a fast path that hears movement, and the texture of a slice.

Two paths over one slice is the idea of SF-NFNet (arXiv 2111.12124), in a form that two cores can train. The slow path is
a normaliser-free residual network (arXiv 2102.06171) over mel x frame; it keeps the frequency axis to the end, so that
register and key survive. The fast path takes onset envelopes of a few learned bands, and of each the magnitude of its
Fourier transform over the whole slice on a logarithmic axis from 0.5 to 16 Hz: a change of tempo is then a shift, which
small convolutions read off. Magnitudes leave out where in the bar the slice begins. The texture needs no learning: how
each mel band is distributed and how fast it changes, as in the statistics by which listeners tell sound textures apart
(McDermott and Simoncelli, Neuron 2011, of whose statistics these are the first few).

Deviations from SF-NFNet-F0: no lateral connections, plain instead of grouped convolutions, no squeeze-and-excite, a
closed-form transform in place of the fast path's learned layers. Why: docs/decisions/0003-two-paths.md; the texture:
docs/decisions/0006-texture.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfield.model.part import Part
from nearfield.model.scaled import RELU_GAMMA, ScaledConv2d

ALPHA = 0.2  # the residual branch's share of variance, as in the NFNet paper
STATISTICS = 4  # of each band, see `texture`
SKIP_GAIN = 1.0  # a deep network starts its branches at 0; eight blocks need no such care, and learn sooner


@dataclass(frozen=True)
class CompactConfig:
    """Sizes. `fast_bands` = 0 leaves the fast path out, `texture_dimensions` = 0 the texture."""

    kind: str = "compact"
    n_mels: int = 96
    slice_frames: int = 300
    channels: tuple[int, ...] = (64, 128, 256)
    blocks: tuple[int, ...] = (2, 3, 3)
    stem_stride: tuple[int, int] = (4, 8)
    slow_dimensions: int = 256
    fast_bands: int = 16
    fast_frequencies: int = 96
    fast_channels: int = 32
    fast_dimensions: int = 128
    texture_dimensions: int = 128

    def __post_init__(self) -> None:
        if self.kind != "compact":
            raise ValueError(f"kind must be 'compact', got {self.kind!r}")
        if not self.channels or len(self.channels) != len(self.blocks):
            raise ValueError(f"channels {self.channels} and blocks {self.blocks} must be of one length, at least 1")
        if min(self.channels) < 2 or min(self.blocks) < 1:
            raise ValueError("each stage needs at least 2 channels and 1 block")
        if not 0 <= self.texture_dimensions <= STATISTICS * self.n_mels:
            raise ValueError(
                f"texture_dimensions must be 0 to {STATISTICS} x n_mels = {STATISTICS * self.n_mels}, "
                f"got {self.texture_dimensions}"
            )

    @property
    def parts(self) -> tuple[Part, ...]:
        """In the order in which the encoder gives them; the texture, which is not learned, comes last."""
        parts = [Part("slow", self.slow_dimensions, self.slow_dimensions)]
        if self.fast_bands:
            parts.append(Part("fast", self.fast_dimensions, self.fast_dimensions))
        if self.texture_dimensions:
            parts.append(Part("texture", STATISTICS * self.n_mels, self.texture_dimensions))
        return tuple(parts)

    @property
    def learned_parts(self) -> tuple[Part, ...]:
        """Those that are learned by gradient: the first ones."""
        return tuple(p for p in self.parts if p.name != "texture")

    @property
    def learned(self) -> int:
        """How many of the numbers the encoder gives are learned."""
        return sum(p.given for p in self.learned_parts)

    @property
    def dimensions(self) -> int:
        """Of the embedding."""
        return sum(p.kept for p in self.parts)


class CompactEncoder(nn.Module):
    """(B, M, T) standardised log-mel slices -> (B, D) as `CompactConfig.parts` says, not normalised."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.slow = SlowPath(config)
        self.fast = FastPath(config) if config.fast_bands else None

    def learned(self, x: Tensor) -> Tensor:
        """What gradients reach: (B, `CompactConfig.learned`)."""
        slow: Tensor = self.slow(x)
        return slow if self.fast is None else torch.cat([slow, self.fast(x)], dim=1)

    def for_projector(self, x: Tensor) -> Tensor:
        """What is learned, through a ReLU: what an output is below zero has no part in the loss."""
        return F.relu(self.learned(x))

    def forward(self, x: Tensor) -> Tensor:
        learned = self.learned(x)
        return learned if not self.config.texture_dimensions else torch.cat([learned, texture(x)], dim=1)


def texture(x: Tensor) -> Tensor:
    """(B, M, T) -> (B, STATISTICS * M): of each band the mean, the deviation, and those of its steps from frame to frame."""
    x = x.float()
    steps = x[:, :, 1:] - x[:, :, :-1]
    deviation = torch.sqrt(x.var(dim=2, correction=0) + 1e-6)  # a band that stands still has none
    step_deviation = torch.sqrt(steps.var(dim=2, correction=0) + 1e-6)
    return torch.cat([x.mean(dim=2), deviation, steps.abs().mean(dim=2), step_deviation], dim=1)


class SlowPath(nn.Module):
    """Residual stages over (B, 1, M, T); mean and deviation over time for each remaining frequency; one linear layer."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        widths = config.channels
        self.stem = ScaledConv2d(1, widths[0], (7, 11), config.stem_stride)
        blocks: list[nn.Module] = []
        variance = 1.0
        for i, (width, count) in enumerate(zip(widths, config.blocks, strict=True)):
            for j in range(count):
                first = j == 0
                before = widths[max(i - 1, 0)] if first else width
                blocks.append(Block(before, width, 2 if first and i > 0 else 1, 1 / math.sqrt(variance)))
                variance = (1.0 if first and i > 0 else variance) + ALPHA**2
        self.blocks = nn.Sequential(*blocks)
        height = math.ceil(config.n_mels / config.stem_stride[0] / 2 ** (len(widths) - 1))
        self.out = nn.Linear(2 * height * widths[-1], config.slow_dimensions)

    def forward(self, x: Tensor) -> Tensor:
        # with one channel the memory format is ambiguous, and a wrong guess halves the speed of all that follows
        h = self.stem(x.unsqueeze(1)).contiguous(memory_format=torch.channels_last)
        h = F.relu(self.blocks(h))
        mean = h.mean(dim=3)
        deviation = torch.sqrt((h - mean.unsqueeze(3)).square().mean(dim=3) + 1e-4)  # a dead channel has none
        pooled = torch.cat([mean, deviation], dim=1)  # (B, 2C, M')
        out: Tensor = self.out(pooled.flatten(1))
        return out


class Block(nn.Module):
    """Pre-activation bottleneck: x + alpha * skip_gain * f(beta * relu(x)); the shortcut is pooled where f strides."""

    def __init__(self, before: int, width: int, stride: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.stride = stride
        inner = width // 2
        self.reduce = ScaledConv2d(before, inner, (1, 1))
        self.mix = ScaledConv2d(inner, inner, (3, 3), (stride, stride))
        self.expand = ScaledConv2d(inner, width, (1, 1))
        self.shortcut = ScaledConv2d(before, width, (1, 1)) if before != width or stride != 1 else None
        self.skip_gain = nn.Parameter(torch.full((), SKIP_GAIN))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(x)
        shortcut = x
        if self.shortcut is not None:
            pooled = F.avg_pool2d(h, self.stride, ceil_mode=True) if self.stride > 1 else h
            shortcut = self.shortcut(pooled, RELU_GAMMA * self.beta)
        h = F.relu(self.reduce(h, RELU_GAMMA * self.beta))
        h = F.relu(self.mix(h, RELU_GAMMA))
        out: Tensor = shortcut + self.expand(h, RELU_GAMMA, ALPHA * self.skip_gain)
        return out


class FastPath(nn.Module):
    """Modulation spectrum of learned bands: (B, M, T) -> (B, fast_dimensions)."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        bands, channels = config.fast_bands, config.fast_channels
        self.bands = nn.Conv1d(config.n_mels, bands, 1)
        self.onset = nn.Conv1d(bands, bands, 7, groups=bands, bias=False)
        with torch.no_grad():  # begin as overlapping bands and a smoothed difference
            self.bands.weight.copy_(_overlapping_bands(config.n_mels, bands).unsqueeze(2))
            self.onset.weight.copy_(torch.tensor([-1.0, -1, -1, 0, 1, 1, 1]).expand(bands, 1, 7) / 3)
        cosines, sines = modulation_basis(config.slice_frames - 6, config.fast_frequencies)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        self.first = nn.Conv1d(bands, channels, 5, stride=2, padding=2)
        self.second = nn.Conv1d(channels, channels, 5, stride=2, padding=2)
        self.out = nn.Linear(channels * math.ceil(math.ceil(config.fast_frequencies / 2) / 2), config.fast_dimensions)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # 8 bits are too few to subtract neighbouring frames
            onsets = F.relu(self.onset(self.bands(x.float())))  # (B, bands, T - 6)
            onsets = onsets - onsets.mean(dim=2, keepdim=True)
            power = (onsets @ self.cosines).square() + (onsets @ self.sines).square()
            # loudness of the onsets goes, the shape of the spectrum stays
            spectrum = torch.sqrt(power / (power.mean(dim=(1, 2), keepdim=True) + 1e-6) + 1e-6)
        h = F.gelu(self.first(spectrum))
        h = F.gelu(self.second(h))
        out: Tensor = self.out(h.flatten(1))
        return out


def modulation_basis(
    frames: int, frequencies: int, low_hz: float = 0.5, high_hz: float = 16.0, frames_per_second: float = 100.0
) -> tuple[Tensor, Tensor]:
    """Hann-windowed cosines and sines, each (frames, frequencies), at log-spaced modulation frequencies."""
    hz = torch.logspace(math.log10(low_hz), math.log10(high_hz), frequencies, dtype=torch.float64)
    seconds = torch.arange(frames, dtype=torch.float64) / frames_per_second
    window = torch.hann_window(frames, periodic=True, dtype=torch.float64) * (2 / frames)
    angle = 2 * math.pi * seconds[:, None] * hz[None, :]
    return (window[:, None] * angle.cos()).float(), (window[:, None] * angle.sin()).float()


def _overlapping_bands(n_mels: int, bands: int) -> Tensor:
    """(bands, n_mels) triangles that sum to about one."""
    centres = torch.linspace(0, n_mels - 1, bands)
    width = float(centres[1] - centres[0]) if bands > 1 else float(n_mels)
    weights = (1 - (torch.arange(n_mels)[None, :] - centres[:, None]).abs() / width).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)
