"""Loss and gradient of a batch, whole or in chunks that fit in memory: gradient caching (arXiv 2101.06983, section 3.2).

The loss needs the projections of all pairs at once, but only they: chunks are projected without gradients, the loss gives
the gradient of each projection, and every chunk is then projected again and sent that gradient. What the parameters gather
is the gradient of the whole batch, for one more forward pass.

Random numbers inside the network follow from `key` and a chunk's first pair, in both passes and in whatever process: two
processes with chunks of 8 pairs compute what one does with chunks of 8.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nearfield.train.parallel import Crew


def contrast(
    project: Callable[[Tensor], Tensor],
    slices: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    crew: Crew,
    micro_batch_pairs: int = 0,
    key: tuple[int, ...] = (),
) -> Tensor:
    """Adds this process's part of the gradient to the parameters behind `project`; returns the loss of all pairs.

    `slices` (2b, M, T) are the process's anchors, then its positives; `loss` takes anchors and positives, each (B, D).
    The gradients of all processes are still to be summed.
    """
    pairs = torch.unflatten(slices, 0, (2, -1))
    b = pairs.shape[1]
    first = crew.rank * b
    size = min(micro_batch_pairs or b, b)
    starts = range(0, b, size)

    def projected(start: int) -> Tensor:
        torch.manual_seed(_seed(*key, first + start))
        return project(pairs[:, start : start + size].flatten(0, 1))

    whole = len(starts) == 1
    with torch.set_grad_enabled(whole):
        kept = [projected(start) for start in starts]
    own = torch.cat([torch.unflatten(k.detach().float(), 0, (2, -1)) for k in kept], dim=1)
    everyone = crew.gather(own).requires_grad_()
    value = loss(everyone[0], everyone[1])
    (gradient,) = torch.autograd.grad(value, everyone)
    for start, once in zip(starts, kept, strict=True):
        again = once if whole else projected(start)
        part = gradient[:, first + start : first + min(start + size, b)]
        again.backward(part.flatten(0, 1).to(again.dtype))  # type: ignore[no-untyped-call]
    return value.detach()


def _seed(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
