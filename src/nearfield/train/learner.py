"""What a run changes at every step, as one thing that is updated, saved and taken up again."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from nearfield.model.checkpoint import Checkpoint
from nearfield.model.embedder import Embedder
from nearfield.train.optimise import average_into, clip_adaptively, clipped_adaptively


class Learner:
    """The weights in training, the optimiser, and `averaged`, the embedder that is validated and exported.

    Without a moving average (`ema_decay` 0) `averaged` is `embedder` itself.
    """

    def __init__(
        self,
        embedder: Embedder,
        optimiser: torch.optim.Optimizer,
        clip_norm: float,
        adaptive_clip: float = 0.0,
        ema_decay: float = 0.0,
    ) -> None:
        self.embedder, self.optimiser = embedder, optimiser
        self.averaged = copy.deepcopy(embedder).requires_grad_(False) if ema_decay else embedder
        self._clip_norm, self._adaptive_clip, self._ema_decay = clip_norm, adaptive_clip, ema_decay

    def clip(self) -> Tensor:
        """Clip the gradients, units first, then all; returns their length between the two."""
        if self._adaptive_clip:
            clip_adaptively(clipped_adaptively(self.embedder), self._adaptive_clip)
        return torch.nn.utils.clip_grad_norm_(self.embedder.parameters(), self._clip_norm)

    def update(self, learning_rate: float) -> None:
        """One step along the gradients, which are then forgotten."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self._ema_decay:
            average_into(self.averaged, self.embedder, self._ema_decay)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint of `averaged` needs beside it, for the run to go on."""
        names: dict[Tensor, str] = {p: n for n, p in self.embedder.named_parameters()}
        state = {
            f"optimiser.{names[p]}.{key}": value.detach().contiguous()
            for p, values in self.optimiser.state.items()
            for key, value in values.items()
        }
        if not self._ema_decay:
            return state
        return state | {f"trained.{n}": p.detach().contiguous() for p, n in names.items()}

    def load(self, found: Checkpoint) -> None:
        """Be as when the checkpoint was written."""
        self.averaged.load_state_dict(found.embedder.state_dict())
        for name, parameter in self.embedder.named_parameters():
            if self._ema_decay:
                parameter.data.copy_(found.extra[f"trained.{name}"])
            self.optimiser.state[parameter] = _state(found.extra, name, parameter)


def _state(extra: Mapping[str, Tensor], name: str, parameter: Tensor) -> dict[str, Tensor]:
    keys = {k.rpartition(".")[2]: v for k, v in extra.items() if k.startswith(f"optimiser.{name}.")}
    return {
        k: v if k == "step" else v.to(parameter.device).contiguous(memory_format=_format_of(parameter))
        for k, v in keys.items()
    }


def _format_of(parameter: Tensor) -> torch.memory_format:
    channels_last = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
