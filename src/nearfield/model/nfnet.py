"""SF-NFNet-F0: the encoder of MULE (arXiv 2210.03799), a slow and a fast path of normaliser-free residual stages.

The slow-fast form is arXiv 2111.12124, the normaliser-free blocks are arXiv 2102.06171. The slow path sees few frames
with many channels, the fast path many frames with few; before every stage the fast path is convolved down to the slow
one's frames and laid beside it. Parameters are named by their role in the network; `mule.py` fills them from the
published file.

Deviations from the published network: none that changes a number. Padding is that of TensorFlow's "same", which for even
strides puts the odd cell at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nearfield.model.part import Part
from nearfield.model.scaled import GELU_GAMMA, ScaledConv2d

ALPHA = 0.2
FUSED_STRIDE = 4  # slow frames are four fast frames apart, at every stage


@dataclass(frozen=True)
class NfnetConfig:
    """Sizes; the defaults are SF-NFNet-F0 (62,345,742 parameters).

    `drop_path` is the probability of leaving a block's branch out of a training step, rising linearly from 0 at the first
    block to this at the last. `recompute` trades time for memory: activations inside blocks are computed again for the
    gradient instead of kept.
    """

    kind: str = "nfnet"
    n_mels: int = 96
    slice_frames: int = 300
    slow_stem: tuple[int, ...] = (16, 32, 64, 128)
    fast_stem: tuple[int, ...] = (2, 4, 8, 16)
    slow_channels: tuple[int, ...] = (256, 512, 1536, 1536)
    fast_channels: tuple[int, ...] = (32, 64, 192, 192)
    fused_channels: tuple[int, ...] = (32, 32, 64, 192)
    expanded_channels: tuple[int, ...] = (128, 256, 512, 3072)
    blocks: tuple[int, ...] = (1, 2, 6, 3)
    slow_group: int = 128
    fast_group: int = 16
    drop_path: float = 0.1
    recompute: bool = False

    def __post_init__(self) -> None:
        if self.kind != "nfnet":
            raise ValueError(f"kind must be 'nfnet', got {self.kind!r}")
        if len(self.slow_stem) != 4 or len(self.fast_stem) != 4:
            raise ValueError(f"a stem has 4 convolutions, got {self.slow_stem} and {self.fast_stem}")
        stages = (self.slow_channels, self.fast_channels, self.fused_channels, self.expanded_channels, self.blocks)
        if len({len(s) for s in stages}) != 1 or not self.blocks or min(self.blocks) < 1:
            raise ValueError("channels and blocks must be of one length, each stage with at least 1 block")
        for name, widths, group in (
            ("slow", self.slow_channels, self.slow_group),
            ("fast", self.fast_channels, self.fast_group),
        ):
            if any(w // 2 % group for w in widths):
                raise ValueError(f"half of each of {name}_channels {widths} must be a multiple of {name}_group {group}")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path must be in 0..1, got {self.drop_path}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """In the order in which the encoder gives them."""
        slow, fast = self.slow_channels[-1], self.fast_channels[-1]
        return Part("slow", slow, slow), Part("fast", fast, fast)

    @property
    def learned_parts(self) -> tuple[Part, ...]:
        """All of them."""
        return self.parts

    @property
    def learned(self) -> int:
        """How many of the numbers the encoder gives are learned by gradient: all."""
        return self.dimensions

    @property
    def dimensions(self) -> int:
        """Of the embedding."""
        return sum(p.kept for p in self.parts)


class NfnetEncoder(nn.Module):
    """(B, M, T) standardised log-mel slices -> (B, D) as `NfnetConfig.parts` says, not normalised."""

    def __init__(self, config: NfnetConfig) -> None:
        super().__init__()
        self.config = config
        self.slow_stem = _stem(config.slow_stem, ((3, 1), (3, 1), (3, 1), (3, 3)), first_stride=(2, 8))
        self.fast_stem = _stem(config.fast_stem, ((3, 3),) * 4, first_stride=(2, 2))
        lateral = (config.fast_stem[-1], *config.fast_channels[:-1])
        self.fusion = nn.ModuleList(
            Fusion(*widths) for widths in zip(lateral, config.fused_channels, config.expanded_channels, strict=True)
        )
        before = (config.slow_stem[-1], *config.slow_channels[:-1])
        joined = tuple(b + e for b, e in zip(before, config.expanded_channels, strict=True))
        self.slow = Path(joined, config.slow_channels, config.blocks, config.slow_group, config)
        self.fast = Path(lateral, config.fast_channels, config.blocks, config.fast_group, config)

    def forward(self, x: Tensor) -> Tensor:
        slow = fast = x.unsqueeze(1)
        slow, fast = _through(self.slow_stem, slow), _through(self.fast_stem, fast)
        for fusion, slow_stage, fast_stage in zip(self.fusion, self.slow.stages(), self.fast.stages(), strict=True):
            slow = slow_stage(torch.cat([slow, fusion(fast)], dim=1))
            fast = fast_stage(fast)
        return scaled_gelu(torch.cat([slow.mean(dim=(2, 3)), fast.mean(dim=(2, 3))], dim=1))

    def for_projector(self, x: Tensor) -> Tensor:
        """The output itself, which ends in an activation."""
        return self.forward(x)


def scaled_gelu(x: Tensor) -> Tensor:
    """Exact GELU, scaled to keep the variance of a normal input."""
    return F.gelu(x) * GELU_GAMMA


def _stem(
    widths: tuple[int, ...], kernels: tuple[tuple[int, int], ...], first_stride: tuple[int, int]
) -> nn.ModuleList:
    strides = (first_stride, (1, 1), (1, 1), (2, 2))
    pairs = pairwise((1, *widths))
    return nn.ModuleList(
        ScaledConv2d(a, b, k, s, same=True) for (a, b), k, s in zip(pairs, kernels, strides, strict=True)
    )


def _through(stem: nn.ModuleList, x: Tensor) -> Tensor:
    # with one channel the memory format is ambiguous, and a wrong guess halves the speed of all that follows
    x = stem[0](x).contiguous(memory_format=torch.channels_last)
    for convolution in stem[1:]:
        x = convolution(scaled_gelu(x))
    return x


class Fusion(nn.Module):
    """Fast frames brought to the slow path's: a convolution along time, then more channels."""

    def __init__(self, before: int, width: int, expanded: int) -> None:
        super().__init__()
        self.time = ScaledConv2d(before, width, (1, 7), (1, FUSED_STRIDE), same=True)
        self.expand = ScaledConv2d(width, expanded, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.expand(self.time(x))
        return out


class Path(nn.Module):
    """The stages of one path, each a sequence of blocks; frequency is halved at all but the first."""

    def __init__(
        self, before: tuple[int, ...], widths: tuple[int, ...], blocks: tuple[int, ...], group: int, config: NfnetConfig
    ) -> None:
        super().__init__()
        total, at = sum(blocks), 0
        for i, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            stage = nn.Module()
            expected = 1.0 if i == 0 else math.sqrt(1 + ALPHA**2)  # deviation of what the stage is given
            for j in range(count):
                drop = config.drop_path * at / max(1, total - 1)
                into = before[i] if j == 0 else width
                stride = 2 if i > 0 and j == 0 else 1
                block = Block(into, width, stride, 1 / expected, group, j == 0, drop, config.recompute)
                stage.add_module(f"block{j}", block)
                expected = math.sqrt(expected**2 + ALPHA**2)
                at += 1
            self.add_module(f"stage{i}", stage)

    def stages(self) -> Iterator[nn.Sequential]:
        for stage in self.children():
            yield nn.Sequential(*stage.children())


class Block(nn.Module):
    """x + alpha * skip_gain * se(f(beta * act(x))); a stage's `first` block feeds its shortcut from the activation too."""

    def __init__(
        self, before: int, width: int, stride: int, beta: float, group: int, first: bool, drop: float, recompute: bool
    ) -> None:
        super().__init__()
        self.beta, self.stride, self.drop, self.recompute = beta, stride, drop, recompute
        inner = width // 2
        self.conv0 = ScaledConv2d(before, inner, (1, 1))
        self.conv1 = ScaledConv2d(inner, inner, (1, 3), (stride, 1), groups=inner // group, same=True)
        self.conv2 = ScaledConv2d(inner, inner, (3, 1), groups=inner // group, same=True)
        self.conv3 = ScaledConv2d(inner, width, (1, 1))
        self.se = SqueezeExcite(width)
        self.shortcut = ScaledConv2d(before, width, (1, 1)) if first else None
        self.skip_gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            out: Tensor = checkpoint(self._apply_block, x, use_reentrant=False)
            return out
        return self._apply_block(x)

    def _apply_block(self, x: Tensor) -> Tensor:
        h = scaled_gelu(x) * self.beta
        if self.shortcut is not None:
            x = self.shortcut(F.avg_pool2d(h, (2, 1)) if self.stride > 1 else h)
        h = self.conv1(scaled_gelu(self.conv0(h)))
        h = self.conv2(scaled_gelu(h))
        h = self.conv3(scaled_gelu(h))
        branch = self.se(h) * (ALPHA * self.skip_gain)
        if self.training and self.drop > 0:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            branch = branch * kept.to(branch.dtype) / (1 - self.drop)
        out: Tensor = x + branch
        return out


class SqueezeExcite(nn.Module):
    """Channels weighted by what the whole map says of them (arXiv 1709.01507), times 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, width // 2)
        self.excite = nn.Linear(width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))
        out: Tensor = x * (2 * weight)[:, :, None, None]
        return out
