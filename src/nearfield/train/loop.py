"""The training loop, top to bottom: pairs in, checkpoint out.

SimCLR on slices of music as MULE does it (arXiv 2210.03799; the loss is arXiv 2002.05709). Every random number follows
from (seed, step), so a run that was killed goes on as if it had not been. By default AdamW and a smaller batch than
MULE's 1920 pairs, which two cores cannot hold; `micro_batch_pairs` (train/contrast.py) and several processes
(train/parallel.py) reach any batch. What else is done to the slices is in train/feed.py.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from nearfield.data.melstore import MelStore
from nearfield.data.pairs import MixedPairs, PairConfig
from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import writing
from nearfield.model.embedder import Embedder, EmbedderConfig
from nearfield.model.ntxent import nt_xent
from nearfield.train.contrast import contrast
from nearfield.train.corpora import Corpora
from nearfield.train.feed import Augment, batches, views
from nearfield.train.judge import Judge
from nearfield.train.keep import RunFolder
from nearfield.train.learner import Learner
from nearfield.train.memory import keep_freed_memory
from nearfield.train.optimise import OPTIMISERS, make_optimiser
from nearfield.train.origin import environment
from nearfield.train.parallel import Crew, joined
from nearfield.train.schedule import learning_rate
from nearfield.train.watch import Watched


@dataclass(frozen=True)
class TrainConfig:
    """One run. Times are in seconds.

    `batch_pairs` is what all processes share; `micro_batch_pairs` is how many of its own a process encodes at a time (0:
    all). `optimiser` is one of OPTIMISERS, `momentum` is that of lars. `adaptive_clip` is the limit of a unit's gradient
    in lengths of its weights, `ema_decay` that of the weights' moving average; 0 is without. `keep_checkpoints` are kept.

    `weights`: the share of each corpus in a batch, by its name, where several are trained on (1 where not given).
    `same_package_share`: how much of each corpus' share comes from one package (data/pairs.py).
    """

    model: EmbedderConfig = field(default_factory=EmbedderConfig)
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    steps: int = 2000
    batch_pairs: int = 256
    micro_batch_pairs: int = 0
    min_apart_s: float = 3.0
    max_apart_s: float = 8.0
    same_package_share: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 0.1
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    optimiser: str = "adamw"
    momentum: float = 0.9
    adaptive_clip: float = 0.0
    ema_decay: float = 0.0
    bf16: bool = True
    validation_share: float = 0.1
    watch_every_s: float = 240.0
    checkpoint_every_s: float = 120.0
    keep_checkpoints: int = 1
    ram_budget_gb: float = 8.0

    def __post_init__(self) -> None:
        above = (
            "steps",
            "batch_pairs",
            "temperature",
            "learning_rate",
            "clip_norm",
            "ram_budget_gb",
            "keep_checkpoints",
        )
        for name in above:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("micro_batch_pairs", "adaptive_clip"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("momentum", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser must be one of {', '.join(OPTIMISERS)}, got {self.optimiser!r}")
        if self.model.projector is None:
            raise ValueError("model.projector is needed: the loss is taken behind it")
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

    What `out` gets is in docs/formats.md. Started by torchrun, the processes share every batch; the first of them alone
    writes and reports. `stop_after` ends early at that step with everything saved, as an interruption would. Raises
    ModelError when `out` belongs to another run, ConfigError when the processes cannot share a batch.
    """
    corpora = Corpora.of(stores, config.model.mel, config.validation_share)
    corpora.check_weights(config.batch_pairs, config.weights)
    keep_freed_memory()
    slice_frames = config.model.encoder.slice_frames
    folder = RunFolder(out, config.keep_checkpoints)
    origin = {"train": asdict(config), **corpora.described()}
    end = min(config.steps, stop_after if stop_after is not None else config.steps)

    with joined() as crew, contextlib.ExitStack() as closing:
        share = torch.tensor(crew.share(config.batch_pairs))
        own = torch.cat([share, share + config.batch_pairs])  # anchors and positives, of the batch's 2B views
        stream = _stream(config, corpora)
        learner = _learner(config, crew.device)
        past = _resume(folder, learner, origin, crew)
        log = None
        if crew.leads:
            session = {**(provenance or {}), "first_step": past.step, "processes": crew.size}
            progress = {**origin, **(provenance or {}), "sessions": [*past.sessions, session]}
            folder.describe({**origin, "environment": environment(crew.size), "first_step": past.step})
            judge = Judge(corpora, slice_frames, config.seed, folder)
            log = closing.enter_context(_Log(config, folder, learner, judge, past, progress, end, report))

        def project(slices: Tensor) -> Tensor:
            with torch.autocast(crew.device.type, torch.bfloat16, enabled=config.bf16):
                return learner.embedder.project(slices)

        def loss_of(anchors: Tensor, positives: Tensor) -> Tensor:
            return nt_xent(anchors, positives, config.temperature)

        for step, source in enumerate(batches(stream, past.step, end), past.step):
            key = (config.seed, step)
            slices = views(source, config.augment, slice_frames, config.model.mel, *key, own, crew.device)
            loss = contrast(project, slices, loss_of, crew, config.micro_batch_pairs, key).item()
            crew.sum_gradients(learner.embedder.parameters())
            norm = learner.clip().item()
            if not (math.isfinite(loss) and math.isfinite(norm)):
                cause = f"the loss is {loss} and its gradient {norm} at step {step}"
                raise ModelError(readable(out), cause, "begin a new run with a lower learning_rate")
            learner.update(learning_rate(step, config.steps, config.warmup_steps, config.learning_rate))
            if log is not None:
                log.after(step, loss, norm)
    return folder.last


