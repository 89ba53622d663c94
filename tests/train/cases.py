"""What test_parallel.py computes with one process and with two: a process of the two runs this file."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nearfield.augment.equalise import Equalise
from nearfield.augment.mix import Mix
from nearfield.augment.time_stretch import TimeStretch
from nearfield.data.melstore import MelStore
from nearfield.model.compact import CompactConfig
from nearfield.model.embedder import Embedder, EmbedderConfig, ProjectorConfig
from nearfield.model.nfnet import NfnetConfig, NfnetEncoder
from nearfield.model.ntxent import nt_xent
from nearfield.train.contrast import contrast
from nearfield.train.feed import Augment
from nearfield.train.loop import train
from nearfield.train.parallel import Crew, joined
from nearfield.train.settings import TrainConfig

PAIRS = 8
FRAMES = 100
TINY = EmbedderConfig(
    encoder=CompactConfig(
        slice_frames=FRAMES,
        channels=(8, 16),
        blocks=(1, 1),
        slow_dimensions=12,
        fast_bands=4,
        fast_dimensions=8,
        texture_dimensions=0,
    ),
    projector=ProjectorConfig((16,), 8),
)
RUN = TrainConfig(
    model=TINY,
    augment=Augment(TimeStretch(0.8, 1.25), equalise=Equalise(), mix=Mix(probability=0.5)),
    steps=3,
    batch_pairs=8,
    warmup_steps=2,
    bf16=False,
    validation_share=0.2,
)

LONG = replace(RUN, steps=12, batch_pairs=4, ema_decay=0.9, optimiser="lars", checkpoint_every_s=1e-9)


def environment(**more: str) -> dict[str, str]:
    """For a Python that finds the package and these tests."""
    tests = Path(__file__).parents[1]
    paths = [str(tests.parent / "src"), str(tests), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


@dataclass(frozen=True)
class Case:
    """`drops`: with a network that draws random numbers, whose chunks must then be the same to give the same."""

    micro_batch_pairs: int
    drops: bool = False


CASES = {
    "gathered": Case(0),
    "cached": Case(2),
    "cached unevenly": Case(3),
    "gathered, dropping": Case(4, True),
    "cached, dropping": Case(2, True),
}


class Dropping(nn.Module):
    """A tiny NFNet whose every other branch is left out at random."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = NfnetEncoder(
            NfnetConfig(
                slow_stem=(4, 4, 4, 8),
                fast_stem=(2, 2, 2, 4),
                slow_channels=(16, 16),
                fast_channels=(8, 8),
                fused_channels=(4, 4),
                expanded_channels=(8, 8),
                blocks=(1, 2),
                slow_group=8,
                fast_group=4,
                drop_path=0.5,
            )
        )
        for name, parameter in self.encoder.named_parameters():
            if name.endswith("skip_gain"):
                nn.init.constant_(parameter, 1.0)

    def project(self, slices: Tensor) -> Tensor:
        out: Tensor = self.encoder(slices)
        return out


def network(case: Case) -> Embedder | Dropping:
    torch.manual_seed(1)
    return Dropping() if case.drops else Embedder(TINY)


def batch() -> Tensor:
    """(2B, M, T): pairs that share a spectrum and a beat."""
    generator = torch.Generator().manual_seed(2)
    spectrum = 4 * torch.rand(PAIRS, 96, 1, generator=generator)
    beat = torch.sin(torch.arange(FRAMES) * (0.1 + torch.rand(PAIRS, 1, 1, generator=generator)))
    noise = torch.rand(2, PAIRS, 96, FRAMES, generator=generator)
    return (spectrum * (1 + beat) + noise).flatten(0, 1)


def solve(case: Case, crew: Crew) -> dict[str, Tensor]:
    """Loss, and the summed gradient of every parameter."""
    module = network(case)
    share = torch.tensor(crew.share(PAIRS))
    own = batch()[torch.cat([share, share + PAIRS])]
    loss = contrast(module.project, own, nt_xent, crew, case.micro_batch_pairs, (7, 3))
    crew.sum_gradients(module.parameters())
    gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    return {"loss": loss, **{f"gradient.{n}": g.contiguous() for n, g in gradients.items()}}


def main(store: Path, out: Path) -> None:
    torch.set_num_threads(1)
    with joined() as crew:
        found = {f"{name}.{k}": v for name, case in CASES.items() for k, v in solve(case, crew).items()}
        save_file(found, out / f"found-{crew.rank}.safetensors")
        for stop in (1, None):
            train(RUN, MelStore(store), out / "two", stop_after=stop, report=lambda r: print(crew.rank, r.step))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
