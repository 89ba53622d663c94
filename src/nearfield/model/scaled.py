"""The parts that let a network train without batch statistics (arXiv 2102.06171, sections 3 and 4).

A scaled weight-standardised convolution keeps the variance of its input, an activation scaled by gamma does the same,
so no layer looks at other examples of the batch: training and inference compute the same thing.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RELU_GAMMA = math.sqrt(2 / (1 - 1 / math.pi))  # 1 / std(relu(x)) for x of unit variance
GELU_GAMMA = 1.7015043497085571  # the same for the exact GELU, as published


class ScaledConv2d(nn.Conv2d):
    """`w = gain * (v - mean) / sqrt(max(var * fan_in, 1e-4))`, mean and population variance over in, height, width.

    Padding is symmetric; with `same` it is TensorFlow's, whose odd cell stands at the end.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
        same: bool = False,
    ) -> None:
        padding = (0, 0) if same else ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups)
        self.same = same
        nn.init.normal_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.gain = nn.Parameter(torch.ones(out_channels, 1, 1, 1))

    def standardised(self) -> Tensor:
        """The weights that are applied, (out, in, height, width)."""
        fan_in = self.weight[0].numel()
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return self.gain * (self.weight - mean) * torch.rsqrt((var * fan_in).clamp(min=1e-4))

    def forward(self, x: Tensor, scale_in: float = 1.0, scale_out: Tensor | float = 1.0) -> Tensor:
        """`scale_out * conv(scale_in * x)`; the scales act on the small weights, not on the large activations."""
        assert self.bias is not None
        weight = self.standardised() * (scale_in * scale_out)
        if self.same:
            x = self._padded(x)
        return F.conv2d(x, weight, self.bias * scale_out, self.stride, self.padding, groups=self.groups)

    def _padded(self, x: Tensor) -> Tensor:
        edges: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
            edges += [missing // 2, missing - missing // 2]
        return F.pad(x, edges) if any(edges) else x
