"""`nearfield prepare`: wall time, memory, and hours of sound an hour.

    python bench/prepare.py corpora/games/manifest.parquet [--runs cold warm] [--workers 2]

Each run is the real command into a fresh store in a temporary folder (about 70 MB an hour of sound), which is
removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import Done, Figure, Section, figure, forget_files, read_files, say, watched

from nearfield.data.manifest import Manifest, read_manifest

TIMES_REAL_TIME = 300.0


@dataclass(frozen=True)
class Run:
    done: Done
    said: dict[str, float]
    failures: int
    store_gb: float


def main() -> None:
    parser = argparse.ArgumentParser(description="nearfield prepare: wall time, memory, and hours of sound an hour.")
    parser.add_argument("manifest", type=Path, help="a corpus's manifest")
    parser.add_argument("--runs", nargs="+", choices=("cold", "warm"), default=["cold"], help="one run each (cold)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (2)")
    asked = parser.parse_args()
    manifest = read_manifest(asked.manifest)
    files = [manifest.locate(track) for track in manifest]
    section = Section("prepare", None, {"corpus": manifest.name, "tracks": len(files), "workers": asked.workers})
    for state in dict.fromkeys(asked.runs):
        runs = []
        for n in range(asked.runs.count(state)):
            if state == "warm":
                read_files(files)
            elif n == 0:
                section.note(f"cold: {forget_files(files)}")
            else:
                forget_files(files)
            say(f"{len(files)} tracks, {state} ({n + 1} of {asked.runs.count(state)})")
            runs.append(one_run(asked.manifest, asked.workers))
        section.add(*figures(state, runs, manifest))
    section.write()


def one_run(manifest: Path, workers: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-") as folder:
        store = Path(folder) / "store"
        words = ["prepare", str(manifest), str(store), "--workers", str(workers), "--json"]
        done = watched([sys.executable, "-m", "nearfield.cli", *words])
        if done.code not in (0, 1):
            sys.exit(f"nearfield prepare left with {done.code}")
        said = json.loads(done.stdout)
        size_gb = sum(f.stat().st_size for f in store.rglob("*") if f.is_file()) / 1e9
    failures = said.pop("failures")
    for failed in failures:
        say(f"  failed: {failed['path']}: {failed['cause']}")
    return Run(done, said, len(failures), size_gb)


def figures(state: str, runs: list[Run], manifest: Manifest) -> list[Figure]:
    speeds = [r.said["audio_s"] / r.done.wall_s for r in runs]
    return [
        figure(f"{state}: sound read", "h", [r.said["audio_s"] / 3600 for r in runs]),
        figure(f"{state}: wall time of the command", "s", [r.done.wall_s for r in runs]),
        figure(f"{state}: times real time", "x", speeds, at_least=TIMES_REAL_TIME),
        figure(f"{state}: processor time", "s", [r.done.cpu_s for r in runs]),
        figure(f"{state}: peak memory of all processes (PSS)", "MB", [r.done.peak_pss_mb for r in runs]),
        figure(f"{state}: largest process (RSS)", "MB", [r.done.largest_rss_mb for r in runs]),
        figure(f"{state}: size of the store", "GB", [r.store_gb for r in runs]),
        figure(f"{state}: tracks failed", f"of {len(manifest)}", [float(r.failures) for r in runs]),
    ]


if __name__ == "__main__":
    main()
