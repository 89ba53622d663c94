"""How far the runs of a study are, all together."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nearfield.train.claim import holder
from nearfield.train.queue import Work, claim_path, read_failures
from nearfield.train.standing import Standing, standing


@dataclass(frozen=True)
class RunRow:
    """`seconds_left` is None where nothing tells how long a step takes; `state` and `cause` are those of a Standing."""

    variant: str
    seed: int
    step: int
    steps: int
    loss: float | None
    state: str
    seconds_left: float | None
    cause: str


@dataclass(frozen=True)
class Overview:
    """`process`: who works through the queue; `seconds_left`: of all runs together, one after another."""

    runs: tuple[RunRow, ...]
    process: int | None
    seconds_left: float | None


def overview(work: Work) -> Overview:
    """Read from the folders; a run that has no step of its own is taken to be as fast as the others' median."""
    failed = read_failures(work.runs)
    found = [standing(run.out, run.config, failed.get(run.planned.name, "")) for run in work.queue]
    usual = _usual(found)
    rows = [
        RunRow(run.planned.variant, run.planned.seed, s.step, s.steps, s.loss, s.state, _left(s, usual), s.cause)
        for run, s in zip(work.queue, found, strict=True)
    ]
    left = [row.seconds_left for row in rows]
    known = [seconds for seconds in left if seconds is not None]
    return Overview(tuple(rows), holder(claim_path(work.runs)), sum(known) if len(known) == len(left) else None)


def _usual(found: Sequence[Standing]) -> float | None:
    paces = [s.step_seconds for s in found if s.step_seconds is not None]
    return statistics.median(paces) if paces else None


def _left(run: Standing, usual: float | None) -> float | None:
    if run.state == "finished":
        return 0.0
    pace = usual if run.step_seconds is None else run.step_seconds
    return None if pace is None else round(pace * (run.steps - run.step), 1)
