"""The command that asks embeddings what they are good for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from nearfield.cli import show
from nearfield.cli.arguments import AsJson
from nearfield.cli.untrained import write_untrained
from nearfield.errors import Failure

if TYPE_CHECKING:
    from nearfield.data.manifest import Manifest
    from nearfield.study.benchmark.opening import Contender, Field
    from nearfield.study.benchmark.task import Task
    from nearfield.study.embedding import Reading

BASELINES = ("untrained", "mfcc", "mean-log-mel", "log-mel", "chroma-tempogram", "bliss", "musicnn")


@dataclass(frozen=True)
class Bench:
    """Ask embeddings what they are good for: retrieval, labelling, tempo and key, beside baselines and chance. Run it
    again, and it goes on; rows of other models and tasks stay in the results.
    """

    models: Positional[
        Annotated[
            tuple[str, ...],
            arg(
                help="Each as audit takes it: a space, a file of vectors, a model, a HEAR module, mfcc, ...; NAME=... "
                "calls it NAME, and {catalogue} stands for the catalogue's name.",
                metavar="MODEL [MODEL ...]",
            ),
        ]
    ]
    catalogue: Annotated[
        tuple[str, ...],
        arg(
            help="A manifest (Parquet) and its name, which may be that of a known set: then that set's labels and "
            "splits are asked.",
            metavar="NAME=MANIFEST ...",
        ),
    ]
    tasks: Annotated[
        tuple[str, ...],
        arg(
            help="Only these tasks, by name or pattern: 'retrieval/*'.",
            metavar="TASK ...",
            help_behavior_hint="(default: all)",
        ),
    ] = ()
    out: Annotated[Path, arg(help="Folder for results and folds.", aliases=["-o"], metavar="FOLDER")] = Path("results")
    baselines: Annotated[
        tuple[str, ...],
        arg(
            help=f"Of {', '.join(BASELINES)}; or none.",
            metavar="NAME ...",
            help_behavior_hint="(default: all)",
        ),
    ] = BASELINES
    musicnn: Annotated[
        str,
        arg(
            help="A Python of an environment with musicnn; needed once, then its vectors are kept.",
            metavar="PYTHON",
            help_behavior_hint="",
        ),
    ] = ""
    cache: Annotated[
        Path | None,
        arg(help="Folder for what was heard and found.", metavar="FOLDER", help_behavior_hint="(default: OUT.cache)"),
    ] = None
    list_tasks: Annotated[
        bool, arg(help="Only name the tasks that the catalogues allow; hear nothing.", help_behavior_hint="")
    ] = False
    workers: Annotated[int | None, arg(help="Processes.", metavar="N", help_behavior_hint="(default: one a core)")] = (
        None
    )
    seed: Annotated[int, arg(help="Of probes and intervals.", metavar="N")] = 0
    json: AsJson = False

    def run(self) -> int:
        from rich.console import Console

        from nearfield.origin import command_line, commit, today
        from nearfield.study.benchmark.answers import answers_in
        from nearfield.study.benchmark.estimators import estimate
        from nearfield.study.benchmark.files import Source, lines_of, write_table
        from nearfield.study.benchmark.opening import open_field
        from nearfield.study.benchmark.run import run
        from nearfield.study.benchmark.show import print_lines

        begun = time.monotonic()
        manifests = self._manifests()
        named = self._tasks(manifests)  # a pattern that fits nothing is said before anything is heard
        if self.list_tasks:
            return self._named(named)
        source = Source(command_line(sys.argv), commit(), today())
        cache = self.cache or self.out.resolve().parent / f"{self.out.resolve().name}.cache"
        with show.stages() as tell, contextlib.redirect_stdout(sys.stderr):  # whatever a module prints
            field = open_field(self._contenders(), manifests, self._reading(cache, tell))
            tasks = self._tasks(manifests, field)
            found = estimate(tasks, manifests, cache, self.workers, tell)
            with answers_in(cache / "answers.journal") as answers:
                table = run(field, manifests, tasks, answers, self.seed, estimators=found.estimators, tell=tell)
        files = write_table(table, field, self.out, source, time.monotonic() - begun)
        failures = [*found.missing, *_failures(field, table.failed)]
        lines = lines_of(table.scores, source)
        if self.json:
            document = {"rows": [line.as_dict() for line in lines], "files": [show.readable(f) for f in files]}
            show.print_outcome(document, "", failures, True)
        else:
            print_lines(Console(), [line for line in lines if not line.against])
            said = f"{show.readable(files[0])} ({time.monotonic() - begun:.0f} s)"
            show.print_outcome({}, said, failures, False)
        return 1 if failures else 0

    def _manifests(self) -> dict[str, Manifest]:
        from nearfield.data.manifest import read_manifest
        from nearfield.errors import BenchError
        from nearfield.study.benchmark.opening import catalogue_of

        named = [catalogue_of(text) for text in self.catalogue]
        if len({name for name, _ in named}) < len(named):
            raise BenchError("catalogues", "two have the same name", "name them apart: NAME=MANIFEST")
        return {name: read_manifest(path) for name, path in named}

    def _contenders(self) -> tuple[Contender, ...]:
        from nearfield.errors import BenchError
        from nearfield.study.benchmark.opening import Contender

        wanted = () if self.baselines == ("none",) else self.baselines
        if strange := [name for name in wanted if name not in BASELINES]:
            raise BenchError(strange[0], "is no baseline", f"choose of {', '.join(BASELINES)}, or none")
        given = {"musicnn": f"musicnn:{self.musicnn}" if self.musicnn else "musicnn"}
        models = tuple(Contender.of(text) for text in self.models)
        asked = {c.given for c in models}
        return (*models, *(Contender(n, given.get(n, n), baseline=True) for n in wanted if n not in asked))

    def _reading(self, cache: Path, tell: show.TellStage) -> Callable[[str, str], Reading]:
        from nearfield.study.embedding import Reading

        def of(model: str, catalogue: str) -> Reading:
            stage = f"hearing {catalogue}: {model}"
            place, heard = cache / catalogue, lambda *done: tell(stage, *done)
            return Reading(place, workers=self.workers, tell=heard, untrained=write_untrained)

        return of

    def _tasks(self, manifests: dict[str, Manifest], field: Field | None = None) -> tuple[Task, ...]:
        from nearfield.study.benchmark.plan import plan
        from nearfield.study.benchmark.task import Catalogue

        judged = {} if field is None else field.judged
        catalogues = {n: Catalogue.of(n, m.tracks, judged.get(n)) for n, m in manifests.items()}
        return plan(catalogues, self.out / "folds", self.tasks)

    def _named(self, tasks: Sequence[Task]) -> int:
        names = [task.name for task in tasks]
        if self.json:
            show.print_json({"tasks": names})
        else:
            show.print_line("\n".join(names))
        return 0


def _failures(field: Field, failed: Sequence[tuple[str, str]]) -> list[Failure]:
    """What is not in the table: models, tracks, questions."""
    absent = [Failure(f"{a.model} on {a.catalogue}", a.cause, a.remedy) for a in field.absent]
    lacking = [
        Failure(id_, cause, "correct it, or leave it out of the catalogue")
        for rows in field.lacking.values()
        for id_, cause in rows.items()
    ]
    asked = [Failure(question, cause, "see docs/benchmarks.md for what a task needs") for question, cause in failed]
    return [*absent, *lacking, *asked]
