"""The runs of a study, made one after another, each by `nearfield train` in a process of its own.

So a run that dies, of whatever, takes no other with it, and its memory goes back; and what is made is what the same command
makes by hand. A run that is finished is skipped, one that was begun goes on.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nearfield.data.melstore import MelStore
from nearfield.errors import Failure, ModelError, NearfieldError
from nearfield.model.checkpoint import writing
from nearfield.train.claim import Claim
from nearfield.train.committing import commit_files
from nearfield.train.corpora import Corpora
from nearfield.train.keep import replace_text
from nearfield.train.plan import Planned
from nearfield.train.process import Ended, Watched, command
from nearfield.train.result import keep_result, result_files
from nearfield.train.settings import TrainConfig
from nearfield.train.standing import finished
from nearfield.train.stopping import Stopping


@dataclass(frozen=True)
class Queued:
    """A run with its settings: `file` is its variant's TOML, `out` its folder."""

    planned: Planned
    config: TrainConfig
    file: Path
    out: Path


@dataclass(frozen=True)
class Work:
    """What a queue is told. `study` is the folder of the study's files, `runs` that of its runs; `threads` None is all."""

    study: Path
    runs: Path
    stores: tuple[Path, ...]
    queue: tuple[Queued, ...]
    threads: int | None = None
    commits: bool = False

    def train(self, run: Queued) -> list[str]:
        """The command that makes a run."""
        first, *others = map(str, self.stores)
        also = [word for store in others for word in ("--also", store)]
        threads = [] if self.threads is None else ["--threads", str(self.threads)]
        words = ["train", str(run.file), first, str(run.out), *also, "--seed", str(run.planned.seed), *threads]
        return command(*words)


@dataclass(frozen=True)
class Outcome:
    """`made` runs were trained to their end, `skipped` were there already."""

    made: int
    skipped: int
    failures: tuple[Failure, ...]
    interrupted: bool


def claim_path(runs: Path) -> Path:
    """Who works through the queue: one process at a time."""
    return runs / "study.pid"


def work_through(
    work: Work, tell: Callable[[str], None], train: Callable[[Queued], list[str]] | None = None
) -> Outcome:
    """Make every run of the queue; `tell` gets lines of progress, `train` says the command of a run (the default: Work's).

    Ctrl-C or SIGTERM ends it as soon as the run in hand has saved its step. Raises ModelError where another process is at
    it, StoreError where a store cannot be opened; what befalls one run is a Failure.
    """
    made, skipped, failures = 0, 0, list[Failure]()
    with Claim(claim_path(work.runs)) as claim:
        stores = [MelStore(path) for path in work.stores]
        process = Watched([claim.fileno()])
        with Stopping(process.stop) as stopping:
            for number, run in enumerate(work.queue, 1):
                _note(work.runs, run, "")
                try:
                    there = _is_finished(run, stores)
                    if not there:
                        tell(f"{run.planned.name}, {number} of {len(work.queue)}")
                        ended = process.run((train or work.train)(run), tell)
                        if stopping.asked and not _is_finished(run, stores):
                            break
                        _check(run, ended, stores)
                    _keep(work, run, tell)
                    made, skipped = made + (not there), skipped + there
                except NearfieldError as error:
                    failures.append(Failure.of(run.planned.name, error))
                    _note(work.runs, run, error.cause)
                    tell(f"{run.planned.name} failed: {error.cause}")
                if stopping.asked:
                    break
    return Outcome(made, skipped, tuple(failures), stopping.asked)


def _is_finished(run: Queued, stores: Sequence[MelStore]) -> bool:
    corpora = Corpora.of(stores, run.config.model.mel, run.config.validation_share)
    return finished(run.out, run.config, corpora.described())


def _check(run: Queued, ended: Ended, stores: Sequence[MelStore]) -> None:
    """Raises ModelError where the run has not come to its end."""
    if ended.code or not _is_finished(run, stores):
        raise ModelError(run.planned.name, ended.cause, "correct that, then run the same command again")


def _keep(work: Work, run: Queued, tell: Callable[[str], None]) -> None:
    """Leave the result of a finished run beside the study's files."""
    name = run.planned.name
    if keep_result(work.study, run.planned, run.config, run.out):
        tell(f"{name} is finished")
    if work.commits:
        said = commit_files(result_files(work.study, run.planned), f"Run {name}: {run.config.steps} steps")
        tell(f"{name}: {said}")


def read_failures(runs: Path) -> dict[str, str]:
    """Why the last attempt at each run failed, by name, of those that did."""
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, str] = json.loads((runs / "study.json").read_text("utf-8"))["failed"]
        return found
    return {}


def _note(runs: Path, run: Queued, cause: str) -> None:
    """Remember why a run has failed; with "" that it has not."""
    before = read_failures(runs)
    now = {name: why for name, why in before.items() if name != run.planned.name}
    now |= {run.planned.name: cause} if cause else {}
    if now == before:
        return
    path = runs / "study.json"
    with writing(path):
        replace_text(path, json.dumps({"failed": now}, indent=1) + "\n")