def _stream(config: TrainConfig, corpora: Corpora) -> MixedPairs:
    per_second = config.model.mel.frames_per_second
    pairs = PairConfig(
        config.batch_pairs,
        config.augment.source_frames(config.model.encoder.slice_frames),
        round(config.min_apart_s * per_second),
        round(config.max_apart_s * per_second),
        config.same_package_share,
        spectra=config.augment.from_spectra,
    )
    return MixedPairs(corpora.train, pairs, config.seed, round(config.ram_budget_gb * 1e9), config.weights)


def _learner(config: TrainConfig, device: torch.device) -> Learner:
    """The same weights in every process: they follow from the seed."""
    torch.manual_seed(config.seed)
    embedder = Embedder(config.model).to(device)
    for parameter in embedder.parameters():  # kernels in the order that convolutions on bf16 are fast in
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    optimiser = make_optimiser(config.optimiser, embedder, config.learning_rate, config.weight_decay, config.momentum)
    return Learner(embedder, optimiser, config.clip_norm, config.adaptive_clip, config.ema_decay)


@dataclass(frozen=True)
class _Past:
    """What a run has behind it when it is taken up again."""

    step: int = 0
    seconds: float = 0.0
    sessions: tuple[Mapping[str, Any], ...] = ()


def _resume(folder: RunFolder, learner: Learner, origin: Mapping[str, Any], crew: Crew) -> _Past:
    """Every process fills its learner from the last checkpoint, where there is one."""
    found = folder.resumed(origin)
    past = _Past()
    if found is not None:
        learner.load(found)
        said = found.provenance
        past = _Past(int(said["step"]), said["seconds"], tuple(said["sessions"]))
    if not crew.agree(past.step):
        raise ModelError(
            readable(folder.last), "is not the same for all processes", "choose a folder that all of them see"
        )
    return past


class _Log:
    """What the first process does beside training: validation, metrics, checkpoints, report."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        learner: Learner,
        judge: Judge,
        past: _Past,
        progress: Mapping[str, Any],
        end: int,
        report: Callable[[StepReport], None] | None,
    ) -> None:
        self._config, self._folder, self._learner, self._judge = config, folder, learner, judge
        self._past, self._progress, self._end, self._report = past, progress, end, report
        self._metrics = folder.metrics(past.step)
        self._begun = self._saved = self._looked = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._folder.last.exists():  # a run of no steps
            self._save(self._past.step)
        self._metrics.close()

    def after(self, step: int, loss: float, norm: float) -> None:
        """Once a step. The line is written before the checkpoint: a kill between them loses neither."""
        config, now, done = self._config, time.monotonic(), step + 1
        watched: dict[str, Watched] = {}
        whitened: dict[str, Watched] = {}
        if self._judge.watches and (now - self._looked > config.watch_every_s or done == config.steps):
            watched = self._judge.look(self._learner.averaged, {**self._progress, "step": done})
            self._looked = time.monotonic()
        if done == config.steps:
            whitened = self._judge.finish(self._learner.averaged)
        line = {"step": step, "loss": loss, "grad_norm": norm, "seconds": round(self._seconds(now), 2)}
        self._write(line, watched, whitened)
        if now - self._saved > config.checkpoint_every_s or done == self._end:
            self._save(done)
        if self._report is not None:
            pace = (now - self._begun) / (done - self._past.step)
            rate, left = 2 * config.batch_pairs / pace, pace * (config.steps - done)
            self._report(StepReport(done, config.steps, loss, rate, left, watched, whitened))

    def _seconds(self, now: float) -> float:
        return self._past.seconds + now - self._begun

    def _write(
        self, line: Mapping[str, float], watched: Mapping[str, Watched], whitened: Mapping[str, Watched]
    ) -> None:
        seen = {
            key: {corpus: look.known() for corpus, look in looks.items()}
            for key, looks in (("watched", watched), ("whitened", whitened))
            if looks
        }
        with writing(self._folder.path):
            self._metrics.write(json.dumps({**line, **seen}) + "\n")
            self._metrics.flush()

    def _save(self, step: int) -> None:
        with writing(self._folder.path):
            os.fsync(self._metrics.fileno())
        progress = {**self._progress, "step": step, "seconds": round(self._seconds(time.monotonic()), 1)}
        self._folder.save(self._learner.averaged, progress, self._learner.tensors())
        self._saved = time.monotonic()
