"""The loss against loops, its closed-form values, and its gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nearfield.model.ntxent import nt_xent
from oracles.loss import slow_nt_xent


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(("batch", "dimensions"), [(2, 3), (5, 8), (16, 4)])
def test_equals_the_loops(batch: int, dimensions: int, temperature: float) -> None:
    rng = np.random.default_rng(batch)
    a, p = rng.standard_normal((2, batch, dimensions))
    ours = nt_xent(torch.from_numpy(a), torch.from_numpy(p), temperature)
    assert ours.item() == pytest.approx(slow_nt_xent(a, p, temperature), rel=1e-5)


def test_all_alike_gives_the_log_of_the_choices() -> None:
    same = torch.ones(6, 4)
    assert nt_xent(same, same).item() == pytest.approx(math.log(2 * 6 - 1), rel=1e-6)


def test_perfect_pairs_far_apart_cost_nothing_and_swapped_ones_much() -> None:
    a = torch.eye(8)
    assert nt_xent(a, a, 0.05).item() < 1e-6
    assert nt_xent(a, a.roll(1, 0), 0.05).item() > 10


def test_is_symmetric_and_blind_to_length() -> None:
    a, p = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    assert nt_xent(a, p).item() == pytest.approx(nt_xent(p, a).item(), rel=1e-6)
    assert nt_xent(a * 13, p * 0.01).item() == pytest.approx(nt_xent(a, p).item(), rel=1e-5)


def test_gradient_is_right_by_differences() -> None:
    a, p = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a.requires_grad_()
    nt_xent(a, p, 0.5).backward()
    assert a.grad is not None
    for i, j in ((0, 0), (2, 3)):
        step = torch.zeros(3, 4, dtype=torch.float64)
        step[i, j] = 1e-3
        more, less = (slow_nt_xent((a + sign * step).detach().numpy(), p.numpy(), 0.5) for sign in (1, -1))
        slope = (more - less) / 2e-3
        assert a.grad[i, j].item() == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 4)), ((1, 4), (1, 4)), ((3,), (3,))])
def test_other_shapes_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="two \\(B, D\\) tensors"):
        nt_xent(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
