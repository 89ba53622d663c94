"""How fast the grooves corpus is made: `nearfield corpus fetch grooves` once its programs are there.

    python bench/grooves.py corpora/grooves [--pieces 200] [--repeats 3] [--workers 2]

The argument is a folder that the command has fetched into before, whose programs and soundfonts are used; the pieces
go to a temporary folder (0.6 MB each), another seed for every repeat. Processor time is that of all processes together.
Then a few pieces are made in one process, to see which program takes how much of it. Writes the section "grooves" of
results/training.json.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import REPO, Figure, Section, figure, say

from nearfield import pool
from nearfield.data.grooves import fetch_grooves, render_piece
from nearfield.data.grooves_factors import draw_piece
from nearfield.data.grooves_tools import Tools, obtain_tools

WHOLE, MINUTES = 3000, 20.0  # the corpus, and the goal for it on two cores
RESULTS = REPO / "results" / "training.json"


@dataclass
class Clocked:
    """The programs, with the processor time that each run of them took."""

    tools: Tools
    mma_s: list[float] = field(default_factory=list)
    fluidsynth_s: list[float] = field(default_factory=list)

    @property
    def versions(self) -> Mapping[str, str]:
        return self.tools.versions

    def arrange(self, text: str) -> bytes:
        before = cpu_s(resource.RUSAGE_CHILDREN)
        song = self.tools.arrange(text)
        self.mma_s.append(cpu_s(resource.RUSAGE_CHILDREN) - before)
        return song

    def play(self, midi: bytes, soundfont: str, reverb: float) -> npt.NDArray[np.float32]:
        before = cpu_s(resource.RUSAGE_CHILDREN)
        sound = self.tools.play(midi, soundfont, reverb)
        self.fluidsynth_s.append(cpu_s(resource.RUSAGE_CHILDREN) - before)
        return sound


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the grooves corpus is made.")
    parser.add_argument("corpus", type=Path, help="a folder that grooves were fetched into before")
    parser.add_argument("--pieces", type=int, default=200, metavar="N", help="pieces a repeat (200)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="of the fetch (3)")
    parser.add_argument("--workers", type=int, default=pool.cores(), metavar="N", help="processes (one a core)")
    parser.add_argument("--alone", type=int, default=30, metavar="N", help="pieces made in one process (30)")
    asked = parser.parse_args()
    tools = obtain_tools(asked.corpus.absolute(), lambda package: say(f"{package}: downloading"))
    section = Section("grooves", 0, {"pieces": asked.pieces, "workers": asked.workers, "made alone": asked.alone})
    section.add(*of_fetches(tools, asked.pieces, asked.repeats, asked.workers))
    section.add(*of_programs(tools, asked.alone))
    section.note(f"programs: {', '.join(f'{name} {version}' for name, version in tools.versions.items())}")
    section.write(RESULTS)


def of_fetches(tools: Tools, pieces: int, repeats: int, workers: int) -> list[Figure]:
    """Whole fetches into empty folders, worker processes started each time."""
    wall_s, used_s, failed = [], [], []
    for seed in range(repeats):
        with tempfile.TemporaryDirectory(prefix="nearfield-bench-") as folder:
            begun, before = time.perf_counter(), cpu_s()
            result = fetch_grooves(Path(folder), pieces, seed, workers=workers, tools=tools)
            wall_s.append(time.perf_counter() - begun)
            used_s.append(cpu_s() - before)
            failed.append(float(len(result.failures)))
    return [
        figure("pieces a second", "1/s", [pieces / s for s in wall_s]),
        figure("processor time a piece", "s", [s / pieces for s in used_s]),
        figure(f"{WHOLE} pieces would take", "min", [WHOLE / pieces * s / 60 for s in wall_s], at_most=MINUTES),
        figure("pieces that could not be made", f"of {pieces}", failed, at_most=0),
    ]


def of_programs(tools: Tools, pieces: int) -> list[Figure]:
    """Where the processor time of a piece goes."""
    clocked, whole_s = Clocked(tools), []
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-") as folder:
        for number in range(pieces):
            before = cpu_s()
            render_piece(draw_piece(0, number), clocked, Path(folder, "piece.flac"))
            whole_s.append(cpu_s() - before)
    programs_s = np.add(clocked.mma_s, clocked.fluidsynth_s)
    return [
        figure("of a piece: MMA", "s", clocked.mma_s),
        figure("of a piece: fluidsynth", "s", clocked.fluidsynth_s),
        figure("of a piece: Nearfield itself", "s", np.subtract(whole_s, programs_s).tolist()),
    ]


def cpu_s(*whose: int) -> float:
    """Processor time so far, by default of this process and of all it has waited for."""
    used = [resource.getrusage(w) for w in whose or (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


if __name__ == "__main__":
    main()
