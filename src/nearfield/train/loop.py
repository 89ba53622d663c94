"""The training loop, top to bottom: pairs in, checkpoint out.

SimCLR on slices of music as MULE does it (arXiv 2210.03799; the loss is arXiv 2002.05709). Every random number follows
from (seed, step), so a run that was killed goes on as if it had not been. By default AdamW and a smaller batch than
MULE's 1920 pairs, which two cores cannot hold; `micro_batch_pairs` (train/contrast.py) and several processes
(train/parallel.py) reach any batch. What else is done to the slices is in train/feed.py.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearfield.data.melstore import MelStore
from nearfield.data.pairs import MixedPairs, PairConfig
from nearfield.errors import ModelError, readable
from nearfield.model.embedder import Embedder
from nearfield.model.ntxent import nt_xent
from nearfield.train.contrast import contrast
from nearfield.train.corpora import Corpora
from nearfield.train.feed import batches, views
from nearfield.train.judge import Judge
from nearfield.train.keep import RunFolder
from nearfield.train.learner import Learner
from nearfield.train.log import Log, Past, StepReport
from nearfield.train.memory import keep_freed_memory
from nearfield.train.optimise import make_optimiser
from nearfield.train.origin import environment
from nearfield.train.parallel import Crew, joined
from nearfield.train.schedule import learning_rate
from nearfield.train.settings import TrainConfig


def train(
    config: TrainConfig,
    stores: MelStore | Sequence[MelStore],
    out: Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    report: Callable[[StepReport], None] | None = None,
    stop_after: int | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Path:
    """Train on one corpus or several, or go on with the run that `out` holds; returns the path of the last checkpoint.

    What `out` gets is in docs/formats.md. Started by torchrun, the processes share every batch; the first of them alone
    writes and reports. `stop_after` ends early at that step with everything saved; so does `stopping`, asked after each
    step, as soon as it says yes (several processes must be told the same). Raises ModelError when `out` belongs to another
    run or another process is at it, ConfigError when the processes cannot share a batch.
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
        stream = _stream(config, corpora, crew)
        if crew.leads:
            closing.enter_context(folder.claim())
        learner = _learner(config, crew.device)
        past = _resume(folder, learner, origin, crew)
        log = None
        if crew.leads:
            session = {**(provenance or {}), "first_step": past.step, "processes": crew.size}
            progress = {**origin, **(provenance or {}), "sessions": [*past.sessions, session]}
            folder.describe({**origin, "environment": environment(crew.size), "first_step": past.step})
            judge = Judge(corpora, slice_frames, config.seed, folder)
            log = closing.enter_context(Log(config, folder, learner, judge, past, progress, end, report))

        def loss_of(anchors: Tensor, positives: Tensor) -> Tensor:
            return nt_xent(anchors, positives, config.temperature)

        for step, source in enumerate(batches(stream, past.step, end), past.step):
            key = (config.seed, step)
            slices = views(source, config.augment, slice_frames, config.model.mel, *key, own, crew.device)
            project = _projection(learner.embedder, crew.device, config.bf16, hidden_part(config, step))
            loss = contrast(project, slices, loss_of, crew, config.micro_batch_pairs, key).item()
            crew.sum_gradients(learner.embedder.parameters())
            norm = learner.clip().item()
            if not (math.isfinite(loss) and math.isfinite(norm)):
                cause = f"the loss is {loss} and its gradient {norm} at step {step}"
                raise ModelError(readable(out), cause, "begin a new run with a lower learning_rate")
            learner.update(learning_rate(step, config.steps, config.warmup_steps, config.learning_rate))
            leaving = stopping is not None and stopping()
            if log is not None:
                log.after(step, loss, norm, leaving)
            if leaving:
                break
    return folder.last


def _projection(embedder: Embedder, device: torch.device, bf16: bool, hidden: str) -> Callable[[Tensor], Tensor]:
    """Slices to projections, as one step makes them."""

    def project(slices: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return embedder.project(slices, hidden)

    return project


def hidden_part(config: TrainConfig, step: int) -> str:
    """The learned part that this step's projector does not see; "" where it sees all."""
    rng = np.random.default_rng([config.seed, 14, step])
    dropped = rng.random() < config.part_dropout
    return str(rng.choice([p.name for p in config.model.encoder.learned_parts])) if dropped else ""


def _stream(config: TrainConfig, corpora: Corpora, crew: Crew) -> MixedPairs:
    per_second = config.model.mel.frames_per_second
    pairs = PairConfig(
        config.batch_pairs,
        config.augment.source_frames(config.model.encoder.slice_frames),
        round(config.min_apart_s * per_second),
        round(config.max_apart_s * per_second),
        config.same_package_share,
        config.same_tempo_share,
        spectra=config.augment.from_spectra,
    )
    budget = round(config.ram_budget_gb * 1e9)
    return MixedPairs(corpora.train, pairs, config.seed, budget, config.weights, mapped=crew.here > 1)


def _learner(config: TrainConfig, device: torch.device) -> Learner:
    """The same weights in every process: they follow from the seed."""
    torch.manual_seed(config.seed)
    embedder = Embedder(config.model).to(device)
    for parameter in embedder.parameters():  # kernels in the order that convolutions on bf16 are fast in
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    optimiser = make_optimiser(config.optimiser, embedder, config.learning_rate, config.weight_decay, config.momentum)
    return Learner(embedder, optimiser, config.clip_norm, config.adaptive_clip, config.ema_decay)


def _resume(folder: RunFolder, learner: Learner, origin: Mapping[str, Any], crew: Crew) -> Past:
    """Every process fills its learner from the last checkpoint, where there is one."""
    found = folder.resumed(origin)
    past = Past()
    if found is not None:
        learner.load(found)
        said = found.provenance
        past = Past(int(said["step"]), said["seconds"], tuple(said["sessions"]))
    if not crew.agree(past.step):
        raise ModelError(
            readable(folder.last), "is not the same for all processes", "choose a folder that all of them see"
        )
    return past
