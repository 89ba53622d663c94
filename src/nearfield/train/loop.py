"""The training loop, top to bottom: pairs in, checkpoint out.

SimCLR on slices of music as MULE does it (arXiv 2210.03799; the loss is arXiv 2002.05709). Every random number follows
from (seed, step), so a run that was killed goes on as if it had not been. Deviations from MULE: AdamW and a smaller
batch, because two cores cannot hold its 1920 pairs; what else is done to the slices is in train/feed.py.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nearfield.data.melstore import MelStore
from nearfield.data.pairs import MixedPairs, PairConfig, shares
from nearfield.data.split import split_tracks
from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import load_checkpoint, save_checkpoint, writing
from nearfield.model.embedder import Embedder, EmbedderConfig
from nearfield.model.ntxent import nt_xent
from nearfield.train.feed import Augment, batches, views
from nearfield.train.memory import keep_freed_memory
from nearfield.train.schedule import learning_rate
from nearfield.train.watch import Watch, Watched, slice_embedding, usable_tracks
from nearfield.train.whiten import fit_whitening


@dataclass(frozen=True)
class TrainConfig:
    """One run. Times are in seconds.

    `weights`: the share of each corpus in a batch, by its name, where several are trained on (1 where not given).
    `same_package_share`: how much of each corpus' share comes from one package (data/pairs.py).
    """

    model: EmbedderConfig = field(default_factory=EmbedderConfig)
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    steps: int = 2000
    batch_pairs: int = 256
    min_apart_s: float = 3.0
    max_apart_s: float = 8.0
    same_package_share: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
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
        if not 0 <= self.min_apart_s <= self.max_apart_s:
            raise ValueError(f"min_apart_s must be 0 to max_apart_s, got {self.min_apart_s} and {self.max_apart_s}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")


@dataclass(frozen=True)
class StepReport:
    """One line of progress. `watched` (by corpus) is there every few minutes, `whitened` (the same, of what is exported)
    at the end.
    """

    step: int
    steps: int
    loss: float
    slices_per_second: float
    seconds_left: float
    watched: Mapping[str, Watched] = field(default_factory=dict)
    whitened: Mapping[str, Watched] = field(default_factory=dict)


@dataclass(frozen=True)
class _Past:
    """What a run has behind it when it is taken up again."""

    step: int = 0
    seconds: float = 0.0
    sessions: tuple[Mapping[str, Any], ...] = ()


def train(
    config: TrainConfig,
    stores: MelStore | Sequence[MelStore],
    out: Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    report: Callable[[StepReport], None] | None = None,
    stop_after: int | None = None,
) -> Path:
    """Train on one corpus or several, or go on with the run that `out` holds; returns the path of the last checkpoint.

    `out` gets `last.safetensors` (model and optimiser, atomically replaced) and `metrics.jsonl`. `stop_after` ends early at
    that step with everything saved, as an interruption would. Raises ModelError when `out` belongs to another run.
    """
    corpora = [stores] if isinstance(stores, MelStore) else list(stores)
    _check(config, corpora)
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sides = [split_tracks(store.tracks, config.validation_share) for store in corpora]
    learnt_from = [(store, side.train) for store, side in zip(corpora, sides, strict=True)]
    slice_frames = config.model.encoder.slice_frames
    per_second = config.model.mel.frames_per_second
    pairs = PairConfig(
        config.batch_pairs,
        config.augment.source_frames(slice_frames),
        round(config.min_apart_s * per_second),
        round(config.max_apart_s * per_second),
        config.same_package_share,
    )
    stream = MixedPairs(learnt_from, pairs, config.seed, round(config.ram_budget_gb * 1e9), config.weights)
    watches = [
        Watch(store, side.validation, slice_frames, config.seed)
        for store, side in zip(corpora, sides, strict=True)
        if len(usable_tracks(store, side.validation, slice_frames)) > 1
    ]

    torch.manual_seed(config.seed)
    embedder = Embedder(config.model).to(device)
    _channels_last(embedder)
    optimiser = torch.optim.AdamW(_weight_groups(embedder, config.weight_decay), lr=config.learning_rate)
    last = out / "last.safetensors"
    origin = {"train": asdict(config), **_corpus(corpora)}
    past = _resume(last, embedder, optimiser, origin) if last.exists() else _Past()
    first_step = past.step
    sessions = [*past.sessions, {**(provenance or {}), "first_step": first_step}]

    def save(step: int) -> None:
        seconds = round(past.seconds + time.monotonic() - begun, 1)
        progress = {**origin, **(provenance or {}), "step": step, "seconds": seconds, "sessions": sessions}
        save_checkpoint(last, embedder, progress, _optimiser_tensors(embedder, optimiser))

    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    end = min(config.steps, stop_after if stop_after is not None else config.steps)
    begun = saved = looked = time.monotonic()
    with (out / "metrics.jsonl").open("a") as metrics:
        for step, source in enumerate(batches(stream, first_step, end), first_step):
            slices = views(source.to(device), config.augment, slice_frames, config.model.mel, config.seed, step)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
                projected = embedder.project(slices)
            anchors, positives = projected.chunk(2)
            loss = nt_xent(anchors, positives, config.temperature)
            loss_value = loss.item()
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, config.steps, config.warmup_steps, config.learning_rate)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(embedder.parameters(), config.clip_norm)
            if not (math.isfinite(loss_value) and math.isfinite(norm)):
                cause = f"the loss is {loss_value} and its gradient {norm.item()} at step {step}"
                raise ModelError(readable(out), cause, "begin a new run with a lower learning_rate")
            optimiser.step()

            now, done = time.monotonic(), step + 1
            pace = (now - begun) / (done - first_step)
            watched: dict[str, Watched] = {}
            whitened: dict[str, Watched] = {}
            if now - looked > config.watch_every_s or done == config.steps:
                watched, looked = {w.name: w.look(embedder) for w in watches}, time.monotonic()
            if done == config.steps:
                encode = slice_embedding(embedder, whitened=False, bf16=False)
                fit_whitening(embedder, encode, learnt_from)
                whitened = {w.name: w.look(embedder) for w in watches}
            if now - saved > config.checkpoint_every_s or done == end:
                save(done)
                saved = time.monotonic()
            line: dict[str, Any] = {
                "step": step,
                "loss": loss_value,
                "grad_norm": norm.item(),
                "seconds": round(past.seconds + now - begun, 2),
            }
            for key, seen in (("watched", watched), ("whitened", whitened)):
                line |= {key: {name: w.known() for name, w in seen.items()}} if seen else {}
            with writing(out):
                metrics.write(json.dumps(line) + "\n")
                metrics.flush()
            if report is not None:
                rate = 2 * config.batch_pairs / pace
                report(
                    StepReport(done, config.steps, loss_value, rate, pace * (config.steps - done), watched, whitened)
                )
    if not last.exists():
        save(first_step)
    return last


def _check(config: TrainConfig, corpora: Sequence[MelStore]) -> None:
    for store in corpora:
        if store.config != config.model.mel:
            raise ModelError(
                readable(store.path),
                "was made with another front end than [model.mel] says",
                "prepare it again, or change that",
            )
    names = [store.manifest.name for store in corpora]
    if len(set(names)) < len(names):
        raise ModelError("corpora", f"two are named {max(names, key=names.count)!r}", "give each a name of its own")
    try:
        shares(config.batch_pairs, names, config.weights)
    except ValueError as error:
        raise ModelError("[weights]", str(error), "correct it, or name the store with --also") from error


def _corpus(corpora: Sequence[MelStore]) -> dict[str, str]:
    """Name and hash of what is trained on."""
    return {
        "corpus": " + ".join(store.manifest.name for store in corpora),
        "corpus_hash": " + ".join(store.digest() for store in corpora),
    }


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


def _resume(last: Path, embedder: Embedder, optimiser: torch.optim.Optimizer, origin: Mapping[str, Any]) -> _Past:
    """Fill model and optimiser from a checkpoint of this very run; where to go on."""
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
    return _Past(int(found.provenance["step"]), found.provenance["seconds"], tuple(found.provenance["sessions"]))


def _format_of(parameter: Tensor) -> torch.memory_format:
    channels_last = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
