"""From gradients to new weights: which are decayed, how they are clipped, AdamW or LARS, and their moving average."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nearfield.model.embedder import Embedder

OPTIMISERS = ("adamw", "lars")
TRUST = 0.001  # LARS: a layer's step in units of its weights' length, as SimCLR has it
LEAST_NORM = 1e-3  # adaptive clipping: no unit counts as smaller, else one that starts at 0 stays there


def weight_groups(embedder: Embedder, weight_decay: float) -> list[dict[str, Any]]:
    """Decay (and LARS's trust) for matrices and kernels only; gains and biases are free (arXiv 2102.06171, section 4)."""
    parameters = dict(embedder.named_parameters())
    decayed = [p for n, p in parameters.items() if n.endswith("weight") and p.ndim > 1]
    free = [p for n, p in parameters.items() if not (n.endswith("weight") and p.ndim > 1)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def make_optimiser(
    name: str, embedder: Embedder, learning_rate: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """One of OPTIMISERS over the embedder's weight groups; `momentum` is LARS's alone."""
    groups = weight_groups(embedder, weight_decay)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate)
    decayed, free = groups
    return Lars([{**decayed, "trust": TRUST}, {**free, "trust": None}], learning_rate, momentum)


class Lars(torch.optim.Optimizer):
    """Layer-wise adaptive rates (arXiv 1708.03888, algorithm 1), as SimCLR uses them (arXiv 2002.05709, appendix B.6).

    With g the gradient and w the weights of one tensor: u = g + weight_decay w; v = momentum v + lr trust |w| / |u| u;
    w -= v. The ratio is 1 where either length is 0, or where a group's `trust` is None. Deviation from the paper: |u| is
    the length of gradient and decay together, as in SimCLR's code, not the sum of their lengths.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.9) -> None:
        super().__init__(list(groups), {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "trust": TRUST})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; a closure is not taken."""
        if closure is not None:
            raise ValueError("Lars.step takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        update = parameter.grad + group["weight_decay"] * parameter
        rate: Tensor | float = group["lr"]
        if group["trust"] is not None:
            weights, length = parameter.norm(), update.norm()
            ratio = group["trust"] * weights / length
            rate = rate * torch.where((weights > 0) & (length > 0), ratio, torch.ones_like(ratio))
        state = self.state[parameter]
        if not state:
            state["velocity"] = torch.zeros_like(parameter)
        state["velocity"].mul_(group["momentum"]).add_(rate * update)
        parameter.sub_(state["velocity"])


def clipped_adaptively(embedder: Embedder) -> list[nn.Parameter]:
    """All but the projector's last layer: the paper leaves the final linear layer unclipped (section 4.1)."""
    projector = embedder.projector
    last = {id(p) for p in projector[-1].parameters()} if isinstance(projector, nn.Sequential) else set()
    return [p for p in embedder.parameters() if id(p) not in last]


@torch.no_grad()
def clip_adaptively(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Each unit's gradient is at most `limit` times as long as its weights (arXiv 2102.06171, equation 3).

    A unit is a row of a matrix or kernel, all that leads to one output; biases, gains and other vectors are one unit each.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            allowed = limit * _unit_norms(parameter).clamp(min=LEAST_NORM)
            length = _unit_norms(parameter.grad)
            parameter.grad.mul_(torch.where(length > allowed, allowed / length.clamp(min=1e-30), 1.0))


def _unit_norms(values: Tensor) -> Tensor:
    """Lengths of the units, in a shape that `values` can be multiplied with."""
    if sum(n > 1 for n in values.shape) <= 1:
        whole: Tensor = torch.linalg.vector_norm(values)
        return whole
    norms: Tensor = torch.linalg.vector_norm(values, dim=tuple(range(1, values.ndim)), keepdim=True)
    return norms


@torch.no_grad()
def average_into(averaged: nn.Module, module: nn.Module, decay: float) -> None:
    """The exponential moving average of the weights, a step further: decay * averaged + (1 - decay) * now."""
    for mean, now in zip(averaged.parameters(), module.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
