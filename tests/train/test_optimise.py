"""AdamW, LARS, clipping and the moving average against loops, and what each is applied to."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nearfield.data.melstore import MelStore
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.embedder import Embedder
from nearfield.train.learner import Learner
from nearfield.train.loop import train
from nearfield.train.optimise import (
    TRUST,
    Lars,
    average_into,
    clip_adaptively,
    clipped_adaptively,
    make_optimiser,
    weight_groups,
)
from nearfield.train.settings import TrainConfig
from oracles.optimise import slow_adamw, slow_adaptive_clip, slow_lars
from train.cases import RUN, TINY

SHAPES = [(), (5,), (4, 1, 1, 1), (3, 7), (6, 2, 3), (4, 3, 2, 5)]
RATES = [0.1, 0.4, 0.3, 0.05, 0.02]


def embedder() -> Embedder:
    torch.manual_seed(0)
    return Embedder(TINY)


@pytest.mark.parametrize("name", ["adamw", "lars"])
def test_both_optimisers_equal_the_loops_on_every_weight(name: str) -> None:
    model, rng = embedder(), np.random.default_rng(1)
    before = {n: p.detach().double().numpy().copy() for n, p in model.named_parameters()}
    gradients = {n: [rng.standard_normal(p.shape) for _ in RATES] for n, p in model.named_parameters()}
    learner = Learner(model, make_optimiser(name, model, 1.0, 0.05, 0.8), clip_norm=1.0)
    for step, rate in enumerate(RATES):
        for n, p in model.named_parameters():
            p.grad = torch.from_numpy(gradients[n][step]).float()
        learner.update(rate)
    decayed = {id(p) for p in weight_groups(model, 0.05)[0]["params"]}
    assert 0 < len(decayed) < len(before)
    for n, p in model.named_parameters():
        decay, trust = (0.05, TRUST) if id(p) in decayed else (0.0, None)
        if name == "lars":
            expected = slow_lars(before[n], gradients[n], RATES, 0.8, decay, trust)
        else:
            expected = slow_adamw(before[n], gradients[n], RATES, decay)
        change, wanted = p.detach().numpy() - before[n], expected - before[n]
        assert np.abs(wanted).max() > 0, n
        assert np.abs(change - wanted).max() < 1e-3 * np.abs(wanted).max(), n


def test_lars_steps_by_the_length_of_the_weights_not_of_the_gradient() -> None:
    for scale in (1e-3, 1.0, 1e3):
        w = nn.Parameter(torch.tensor([[3.0, 4.0]]))
        w.grad = scale * torch.tensor([[1.0, 0.0]])
        Lars([{"params": [w], "trust": 0.01}], lr=2.0).step()
        assert torch.allclose(w, torch.tensor([[3.0 - 2.0 * 0.01 * 5.0, 4.0]]))


@pytest.mark.parametrize("zero", ["weights", "gradient", "neither group"])
def test_lars_where_a_length_is_nothing(zero: str) -> None:
    w = nn.Parameter(torch.zeros(2, 2) if zero == "weights" else torch.ones(2, 2))
    w.grad = torch.zeros(2, 2) if zero == "gradient" else torch.ones(2, 2)
    Lars([{"params": [w], "trust": None if zero == "neither group" else TRUST}], lr=0.5).step()
    assert torch.equal(w, torch.full((2, 2), {"weights": -0.5, "gradient": 1.0, "neither group": 0.5}[zero]))


@pytest.mark.parametrize("limit", [0.01, 0.16, 1.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_adaptive_clipping_equals_the_loops(shape: tuple[int, ...], limit: float) -> None:
    rng = np.random.default_rng(len(shape))
    for size in (0.0, 1e-5, 1.0):
        weights, gradient = size * rng.standard_normal(shape), 0.5 * rng.standard_normal(shape)
        if shape and shape[0] > 1:
            gradient[0] *= 1e-4  # one unit that is left alone
        parameter = nn.Parameter(torch.from_numpy(np.asarray(weights)))
        parameter.grad = torch.from_numpy(np.array(gradient))
        clip_adaptively([parameter], limit)
        expected = slow_adaptive_clip(np.asarray(weights), np.asarray(gradient), limit)
        assert np.allclose(parameter.grad.numpy(), expected, rtol=1e-12, atol=0)


def test_gradients_of_nothing_stay_nothing() -> None:
    parameter = nn.Parameter(torch.zeros(3, 3))
    clip_adaptively([parameter], 0.1)
    assert parameter.grad is None
    parameter.grad = torch.zeros(3, 3)
    clip_adaptively([parameter], 0.1)
    assert torch.equal(parameter.grad, torch.zeros(3, 3))


def test_the_last_layer_is_not_clipped_adaptively() -> None:
    model = embedder()
    names = {id(p): n for n, p in model.named_parameters()}
    left = set(names.values()) - {names[id(p)] for p in clipped_adaptively(model)}
    assert left == {"projector.2.weight", "projector.2.bias"}


def test_units_are_clipped_before_the_whole() -> None:
    model = embedder()
    for p in model.parameters():
        p.grad = torch.full_like(p, 10.0)
    learner = Learner(model, make_optimiser("adamw", model, 1.0, 0.0, 0.0), clip_norm=0.5, adaptive_clip=0.1)
    allowed = [
        slow_adaptive_clip(p.detach().double().numpy(), np.full(p.shape, 10.0), 0.1) for p in clipped_adaptively(model)
    ]
    rest = sum(100.0 * p.numel() for p in model.projector[2].parameters())
    length = math.sqrt(sum(float((a**2).sum()) for a in allowed) + rest)
    assert learner.clip().item() == pytest.approx(length, rel=1e-5)
    clipped = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert clipped == pytest.approx(0.5, rel=1e-4)


def test_the_average_is_the_weighted_sum_of_all_that_was() -> None:
    now, mean = nn.Linear(3, 2), nn.Linear(3, 2)
    past = [{n: p.detach().double().numpy().copy() for n, p in mean.named_parameters()}]
    for step in range(4):
        nn.init.normal_(now.weight, std=step + 1.0)
        average_into(mean, now, 0.7)
        past.append({n: p.detach().double().numpy().copy() for n, p in now.named_parameters()})
    for n, p in mean.named_parameters():
        expected = 0.7**4 * past[0][n] + sum(0.3 * 0.7 ** (4 - k) * past[k][n] for k in range(1, 5))
        assert np.allclose(p.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_average_is_what_is_saved_and_trained_weights_are_beside_it(store: MelStore, tmp_path: Path) -> None:
    plain = load_checkpoint(train(replace(RUN, watch_every_s=1e9), store, tmp_path / "plain"))
    found = load_checkpoint(train(replace(RUN, ema_decay=0.5), store, tmp_path / "averaged"))
    for name, parameter in plain.embedder.named_parameters():
        assert torch.equal(found.extra[f"trained.{name}"], parameter)  # averaging does not change the training
    name = "projector.0.weight"
    assert (found.embedder.get_parameter(name) - found.extra[f"trained.{name}"]).abs().max() > 1e-5
    assert not torch.equal(found.embedder.whitener, plain.embedder.whitener)


@pytest.mark.parametrize("changes", [{"optimiser": "lars", "learning_rate": 5.0}, {"adaptive_clip": 0.01}])
def test_each_choice_trains(store: MelStore, tmp_path: Path, changes: dict[str, object]) -> None:
    config = replace(RUN, steps=2, **changes)  # type: ignore[arg-type]
    assert load_checkpoint(train(config, store, tmp_path)).provenance["step"] == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"optimiser": "sgd"},
        {"momentum": 1.0},
        {"adaptive_clip": -0.1},
        {"ema_decay": 1.0},
        {"micro_batch_pairs": -1},
        {"keep_checkpoints": 0},
    ],
)
def test_impossible_choices_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        TrainConfig(**bad)  # type: ignore[arg-type]
