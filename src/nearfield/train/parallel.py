"""One run by one process or by several, which share each batch and keep equal weights.

`torchrun --nproc-per-node 2 -m nearfield.cli train CONFIG STORE OUT` starts as many processes as it is told and names them in
RANK, WORLD_SIZE, LOCAL_RANK and MASTER_*; without these there is one. Every process encodes its share of the pairs, all
compute the loss over everybody's projections (SimCLR, arXiv 2002.05709, section 2.2), each sends back the gradient of its
own, and the sum over processes is the gradient that one process would have found with the whole batch.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nearfield.errors import ConfigError

PATIENCE = datetime.timedelta(hours=6)  # the others wait while the first process validates


@dataclass(frozen=True)
class Crew:
    """The processes of a run, seen from one of them."""

    rank: int = 0
    size: int = 1
    here: int = 1  # how many of them run on this machine
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """One process alone validates and writes."""
        return self.rank == 0

    def share(self, batch_pairs: int) -> range:
        """Which pairs of a batch are this process's own. Raises ConfigError when they cannot be shared evenly."""
        each, left = divmod(batch_pairs, self.size)
        if left or not each:
            raise ConfigError(
                "batch_pairs",
                f"{batch_pairs} pairs cannot be shared evenly by {self.size} processes",
                f"choose a multiple of {self.size}, or another number of processes",
            )
        return range(self.rank * each, (self.rank + 1) * each)

    def gather(self, own: Tensor) -> Tensor:
        """(2, B / size, D) of each process -> (2, B, D) of all, pairs in the order of `share`; without gradients."""
        if self.size == 1:
            return own.detach()
        everyone = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(everyone, own.detach().contiguous())
        return torch.cat(everyone, dim=1)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every `grad` becomes its sum over all processes, in one exchange."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def agree(self, number: int) -> bool:
        """Whether every process says this number."""
        if self.size == 1:
            return True
        said = torch.tensor([number, -number], device=self.device)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return said.tolist() == [number, -number]


@contextlib.contextmanager
def joined() -> Iterator[Crew]:
    """The processes that torchrun has started, or this one alone; a group that exists already is joined and left alone."""
    rank, size, local = (int(os.environ.get(n, d)) for n, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    ours = size > 1 and not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Crew(rank, size, int(os.environ.get("LOCAL_WORLD_SIZE", size)), device)
        if size > 1:
            dist.barrier()  # all leave together: the first may still be writing
    finally:
        if ours:
            dist.destroy_process_group()
