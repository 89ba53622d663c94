"""The commands that gather music: corpus fetch, corpus scan, corpus set, prepare."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import Positional, arg, subcommand

from nearfield.cli import show
from nearfield.cli.arguments import AsJson

GROOVES_PIECES, BAND_PIECES = 3000, 400


@dataclass(frozen=True)
class Fetch:
    """Obtain a named corpus; nothing is installed. games: soundtracks of free games, from Debian's packages. grooves:
    pieces with exact tempo, key and style, made here by programs and soundfonts from Debian's packages. band: pieces
    composed and rendered by Nearfield itself.
    """

    corpus: Positional[
        Annotated[Literal["games", "grooves", "band"], arg(help="Which corpus.", metavar="games|grooves|band")]
    ]
    dest: Positional[Annotated[Path, arg(help="Folder to put it in.", metavar="DEST")]]
    subset: Annotated[
        Literal["small", "full"],
        arg(help="games: small is 0.9 GB, 281 tracks; full 3.6 GB, 756 tracks.", metavar="small|full"),
    ] = "full"
    verify: Annotated[bool, arg(help="games: hash files that are there already, too.", help_behavior_hint="")] = False
    pieces: Annotated[
        int | None,
        arg(
            help="grooves, band: how many pieces.",
            metavar="N",
            help_behavior_hint="(default: grooves 3000, of 26 s; band 400, of 30 s)",
        ),
    ] = None
    seed: Annotated[int, arg(help="grooves, band: which pieces; another seed makes others.", metavar="N")] = 0
    workers: Annotated[
        int | None, arg(help="grooves, band: processes.", metavar="N", help_behavior_hint="(default: one a core)")
    ] = None
    json: AsJson = False

    def run(self) -> int:
        return {"games": self._games, "grooves": self._grooves, "band": self._band}[self.corpus]()

    def _band(self) -> int:
        from nearfield.data.band import write_library
        from nearfield.pool import cores

        with show.progress("pieces") as tell:
            pieces, workers = BAND_PIECES if self.pieces is None else self.pieces, self.workers or cores()
            manifest = write_library(self.dest, pieces, self.seed, file_format="flac", workers=workers, progress=tell)
        path = show.readable(self.dest / "manifest.parquet")
        show.print_outcome(
            {"manifest": path, "tracks": len(manifest)}, f"{len(manifest)} pieces: {path}", (), self.json
        )
        return 0

    def _grooves(self) -> int:
        from nearfield.data.grooves import fetch_grooves

        with show.progress("pieces") as tell:
            result = fetch_grooves(
                self.dest,
                GROOVES_PIECES if self.pieces is None else self.pieces,
                self.seed,
                workers=self.workers,
                progress=tell,
                say=lambda package: show.say(f"{package}: downloading"),
            )
        said = {
            "manifest": show.readable(result.manifest_path),
            "pieces": show.readable(result.pieces_path),
            "tracks": len(result.manifest),
            "rendered": result.rendered,
            "already_there": result.already_there,
            "seconds": round(result.seconds, 1),
        }
        line = f"{result.rendered} pieces made, {result.already_there} there already: {said['manifest']}"
        show.print_outcome(said, f"{line} ({result.seconds:.0f} s)", result.failures, self.json)
        return 1 if result.failures else 0

    def _games(self) -> int:
        from nearfield.data.corpora import FetchProgress, fetch_games

        def tell(now: FetchProgress) -> None:
            if now.step != "present":
                megabytes = now.fetched_bytes / 1e6
                show.say(f"[{now.done_packages}/{now.total_packages}, {megabytes:.0f} MB] {now.package}: {now.step}")

        result = fetch_games(self.dest, self.subset, progress=tell, verify=self.verify)
        hours = sum(t.duration_s or 0 for t in result.manifest) / 3600
        said = {
            "manifest": show.readable(result.manifest_path),
            "tracks": len(result.manifest),
            "hours": round(hours, 2),
            "fetched_packages": result.fetched_packages,
            "present_packages": result.present_packages,
            "fetched_bytes": result.fetched_bytes,
        }
        show.print_outcome(
            said, f"{len(result.manifest)} tracks, {hours:.1f} h: {said['manifest']}", result.failures, self.json
        )
        return 1 if result.failures else 0


@dataclass(frozen=True)
class Scan:
    """Make a manifest of a folder of music from its file tags, and from a table of labels where there is one."""

    folder: Positional[Annotated[Path, arg(help="Folder of music; it is only read.", metavar="FOLDER")]]
    out: Annotated[Path, arg(help="The manifest to write.", aliases=["-o"], metavar="FILE")] = Path("manifest.parquet")
    labels: Annotated[
        Path | None,
        arg(
            help="A CSV file with a column 'file', and others named like a manifest's.",
            metavar="CSV",
            help_behavior_hint="",
        ),
    ] = None
    tags: Annotated[
        tuple[str, ...], arg(help="Columns of it to take as tags.", metavar="COLUMN ...", help_behavior_hint="")
    ] = ()
    json: AsJson = False

    def run(self) -> int:
        from nearfield.data.labels import label_tracks
        from nearfield.data.manifest import write_manifest
        from nearfield.data.scan import scan_folder

        with show.progress("tracks") as tell:
            result = scan_folder(self.folder, progress=lambda now: tell(now.done, now.total, 0))
        manifest, failures = result.manifest, result.failures
        if self.labels is not None:
            found = label_tracks(manifest, self.labels, self.tags)
            manifest, failures = found.manifest, (*failures, *found.failures)
        write_manifest(manifest, self.out)
        said = {"manifest": show.readable(self.out), "tracks": len(manifest)}
        show.print_outcome(said, f"{len(manifest)} tracks: {said['manifest']}", failures, self.json)
        return 1 if failures else 0


SetName = Literal[
    "acm-mirum",
    "ballroom",
    "emomusic",
    "emotify",
    "fma",
    "giantsteps-key",
    "giantsteps-tempo",
    "gtzan",
    "hainsworth",
    "magnatagatune",
    "mtg-jamendo",
    "nsynth",
]


@dataclass(frozen=True)
class Published:
    """Make a manifest of a published set of music that lies in a folder as it was published, with its labels and split.
    The names of sets, their layouts and how to get them stand in docs/datasets.md.
    """

    name: Positional[Annotated[SetName, arg(help=f"Which set: {', '.join(get_args(SetName))}.", metavar="SET")]]
    folder: Positional[Annotated[Path, arg(help="Folder it lies in; it is only read.", metavar="FOLDER")]]
    out: Annotated[Path, arg(help="The manifest to write.", aliases=["-o"], metavar="FILE")] = Path("manifest.parquet")
    part: Annotated[
        str | None,
        arg(
            help="Which part of it, or which version of its labels; by default the usual one. A wrong name lists them.",
            metavar="PART",
            help_behavior_hint="",
        ),
    ] = None
    json: AsJson = False

    def run(self) -> int:
        from nearfield.data.manifest import write_manifest
        from nearfield.data.sets.known import read_set

        result = read_set(self.name, self.folder, self.part)
        write_manifest(result.manifest, self.out)
        for note in result.notes:
            show.say(note)
        said = {
            "manifest": show.readable(self.out),
            "tracks": len(result.manifest),
            "splits": dict(Counter(t.split or "none" for t in result.manifest)),
            "notes": list(result.notes),
        }
        line = f"{len(result.manifest)} tracks: {said['manifest']}"
        show.print_outcome(said, line, result.failures, self.json)
        return 1 if result.failures else 0


@dataclass(frozen=True)
class Prepare:
    """Turn the tracks of a manifest into a store of log-mels for training. Run it again, and it continues."""

    manifest: Positional[Annotated[Path, arg(help="A manifest (Parquet).", metavar="MANIFEST")]]
    store: Positional[Annotated[Path, arg(help="Folder of the store.", metavar="STORE")]]
    workers: Annotated[int | None, arg(help="Processes.", metavar="N", help_behavior_hint="(default: one a core)")] = (
        None
    )
    spectra: Annotated[
        bool,
        arg(
            help="Keep linear-frequency spectra too, 369 MB an hour beside 69: for [augment.pitch_shift] from_spectra. "
            "A store that has them goes on with them.",
            help_behavior_hint="",
        ),
    ] = False
    json: AsJson = False

    def run(self) -> int:
        from nearfield.data.manifest import read_manifest
        from nearfield.data.prepare import prepare

        with show.progress("tracks") as tell:
            result = prepare(
                read_manifest(self.manifest),
                self.store,
                workers=self.workers,
                spectra=self.spectra,
                progress=lambda now: tell(now.done, now.total, now.failed),
            )
        speed = result.audio_s / result.seconds if result.seconds else 0.0
        said = {
            "store": show.readable(self.store),
            "prepared": result.prepared,
            "already_there": result.already_there,
            "audio_s": round(result.audio_s, 1),
            "seconds": round(result.seconds, 2),
        }
        line = (
            f"{result.prepared} tracks prepared, {result.already_there} there already: {said['store']} "
            f"({result.audio_s / 3600:.2f} h in {result.seconds:.0f} s, {speed:.0f} x real time)"
        )
        show.print_outcome(said, line, result.failures, self.json)
        if result.failures and not result.prepared and not result.already_there:
            return 2  # nothing done
        return 1 if result.failures else 0


@dataclass(frozen=True)
class CorpusCommands:
    """Gather music to learn from: a named corpus, your own folder, or a published set."""

    action: (
        Annotated[Fetch, subcommand("fetch")]
        | Annotated[Scan, subcommand("scan")]
        | Annotated[Published, subcommand("set")]
    )

    def run(self) -> int:
        return self.action.run()
