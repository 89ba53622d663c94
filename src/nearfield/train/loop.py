"""The training loop, top to bottom: pairs in, checkpoint out.

SimCLR on slices of music as MULE does it (arXiv 2210.03799; the loss is arXiv 2002.05709). Every random number follows
from (seed, step), so a run that was killed goes on as if it had not been. Deviations from MULE: AdamW and a smaller
batch, because two cores cannot hold its 1920 pairs; no mixing in of a second slice.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nearfield.data.melstore import MelStore
from nearfield.data.pairs import PairConfig, PairStream
from nearfield.data.split import split_tracks
from nearfield.errors import ModelError
from nearfield.model.checkpoint import load_checkpoint, save_checkpoint
from nearfield.model.embedder import Embedder, EmbedderConfig
from nearfield.model.ntxent import nt_xent
from nearfield.train.feed import Augment, batches, views
from nearfield.train.memory import keep_freed_memory
from nearfield.train.schedule import learning_rate
from nearfield.train.watch import Watch, Watched, slice_embedding
from nearfield.train.whiten import fit_whitening


@dataclass(frozen=True)
class TrainConfig:
    """One run. Times are in seconds."""

    model: EmbedderConfig = field(default_factory=EmbedderConfig)
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    steps: int = 2000
    batch_pairs: int = 256
    min_apart_s: float = 3.0
    max_apart_s: float = 8.0
    temperature: float = 0.1
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    bf16: bool = True
    validation_share: float = 0.1
    watch_every_s: float = 240.0
    checkpoint_every_s: float = 120.0
    ram_budget_gb: float = 8.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_pairs", "temperature", "learning_rate", "clip_norm", "ram_budget_gb"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.batch_pairs < 2:
            raise ValueError("batch_pairs must be at least 2: other pairs are what a pair is told from")


@dataclass(frozen=True)
class StepReport:
    """One line of progress; `watched` is there every few minutes."""

    step: int
    steps: int
    loss: float
    slices_per_second: float
    seconds_left: float
    watched: Watched | None = None


def train(
    config: TrainConfig,
    store: MelStore,
    out: Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    report: Callable[[StepReport], None] | None = None,
    stop_after: int | None = None,
) -> Path:
    """Train, or go on with the run that `out` holds; returns the path of the last checkpoint.

    `out` gets `last.safetensors` (model and optimiser, atomically replaced) and `metrics.jsonl`. `stop_after` ends early at
    that step with everything saved, as an interruption would. Raises ModelError when `out` belongs to another run.
    """
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sides = split_tracks(store.tracks, config.validation_share)
    slice_frames = config.model.encoder.slice_frames
    per_second = config.model.mel.frames_per_second
    pairs = PairConfig(
        config.batch_pairs,
        config.augment.source_frames(slice_frames),
        round(config.min_apart_s * per_second),
        round(config.max_apart_s * per_second),
    )
    stream = PairStream(store, sides.train, pairs, config.seed, round(config.ram_budget_gb * 1e9))
    watch = Watch(store, sides.validation, config.seed) if len(sides.validation) > 1 else None

    torch.manual_seed(config.seed)
    embedder = Embedder(config.model).to(device)
    _channels_last(embedder)
    optimiser = torch.optim.AdamW(_weight_groups(embedder, config.weight_decay), lr=config.learning_rate)
    last = out / "last.safetensors"
    origin = {"train": asdict(config), "corpus": store.manifest.name, "corpus_hash": store.manifest.digest()}
    first_step = _resume(last, embedder, optimiser, origin) if last.exists() else 0

    def save(step: int) -> None:
        progress = {**origin, **(provenance or {}), "step": step}
        save_checkpoint(last, embedder, progress, _optimiser_tensors(embedder, optimiser))

    out.mkdir(parents=True, exist_ok=True)
    end = min(config.steps, stop_after if stop_after is not None else config.steps)
    begun = saved = looked = time.monotonic()
    with (out / "metrics.jsonl").open("a") as metrics:
        for step, source in enumerate(batches(stream, first_step, end), first_step):
            slices = views(source.to(device), config.augment, slice_frames, config.seed, step)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
                projected = embedder.project(slices)
            anchors, positives = projected.chunk(2)
            loss = nt_xent(anchors, positives, config.temperature)
            loss_value = loss.item()
            if not math.isfinite(loss_value):
                raise ModelError(str(out), f"the loss is {loss_value} at step {step}", "lower learning_rate and resume")
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, config.steps, config.warmup_steps, config.learning_rate)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(embedder.parameters(), config.clip_norm)
            optimiser.step()

            now, done = time.monotonic(), step + 1
            if done == config.steps:
                encode = slice_embedding(embedder, whitened=False, bf16=False)
                fit_whitening(embedder, encode, store, sides.train)
            pace = (now - begun) / (done - first_step)
            watched = None
            if watch is not None and (now - looked > config.watch_every_s or done == config.steps):
                watched, looked = watch.look(embedder), time.monotonic()
            if now - saved > config.checkpoint_every_s or done == end:
                save(done)
                saved = time.monotonic()
            line = {"step": step, "loss": loss_value, "grad_norm": float(norm), "seconds": round(now - begun, 2)}
            metrics.write(json.dumps(line | (asdict(watched) if watched else {})) + "\n")
            metrics.flush()
            if report is not None:
                rate = 2 * config.batch_pairs / pace
                report(StepReport(done, config.steps, loss_value, rate, pace * (config.steps - done), watched))
    if not last.exists():
        save(first_step)
    return last


def _channels_last(embedder: Embedder) -> None:
    """Kernels in the order that convolutions on bf16 are fast in."""
    for parameter in embedder.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _weight_groups(embedder: Embedder, weight_decay: float) -> list[dict[str, Any]]:
    """Decay for matrices and kernels only; gains and biases are free (arXiv 2102.06171, section 4)."""
    parameters = dict(embedder.named_parameters())
    decayed = [p for n, p in parameters.items() if n.endswith("weight") and p.ndim > 1]
    free = [p for n, p in parameters.items() if not (n.endswith("weight") and p.ndim > 1)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def _optimiser_tensors(embedder: Embedder, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    names: dict[Tensor, str] = {p: n for n, p in embedder.named_parameters()}
    return {
        f"optimiser.{names[p]}.{key}": value.detach().contiguous()
        for p, state in optimiser.state.items()
        for key, value in state.items()
    }


def _resume(last: Path, embedder: Embedder, optimiser: torch.optim.Optimizer, origin: Mapping[str, Any]) -> int:
    """Fill model and optimiser from a checkpoint of this very run; the step to go on with."""
    found = load_checkpoint(last)
    expected = json.loads(json.dumps(origin))  # as JSON gives it back: tuples are lists there
    changed = [k for k in expected if found.provenance.get(k) != expected[k]]
    if changed:
        raise ModelError(
            str(last),
            f"was trained with another {' and '.join(changed)}",
            "choose a new output folder, or the same settings",
        )
    embedder.load_state_dict(found.embedder.state_dict())
    for name, parameter in embedder.named_parameters():
        keys = {k.rpartition(".")[2]: v for k, v in found.extra.items() if k.startswith(f"optimiser.{name}.")}
        optimiser.state[parameter] = {
            k: v if k == "step" else v.to(parameter.device).contiguous(memory_format=_format_of(parameter))
            for k, v in keys.items()
        }
    return int(found.provenance["step"])


def _format_of(parameter: Tensor) -> torch.memory_format:
    channels_last = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
