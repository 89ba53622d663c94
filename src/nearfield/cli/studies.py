"""The commands about studies, which are many runs judged together: study run, study status."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg, subcommand

from nearfield.cli import show
from nearfield.cli.arguments import AsJson
from nearfield.cli.training import need_torch
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from nearfield.train.overview import Overview
    from nearfield.train.queue import Work

StudyFolder = Annotated[Path, arg(help="Folder of the study: study.toml and its variants.", metavar="FOLDER")]
Stores = Annotated[
    UseAppendAction[tuple[Path, ...]],
    arg(help="A store in place of the study's; repeatable.", metavar="STORE", help_behavior_hint="(default: study's)"),
]
Runs = Annotated[
    Path | None,
    arg(help="Folder of the runs' folders.", metavar="FOLDER", help_behavior_hint="(default: study's)"),
]
Only = Annotated[
    str, arg(help="Only runs with such names, like 'ts-*'.", metavar="PATTERN", help_behavior_hint="(default: all)")
]


@dataclass(frozen=True)
class StudyRun:
    """Train the runs of a study one after another. Run it again: what is finished is skipped, what was begun goes on."""

    study: Positional[StudyFolder]
    store: Stores = ()
    runs: Runs = None
    only: Only = "*"
    threads: Annotated[int | None, arg(help="Cores to use.", metavar="N", help_behavior_hint="(default: all)")] = None
    commit: Annotated[bool, arg(help="Commit what is kept of each run with git.", help_behavior_hint="")] = False
    background: Annotated[
        bool, arg(help="Leave it running; it writes to study.log in the folder of the runs.", help_behavior_hint="")
    ] = False

    def run(self) -> int:
        need_torch("study run")
        from nearfield.train.queue import work_through

        work = _work(self.study, self.store, self.runs, self.only, self.threads, self.commit)
        if self.background:
            return self._detach(work)
        outcome = work_through(work, show.say)
        show.print_line(f"{outcome.made} made, {outcome.skipped} finished before, {len(outcome.failures)} failed")
        show.print_failures(outcome.failures, sys.stderr, most=None)
        if outcome.interrupted:
            show.say("interrupted; the same command goes on from there")
            return 130
        return 1 if outcome.failures else 0

    def _detach(self, work: Work) -> int:
        from nearfield.train.process import command, detach
        from nearfield.train.queue import claim_path

        log = work.runs / "study.log"
        number = detach(command("study", "run", *self._words()), log, claim_path(work.runs))
        show.print_line(f"process {number} writes to {show.readable(log)}; to stop it: kill {number}")
        return 0

    def _words(self) -> list[str]:
        given = [("--store", store) for store in self.store]
        named = (("--runs", self.runs), ("--only", self.only), ("--threads", self.threads))
        words = [str(w) for pair in [*given, *(p for p in named if p[1] is not None)] for w in pair]
        return [str(self.study), *words, *(["--commit"] if self.commit else [])]


@dataclass(frozen=True)
class StudyStatus:
    """Say how far each run of a study is."""

    study: Positional[StudyFolder]
    runs: Runs = None
    only: Only = "*"
    json: AsJson = False

    def run(self) -> int:
        need_torch("study status")
        from nearfield.train.overview import overview

        found = overview(_work(self.study, (), self.runs, self.only))
        if self.json:
            show.print_json(asdict(found))
        else:
            with show.printing():
                print("\n".join(_table(found)))
        return 0


@dataclass(frozen=True)
class StudyCommands:
    """Make many runs that are judged together, and see how far they are."""

    action: Annotated[StudyRun, subcommand("run")] | Annotated[StudyStatus, subcommand("status")]

    def run(self) -> int:
        return self.action.run()


def _work(
    study: Path, stores: Sequence[Path], runs: Path | None, only: str, threads: int | None = None, commit: bool = False
) -> Work:
    from nearfield.config import read_run, read_study
    from nearfield.train.queue import Queued, Work

    config = read_study(study)
    folder = Path(config.runs) if runs is None else runs
    chosen = [run for run in config.planned if fnmatch.fnmatchcase(run.name, only)]
    if not chosen:
        raise ConfigError(
            "--only", f"no run of the study is named like {only!r}", f"its runs: {', '.join(config.queue)}"
        )
    files = {run: study / f"{run.variant}.toml" for run in chosen}
    queue = [Queued(run, read_run(file, seed=run.seed), file, folder / run.name) for run, file in files.items()]
    return Work(study, folder, tuple(stores) or tuple(map(Path, config.stores)), tuple(queue), threads, commit)


def _table(found: Overview) -> list[str]:
    rows = [("variant", "seed", "step", "loss", "state", "left")]
    for run in found.runs:
        loss = "" if run.loss is None else f"{run.loss:.3f}"
        step, left = f"{run.step}/{run.steps}", _clock(run.seconds_left)
        rows.append((run.variant, str(run.seed), step, loss, run.state, left))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    justified = [
        (variant.ljust(a), seed.rjust(b), step.rjust(c), loss.rjust(d), state.ljust(e), left.rjust(f))
        for (variant, seed, step, loss, state, left) in rows
        for (a, b, c, d, e, f) in [widths]
    ]
    lines = ["  ".join(row).rstrip() for row in justified]
    lines += [f"{run.variant}-{run.seed}: {show.readable(run.cause)}" for run in found.runs if run.cause]
    who = "nobody is at it" if found.process is None else f"process {found.process} is at it"
    return [*lines, f"{who}; all of it takes another {_clock(found.seconds_left) or 'unknown time'}"]


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"
