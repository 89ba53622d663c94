"""`nearfield index`: tracks per second, cold and warm, memory, an unchanged library, and bliss-audio beside it.

    python bench/index.py corpora/games/manifest.parquet [--model FILE] [--sample 1000] [--rounds 3]
    python bench/index.py FOLDER --no-bliss

Spaces are made in a temporary folder. bliss-audio is installed into an environment of its own there, unless
--bliss names a Python that has it; both listen to the same seeded sample, in turns, with as many processes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import Done, Figure, Section, figure, forget_files, read_files, say, watched

from nearfield.catalogue.encoder import load_model
from nearfield.catalogue.slices import DEFAULT_SLICES
from nearfield.data.manifest import Manifest, read_manifest, write_manifest
from nearfield.data.scan import find_audio, track_ids
from nearfield.data.track import Track

WORKER = Path(__file__).with_name("bliss_worker.py")
BLISS = "bliss-audio==0.2.0"
TRACKS_PER_S, TIMES_BLISS, SEED = 15.0, 5.0, 0


def main() -> None:
    asked = arguments()
    library = manifest_of(asked.music)
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-") as name:
        folder = Path(name)
        ours = Indexer(asked.model, asked.workers, folder)
        settings = {"corpus": library.name, "tracks": len(library), "workers": asked.workers, **model_settings(ours)}
        section = Section("index", SEED, settings)
        whole_library(section, ours, asked.music, library, asked.rounds)
        section.write()
        if not asked.no_bliss:
            python = asked.bliss or bliss_environment(folder / "bliss")
            beside_bliss(section, ours, python, sample_of(library, asked.sample), asked.rounds)
            section.write()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="nearfield index: tracks per second, memory, and bliss-audio beside.")
    parser.add_argument("music", type=Path, help="a folder, or a corpus's manifest")
    parser.add_argument("--model", metavar="FILE", help="a model file (the shipped one)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes, of both (2)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="warm runs, and turns with bliss-audio (3)")
    parser.add_argument(
        "--sample", type=int, default=1000, metavar="N", help="at most so many tracks for the turns (1000)"
    )
    parser.add_argument("--bliss", metavar="PYTHON", help="a Python with bliss-audio")
    parser.add_argument("--no-bliss", action="store_true", help="leave bliss-audio out")
    return parser.parse_args()


def manifest_of(music: Path) -> Manifest:
    if music.is_file():
        return read_manifest(music)
    found = find_audio(music).paths
    ids = track_ids(music, found)
    tracks = tuple(Track(id=i, path=str(path.absolute())) for i, path in zip(ids, found, strict=True))
    return Manifest(music.name, music.absolute(), tracks)


def files_of(library: Manifest) -> list[Path]:
    return [library.locate(track) for track in library]


def sample_of(library: Manifest, size: int) -> Manifest:
    """A seeded choice with absolute paths, so that it may be written anywhere."""
    tracks = sorted(library, key=lambda track: track.id)
    chosen = random.Random(SEED).sample(tracks, min(size, len(tracks)))
    return replace(library, tracks=tuple(replace(t, path=str(library.locate(t))) for t in chosen))


@dataclass
class Indexer:
    """Runs the real command, each time into the space it is told."""

    model: str | None
    workers: int
    folder: Path
    made: int = 0

    def fresh_space(self) -> Path:
        self.made += 1
        return self.folder / f"space-{self.made}"

    def __call__(self, music: Path, space: Path) -> tuple[Done, dict[str, Any]]:
        words = ["index", str(music), "--space", str(space), "--workers", str(self.workers), "--json"]
        model = ["--model", self.model] if self.model else []
        done = watched([sys.executable, "-m", "nearfield.cli", *words, *model])
        if done.code not in (0, 1):
            sys.exit(f"nearfield index left with {done.code}")
        return done, json.loads(done.stdout)


def model_settings(ours: Indexer) -> dict[str, str | float]:
    encoder = load_model(ours.model)
    return {
        "model": f"{encoder.name} ({hashlib.sha256(encoder.data).hexdigest()[:16]})",
        "slices a track": DEFAULT_SLICES,
    }


def whole_library(section: Section, ours: Indexer, music: Path, library: Manifest, rounds: int) -> None:
    files = files_of(library)
    say(f"{len(files)} tracks, cold")
    section.note(f"cold: {forget_files(files)}")
    space = ours.fresh_space()
    cold, said = ours(music, space)
    for failed in said["failures"]:
        say(f"  failed: {failed['path']}: {failed['cause']}")
    indexed = float(said["n_tracks"])
    failures = float(len(said["failures"]))
    section.add(figure("cold: tracks a second", "1/s", [len(files) / cold.wall_s]), *memory("cold", [cold]))
    section.add(figure("tracks in the space", "tracks", [indexed]), figure("tracks failed", "tracks", [failures]))
    read_files(files)
    say(f"the same, warm, {rounds} times")
    warm = [ours(music, ours.fresh_space())[0] for _ in range(rounds)]
    rates = [len(files) / done.wall_s for done in warm]
    section.add(figure("warm: tracks a second", "1/s", rates, at_least=TRACKS_PER_S))
    section.add(figure("warm: processor time a track", "s", [d.cpu_s / len(files) for d in warm]))
    section.add(*memory("warm", warm))
    say(f"the same into the space that has it already, {rounds} times")
    again = [ours(music, space) for _ in range(rounds)]
    if any(said["unchanged"] != indexed for _, said in again):
        section.note("an unchanged library was not passed over whole")
    section.add(figure("unchanged: wall time of the command", "s", [done.wall_s for done, _ in again]))


def memory(state: str, runs: Sequence[Done]) -> list[Figure]:
    return [
        figure(f"{state}: wall time of the command", "s", [r.wall_s for r in runs]),
        figure(f"{state}: peak memory of all processes (PSS)", "MB", [r.peak_pss_mb for r in runs]),
        figure(f"{state}: largest process (RSS)", "MB", [r.largest_rss_mb for r in runs]),
    ]


def bliss_environment(folder: Path) -> str:
    say(f"an environment for {BLISS}")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    if subprocess.run([python, "-m", "pip", "install", *quiet, BLISS], check=False).returncode:
        sys.exit(f"{BLISS} cannot be installed here: give --bliss PYTHON or --no-bliss; all else is written")
    return str(python)


def beside_bliss(section: Section, ours: Indexer, python: str, sample: Manifest, rounds: int) -> None:
    """Turns on the same files; both are timed as whole commands, their starts included."""

    def theirs(files: Sequence[Path]) -> tuple[Done, dict[str, Any]]:
        done = watched([python, WORKER, str(ours.workers), *files], quiet=True)
        if done.code:
            sys.exit(f"bliss-audio's process left with {done.code}")
        return done, json.loads(done.stdout)

    say(f"bliss-audio, {len(sample)} tracks: which can it read?")
    _, said = theirs(files_of(sample))
    refused = set(said["failed"])
    if refused:
        section.note(f"{len(refused)} of {len(sample)} tracks that bliss-audio cannot read were left out of the turns")
        sample = replace(sample, tracks=tuple(t for t in sample if str(sample.locate(t)) not in refused))
    path = ours.folder / "sample.parquet"
    write_manifest(sample, path)
    files = files_of(sample)
    read_files(files)
    runs: dict[str, list[Done]] = {"nearfield": [], "bliss-audio": []}
    turns: dict[str, Callable[[], Done]] = {
        "nearfield": lambda: ours(path, ours.fresh_space())[0],
        "bliss-audio": lambda: theirs(files)[0],
    }
    for n in range(rounds):
        for name in sorted(turns, reverse=n % 2 == 0):  # each begins every other round
            runs[name].append(turns[name]())
            say(f"  round {n + 1}: {name} {runs[name][-1].wall_s:.1f} s")
    section.note(
        f"beside bliss-audio {said['version']}: {len(files)} tracks (seed {SEED}), warm, {ours.workers} processes each, "
        "whole commands timed; the tracks' names come from a manifest, bliss-audio reads their tags"
    )
    section.add(*compared(runs, len(files)))


def compared(runs: dict[str, list[Done]], n: int) -> list[Figure]:
    rows = []
    for name, done in runs.items():
        rows.append(figure(f"{name} on the sample: tracks a second", "1/s", [n / d.wall_s for d in done]))
        rows.append(figure(f"{name} on the sample: processor time a track", "s", [d.cpu_s / n for d in done]))
    pairs = list(zip(runs["bliss-audio"], runs["nearfield"], strict=True))
    wall = [b.wall_s / a.wall_s for b, a in pairs]
    rows.append(figure("bliss-audio's wall time in ours", "x", wall, at_least=TIMES_BLISS))
    rows.append(figure("bliss-audio's processor time in ours", "x", [b.cpu_s / a.cpu_s for b, a in pairs]))
    return rows


if __name__ == "__main__":
    main()
