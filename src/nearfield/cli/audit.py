"""The command that audits embeddings."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from nearfield.cli import show
from nearfield.cli.arguments import AsJson
from nearfield.cli.untrained import write_untrained
from nearfield.errors import AuditError, Failure

if TYPE_CHECKING:
    from nearfield.data.manifest import Manifest
    from nearfield.study.audit import AuditConfig


@dataclass(frozen=True)
class Audit:
    """Measure what makes neighbours neighbours in one or several embeddings of a catalogue. Run it again, and it goes on."""

    embeddings: Positional[
        Annotated[
            tuple[str, ...],
            arg(
                help="Each a space, a file of vectors (.npz, .parquet), a model (.onnx, or nearfield), a HEAR module "
                "(module:NAME or FILE.py), untrained, mfcc, log-mel, mean-log-mel, chroma-tempogram, bliss or musicnn:PYTHON; "
                "NAME=... calls it NAME.",
                metavar="EMBEDDING [EMBEDDING ...]",
            ),
        ]
    ]
    catalogue: Annotated[Path, arg(help="A manifest (Parquet), or a folder of music.", metavar="MANIFEST")]
    out: Annotated[Path, arg(help="Folder for the report.", aliases=["-o"], metavar="FOLDER")] = Path("report")
    k: Annotated[int, arg(help="Neighbours, where one number is asked for.", aliases=["-k"], metavar="K")] = 10
    leave_out: Annotated[
        tuple[Literal["artist", "album", "package", "duplicates"], ...],
        arg(help="Tracks that share it are not each other's neighbours.", metavar="WHAT ...", help_behavior_hint=""),
    ] = ()
    changed: Annotated[int, arg(help="Tracks whose sound is changed; 0: none.", metavar="N")] = 60
    kinds: Annotated[
        tuple[str, ...],
        arg(
            help="Kinds of change, of those the report names.", metavar="KIND ...", help_behavior_hint="(default: all)"
        ),
    ] = ()
    no_estimates: Annotated[
        bool, arg(help="Take tempo and key from the manifest alone; read no sound for them.", help_behavior_hint="")
    ] = False
    cache: Annotated[
        Path | None,
        arg(
            help="Folder for changed versions and estimates.",
            metavar="FOLDER",
            help_behavior_hint="(default: OUT.cache)",
        ),
    ] = None
    workers: Annotated[int | None, arg(help="Processes.", metavar="N", help_behavior_hint="(default: one a core)")] = (
        None
    )
    seed: Annotated[int, arg(help="Of every sample and permutation.", metavar="N")] = 0
    json: AsJson = False

    def run(self) -> int:
        from rich.console import Console

        from nearfield.origin import command_line, commit, today, version
        from nearfield.study.audit import audit
        from nearfield.study.embedding import Reading, open_embedding
        from nearfield.study.report import check_place, plain, print_report, write_report

        begun = time.monotonic()
        config, (manifest, unread) = self._config(), self._manifest()
        check_place(self.out)
        place = self.out.resolve()
        cache = self.cache or place.parent / f"{place.name}.cache"
        with (
            show.stages() as tell,
            _of_cache(cache),
            contextlib.redirect_stdout(sys.stderr),
        ):  # whatever a module prints

            def heard(done: int, total: int, failed: int) -> None:
                tell("hearing tracks", done, total, failed)

            how = Reading(cache, workers=self.workers, tell=heard, untrained=write_untrained)
            opened = [open_embedding(given, manifest, how) for given in self.embeddings]
            said = {
                "command": command_line(sys.argv),
                "commit": commit(),
                "date": today(),
                "versions": _versions(version()),
            }
            reports = audit(opened, manifest, cache, config, workers=self.workers, tell=tell, provenance=said)
        files = write_report(reports, self.out)
        failures = [*unread, *_failures(reports)]
        if self.json:
            document = {"reports": plain(reports), "files": [show.readable(f) for f in files]}
            show.print_outcome(document, "", failures, True)
        else:
            print_report(Console(), reports)
            line = f"{show.readable(files[0])} ({time.monotonic() - begun:.0f} s)"
            show.print_outcome({}, line, failures, False)
        return 1 if failures else 0

    def _config(self) -> AuditConfig:
        from nearfield.sound.manipulate import standard
        from nearfield.study.audit import AuditConfig

        return AuditConfig(
            main_k=self.k,
            leave_out=tuple(self.leave_out),
            changed_tracks=self.changed,
            changes=standard(self.kinds) if self.kinds else None,
            estimate=not self.no_estimates,
            seed=self.seed,
        )

    def _manifest(self) -> tuple[Manifest, tuple[Failure, ...]]:
        """The catalogue, and the files of a folder that could not be read."""
        from nearfield.data.manifest import read_manifest
        from nearfield.data.scan import scan_folder

        if self.catalogue.is_dir():
            scanned = scan_folder(self.catalogue)
            return scanned.manifest, tuple(scanned.failures)
        return read_manifest(self.catalogue), ()


@contextlib.contextmanager
def _of_cache(cache: Path) -> Iterator[None]:
    """What the disk refuses while an audit runs is something about what is kept: files that cannot be read are failures."""
    try:
        yield
    except BrokenPipeError:  # nobody hears of the progress any more
        raise
    except OSError as error:
        where = str(error.filename or cache)
        cause = f"cannot be used to keep what is found ({error.strerror or error})"
        raise AuditError(show.readable(where), cause, "free space, or choose another folder with --cache") from error


def _versions(nearfield: str) -> dict[str, str]:
    import numpy
    import scipy

    return {"nearfield": nearfield, "numpy": numpy.__version__, "scipy": scipy.__version__}


def _failures(reports: tuple[dict[str, Any], ...]) -> list[Failure]:
    """What could not be judged, each track once."""
    found: dict[str, Failure] = {}
    for report in reports:
        settings = report["settings"]
        given = report["embedding"]["kind"] in ("space", "vectors")
        file = "repair or remove the file, and audit again"
        vector = "correct the vectors or the catalogue, and audit again" if given else file
        lists = [
            (settings["not_estimated"], file),
            (report["catalogue"]["left_out"], vector),
            (settings.get("not_changed", []), file),
        ]
        for row, remedy in ((row, remedy) for rows, remedy in lists for row in rows):
            found.setdefault(row["id"], Failure(row["id"], row["cause"], remedy))
    return list(found.values())
