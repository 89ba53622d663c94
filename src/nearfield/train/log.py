"""What the first process does beside training: validation, metrics, checkpoints, report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from nearfield.model.checkpoint import writing
from nearfield.train.board import Board
from nearfield.train.judge import Judge
from nearfield.train.keep import RunFolder
from nearfield.train.learner import Learner
from nearfield.train.settings import TrainConfig
from nearfield.train.watch import Watched


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
class Past:
    """What a run has behind it when it is taken up again."""

    step: int = 0
    seconds: float = 0.0
    sessions: tuple[Mapping[str, Any], ...] = ()


class Log:
    """Called after every step; closes the metrics when it is left."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        learner: Learner,
        judge: Judge,
        past: Past,
        progress: Mapping[str, Any],
        end: int,
        report: Callable[[StepReport], None] | None,
    ) -> None:
        self._config, self._folder, self._learner, self._judge = config, folder, learner, judge
        self._past, self._progress, self._end, self._report = past, progress, end, report
        self._board = Board(folder.path / "tensorboard", past.step) if config.tensorboard else None
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
        if self._board is not None:
            self._board.close()

    def after(self, step: int, loss: float, norm: float, leaving: bool = False) -> None:
        """Once a step; `leaving` saves. The line is written before the checkpoint: a kill between them loses neither."""
        config, now, done = self._config, time.monotonic(), step + 1
        watched: dict[str, Watched] = {}
        whitened: dict[str, Watched] = {}
        if self._judge.watches and (done == config.steps or self._due(done, now)):
            watched = self._judge.look(self._learner.averaged, {**self._progress, "step": done})
            self._looked = time.monotonic()
        if done == config.steps:
            whitened = self._judge.finish(self._learner.averaged)
        line = {"step": step, "loss": loss, "grad_norm": norm, "seconds": round(self._seconds(now), 2)}
        self._write(line, watched, whitened)
        if now - self._saved > config.checkpoint_every_s or done == self._end or leaving:
            self._save(done)
        if self._report is not None:
            pace = (now - self._begun) / (done - self._past.step)
            rate, left = 2 * config.batch_pairs / pace, pace * (config.steps - done)
            self._report(StepReport(done, config.steps, loss, rate, left, watched, whitened))

    def _due(self, done: int, now: float) -> bool:
        if self._config.watch_every_steps:
            return done % self._config.watch_every_steps == 0
        return now - self._looked > self._config.watch_every_s

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
        if self._board is not None:
            self._board.write({**line, **seen})

    def _save(self, step: int) -> None:
        with writing(self._folder.path):
            os.fsync(self._metrics.fileno())
        progress = {**self._progress, "step": step, "seconds": round(self._seconds(time.monotonic()), 1)}
        self._folder.save(self._learner.averaged, progress, self._learner.tensors())
        self._saved = time.monotonic()
