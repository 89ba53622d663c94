"""Every task that catalogues and their labels allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from nearfield.errors import BenchError
from nearfield.study.benchmark.key import key_tasks
from nearfield.study.benchmark.labelling import labelling_tasks
from nearfield.study.benchmark.retrieving import retrieval_tasks
from nearfield.study.benchmark.rules import rules_of
from nearfield.study.benchmark.task import Catalogue, Task
from nearfield.study.benchmark.tempo import tempo_tasks
from nearfield.study.tasks.learners import ProbeSettings


def plan(
    catalogues: Mapping[str, Catalogue],
    folds: Path | None,
    only: Sequence[str] = (),
    settings: ProbeSettings | None = None,
) -> tuple[Task, ...]:
    """The tasks of catalogues by name, by the rules of that name (rules.py): retrieval, labelling, tempo, key.

    `folds`: the folder where folds are kept, made when they are first asked for; None: they are made anew, and alike. `only`:
    patterns of names, as in a shell (`retrieval/*`); none: all. `settings`: the grid of all probes.

    Raises BenchError for a catalogue under another name, and a pattern that fits no task.
    """
    if strange := [name for name, c in catalogues.items() if c.name != name]:
        cause = f"is the catalogue {catalogues[strange[0]].name!r}"
        raise BenchError(strange[0], cause, "give each catalogue under its name")
    tasks: list[Task] = []
    for name, catalogue in catalogues.items():
        tasks += retrieval_tasks(catalogue, rules_of(name))
    for name, catalogue in catalogues.items():
        tasks += labelling_tasks(catalogue, rules_of(name), folds, settings)
    tasks += [*tempo_tasks(catalogues, settings), *key_tasks(catalogues, settings)]
    return _chosen(tasks, only)


def _chosen(tasks: Sequence[Task], only: Sequence[str]) -> tuple[Task, ...]:
    names = [task.name for task in tasks]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            there = f"choose among {', '.join(names)}" if names else "give catalogues with labels"
            raise BenchError(pattern, "fits no task", there)
    return tuple(t for t in tasks if not only or any(fnmatchcase(t.name, pattern) for pattern in only))
