"""Two processes, and chunks, against one process with the whole batch: loss, gradients, and a run."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from nearfield.augment.colour import Colour
from nearfield.augment.equalise import Equalise
from nearfield.augment.gain import Gain
from nearfield.augment.mask import Mask
from nearfield.augment.mix import Mix
from nearfield.augment.pitch_shift import PitchShift
from nearfield.augment.random_resized_crop import RandomResizedCrop
from nearfield.augment.time_stretch import TimeStretch
from nearfield.data.melstore import MelStore
from nearfield.errors import ConfigError
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.ntxent import nt_xent
from nearfield.sound.mel import DEFAULT
from nearfield.train.contrast import contrast
from nearfield.train.feed import Augment, views
from nearfield.train.loop import train
from nearfield.train.parallel import Crew
from train.cases import CASES, PAIRS, RUN, Case, batch, environment, network, solve


@dataclass(frozen=True)
class Two:
    """What two processes left: each one's losses and gradients, the folder of their run, and what each printed."""

    found: tuple[dict[str, Tensor], ...]
    run: Path
    printed: tuple[str, ...]


@pytest.fixture(scope="module")
def two(store: MelStore, tmp_path_factory: pytest.TempPathFactory) -> Two:
    out = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    members = [
        subprocess.Popen(
            [sys.executable, "-m", "train.cases", store.path, out],
            env=environment(**common, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [m.communicate(timeout=120) for m in members]
    finally:
        for m in members:
            m.kill()
    assert [m.returncode for m in members] == [0, 0], said
    found = tuple(load_file(out / f"found-{rank}.safetensors") for rank in range(2))
    return Two(found, out / "two", tuple(s[0] for s in said))


def differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """The largest of each tensor, over the largest number in any gradient."""
    assert found.keys() == expected.keys()
    scale = max(float(v.abs().max()) for k, v in expected.items() if k != "loss")
    return {k: float((found[k] - v).abs().max()) / (1 if k == "loss" else scale) for k, v in expected.items()}


def whole_batch(case: Case) -> dict[str, Tensor]:
    """One process, one graph: the loss as it stands, and what autograd makes of it."""
    module = network(case)
    loss = nt_xent(*module.project(batch()).chunk(2))
    loss.backward()
    return {
        "loss": loss.detach(),
        **{f"gradient.{n}": p.grad for n, p in module.named_parameters() if p.grad is not None},
    }


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if not c.drops])
def test_two_processes_find_the_loss_and_gradients_of_the_whole_batch(two: Two, name: str) -> None:
    expected = whole_batch(CASES[name])
    assert len(expected) > 20
    for rank in range(2):
        found = {k.removeprefix(f"{name}."): v for k, v in two.found[rank].items() if k.startswith(f"{name}.")}
        worst = differences(found, expected)
        assert max(worst.values()) < 1e-5, worst


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.drops])
def test_random_numbers_follow_the_pairs_not_the_process(two: Two, name: str) -> None:
    expected = solve(CASES[name], Crew())
    plain = solve(replace(CASES[name], micro_batch_pairs=0), Crew())
    for rank in range(2):
        found = {k.removeprefix(f"{name}."): v for k, v in two.found[rank].items() if k.startswith(f"{name}.")}
        worst = differences(found, expected)
        assert max(worst.values()) < 1e-5, worst
    assert max(differences(plain, expected).values()) > 1e-3  # something is dropped, and chunks matter


@pytest.mark.parametrize("micro_batch_pairs", [1, 3, PAIRS, 99])
def test_chunks_in_one_process_find_the_same(micro_batch_pairs: int) -> None:
    worst = differences(solve(Case(micro_batch_pairs), Crew()), whole_batch(Case(0)))
    assert max(worst.values()) < 1e-5, worst


def test_both_passes_of_a_chunk_draw_the_same() -> None:
    drawn = []
    linear = torch.nn.Linear(4, 3)

    def project(slices: Tensor) -> Tensor:
        drawn.append(torch.rand(len(slices), 1))
        out: Tensor = linear(slices.mean(dim=2)) * drawn[-1]
        return out

    contrast(project, torch.randn(12, 4, 5), nt_xent, Crew(), 2, (0,))
    assert len(drawn) == 6
    assert all(torch.equal(one, again) for one, again in zip(drawn[:3], drawn[3:], strict=True))
    assert not torch.equal(drawn[0], drawn[1])


def test_a_run_by_two_processes_stopped_between_is_the_run_by_one(two: Two, store: MelStore, tmp_path: Path) -> None:
    train(RUN, store, tmp_path / "one")
    one, other = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (tmp_path / "one", two.run)
    )
    assert [line["step"] for line in one] == [line["step"] for line in other] == [0, 1, 2]
    for name in ("loss", "grad_norm"):
        assert [line[name] for line in other] == pytest.approx([line[name] for line in one], rel=1e-4)
    assert abs(one[0]["loss"] - other[0]["loss"]) < 1e-5
    assert two.printed == ("0 1\n0 2\n0 3\n", "")  # the first alone reports
    assert sorted(p.name for p in two.run.iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())
    assert load_checkpoint(two.run / "last.safetensors").provenance["sessions"] == [
        {"first_step": 0, "processes": 2},
        {"first_step": 1, "processes": 2},
    ]


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_a_share_of_the_views_is_what_it_is_among_all(probability: float) -> None:
    source = torch.from_numpy(np.random.default_rng(0).uniform(0, 5, (16, 420, 96)).astype(np.float32))
    augment = Augment(
        TimeStretch(),
        PitchShift(),
        Equalise(),
        Gain(),
        Mix(probability=probability),
        Colour(),
        RandomResizedCrop(),
        Mask(),
    )
    together = views(source, augment, 300, DEFAULT, 3, 5)
    for size in (1, 2, 4):
        for rank in range(size):
            share = torch.tensor(Crew(rank, size).share(8))
            own = torch.cat([share, share + 8])
            alone = views(source, augment, 300, DEFAULT, 3, 5, own)
            assert (alone - together[own]).abs().max() < 1e-5


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    assert [list(Crew(r, 3).share(6)) for r in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ConfigError, match="8 pairs cannot be shared evenly by 3 processes; choose a multiple of 3"):
        Crew(1, 3).share(8)
