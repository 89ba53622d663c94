"""How far a run is, read from its folder: finished, running, waiting or failed."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nearfield.errors import ModelError
from nearfield.train.claim import holder
from nearfield.train.keep import RunFolder
from nearfield.train.settings import TrainConfig


@dataclass(frozen=True)
class Standing:
    """`step` of `steps` are done, the last with `loss`; `seconds` were spent on them. `cause`: why a run has failed."""

    state: str
    step: int
    steps: int
    loss: float | None = None
    seconds: float = 0.0
    cause: str = ""

    @property
    def step_seconds(self) -> float | None:
        """How long a step takes; None before the first."""
        return self.seconds / self.step if self.step else None


def standing(out: Path, config: TrainConfig, failed: str = "") -> Standing:
    """Of the run in `out`, which need not exist; `failed` is why its last attempt failed, if it did.

    A run is finished when its last checkpoint is of its last step. One of other settings has failed.
    """
    last = last_line(out)
    step = 0 if last is None else int(last["step"]) + 1
    loss, seconds = (None, 0.0) if last is None else (float(last["loss"]), float(last["seconds"]))
    running = holder(out / "lock") is not None
    try:
        done = finished(out, config)
    except ModelError as error:
        done, failed = False, error.cause
    state = "finished" if done else "running" if running else "failed" if failed else "waiting"
    return Standing(state, step, config.steps, loss, seconds, failed if state == "failed" else "")


def finished(out: Path, config: TrainConfig, corpora: Mapping[str, str] | None = None) -> bool:
    """Raises ModelError where `out` holds a run of other settings, or of other corpora where they are given."""
    progress = RunFolder(out).progress({"train": asdict(config), **(corpora or {})})
    return progress is not None and int(progress["step"]) == config.steps


def metric_lines(out: Path) -> Iterator[dict[str, Any]]:
    """Of metrics.jsonl; one cut short is left out."""
    path = out / "metrics.jsonl"
    for line in path.read_text("utf-8").splitlines(keepends=True) if path.exists() else ():
        if line.endswith("\n"):
            yield json.loads(line)


def last_line(out: Path) -> dict[str, Any] | None:
    """None where there is none."""
    return next(iter(deque(metric_lines(out), maxlen=1)), None)
