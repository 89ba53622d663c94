"""The demo: a folder of music into a space, two tracks' neighbours, a playlist; each step a command to copy.

    make demo                  on a small library that is composed and rendered here
    make demo MUSIC=~/Music    on your own, which is only read

All it writes is in demo/.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nearfield
from nearfield.data.band import write_library
from nearfield.errors import readable

REPO = Path(__file__).resolve().parent.parent
DEMO = Path("demo")  # as seen from the repository, where everything here runs
PIECES, SECONDS, SEED = 24, 30.0, 1


def main() -> int:
    wanted = os.environ.get("MUSIC", "")
    given = Path(wanted).expanduser().absolute() if wanted else None
    os.chdir(REPO)
    if given is None:
        music, results = rendered_library(), DEMO
    elif given.is_dir():
        mark = hashlib.sha256(os.fsencode(given)).hexdigest()[:6]
        music, results = (
            given,
            DEMO / f"{re.sub(r'[^A-Za-z0-9]+', '-', given.name).strip('-') or 'music'}-{mark}",
        )
    else:
        print(f"MUSIC={wanted}: there is no such folder; give one that holds music", file=sys.stderr)
        return 2
    return show(music, results)


def rendered_library() -> Path:
    """demo/music, rendered once; it appears under its name only when it is whole."""
    music, unfinished = DEMO / "music", DEMO / "music.unfinished"
    if not music.exists():
        print(
            f"Rendering {PIECES} pieces of {SECONDS:.0f} s, by invented bands ...",
            flush=True,
        )
        shutil.rmtree(unfinished, ignore_errors=True)
        write_library(unfinished, PIECES, SEED, SECONDS, workers=min(os.cpu_count() or 1, 8))
        unfinished.rename(music)
    return music


def show(music: Path, results: Path) -> int:
    results.mkdir(parents=True, exist_ok=True)
    space, playlist = results / "space", results / "playlist.m3u8"
    say("1. Listen to every track, once. Run it again and only what changed is read.")
    if run("index", music, "--space", space) > 1:
        return 2
    tracks = sorted(nearfield.open_space(space).tracks, key=lambda track: track.path)
    if len(tracks) < 2:
        print(f"{music} holds fewer than two tracks that can be read; the demo needs two", file=sys.stderr)
        return 2
    seeds = [tracks[len(tracks) // 4], tracks[3 * len(tracks) // 4]]
    say("2. What sounds like this?")
    for seed in seeds:
        if run("similar", shorter(seed.path), "--space", space, "-k", 5):
            return 2
    say("3. A playlist that starts from both.")
    length = min(12, len(tracks))
    if run("playlist", *(shorter(seed.path) for seed in seeds), "--space", space, "-n", length, "-o", playlist):
        return 2
    say(f"Open {playlist} in any player. Next:")
    if music == DEMO / "music":
        print("  make demo MUSIC=~/Music            the same on your own music, which is only read")
    print(f"  {command('similar', 'any-other-file.mp3', '--space', space)}")
    print(f"  {command('space', 'export', space, '-o', 'vectors.npz')}")
    print(f"  {command('--help')}")
    return 0


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def shorter(path: str) -> str:
    """Relative to here where the file lies below, as a person would type it."""
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def program() -> Path:
    """The `nearfield` beside the Python that runs this, seen from here."""
    return Path(shorter(str(Path(sys.executable).parent / "nearfield")))


def command(*words: object) -> str:
    return shlex.join([str(program()), *map(str, words)])


def run(*words: object) -> int:
    """Print a command, run it, and return its exit code."""
    print(f"\n$ {readable(command(*words))}", flush=True)
    return subprocess.run([str(program().absolute()), *map(str, words)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
