"""How fast training is, where its time goes, and how much memory it takes.

    python bench/train.py corpora/games/manifest.parquet games.store

Times the compact encoder at 128 pairs a batch through `nearfield.train.loop.train` with 0, 1 and 3 augmentations, against
the forward and backward pass of one batch that lies ready, and against a straightforward loop that makes each slice from
sound when it is needed: librosa's log-mel, then scipy's splines. Then runs a few steps of 256 pairs in a process of its own
for the peak of memory. Writes the section "speed" of results/training.json.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from common import LIBRARIES, REPO, Section, figure, watched
from frontend import by_librosa
from scipy.interpolate import CubicSpline

from nearfield.augment.equalise import Equalise
from nearfield.augment.pitch_shift import PitchShift
from nearfield.augment.time_stretch import TimeStretch
from nearfield.data.manifest import read_manifest
from nearfield.data.melstore import MelStore
from nearfield.model.embedder import Embedder
from nearfield.model.ntxent import nt_xent
from nearfield.sound import audio
from nearfield.sound.mel import DEFAULT
from nearfield.train import loop
from nearfield.train.feed import Augment
from nearfield.train.memory import keep_freed_memory
from nearfield.train.settings import TrainConfig

PAIRS = 128
WARM, STEPS = 3, 10
SLOW_SLICES = 40
RESULTS = REPO / "results" / "training.json"
AUGMENTED = {
    "0 augmentations": Augment(),
    "1 augmentation": Augment(time_stretch=TimeStretch()),
    "3 augmentations": Augment(time_stretch=TimeStretch(), pitch_shift=PitchShift(), equalise=Equalise()),
}


@dataclass
class Clock:
    """Seconds spent in parts of each step."""

    waiting: list[float] = field(default_factory=list)
    augmenting: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def timed(self, work: Callable[..., object], into: list[float]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            begun = time.perf_counter()
            answer = work(*arguments)
            into.append(time.perf_counter() - begun)
            return answer

        return run

    def batches(self, *arguments: object) -> Iterator[torch.Tensor]:
        coming = _BATCHES(*arguments)
        while (batch := self.timed(lambda: next(coming, None), self.waiting)()) is not None:
            yield batch


_BATCHES, _VIEWS = loop.batches, loop.views


def main() -> int:
    manifest, store = Path(sys.argv[1]), Path(sys.argv[2])
    settings = {"pairs a batch": PAIRS, "steps timed": STEPS, "threads": torch.get_num_threads()}
    section = Section("speed", 0, settings, (*LIBRARIES, "torch", "librosa"))
    keep_freed_memory()
    bare = bare_steps()
    section.add(figure("bare forward and backward of a batch", "slices/s", [2 * PAIRS / s for s in bare]))
    whole: dict[str, float] = {}
    for name, augment in AUGMENTED.items():
        clock = steps_of(store, augment)
        step = np.diff(clock.ends)[WARM:]
        waited, changed = (np.array(c[-STEPS:]) for c in (clock.waiting[: len(clock.ends)], clock.augmenting))
        whole[name] = 2 * PAIRS / statistics.median(step.tolist())
        made = (
            2 * PAIRS / (waited + changed)
        )  # the cutting is done ahead, in another thread, and counts where it is waited for
        section.add(
            figure(f"{name}: training", "slices/s", (2 * PAIRS / step).tolist()),
            figure(f"{name}: step in bare forward and backward passes", "x", (step / statistics.median(bare)).tolist()),
            figure(f"{name}: waiting for the loader", "of a step", (waited / step).tolist(), at_most=0.05),
            figure(f"{name}: augmenting", "of a step", (changed / step).tolist(), at_most=0.15),
        )
    making = slow_makes(manifest)
    model_s = statistics.median(bare) / (2 * PAIRS)
    slow = [1 / (statistics.mean(making[n::4]) + model_s) for n in range(4)]
    section.add(figure("librosa and scipy on the fly, 3 augmentations, one process", "slices/s", slow))
    section.add(
        figure("ours in theirs", "x", [whole["3 augmentations"] / s for s in slow], at_least=20),
        figure("the most that any could be in theirs, when slices cost nothing", "x", [1 / model_s / s for s in slow]),
        figure("slices made, without the model: ours in theirs", "x", (made * statistics.mean(making)).tolist()),
    )
    section.add(*memory(store))
    section.write(RESULTS)
    return 0


def bare_steps() -> list[float]:
    """Seconds of the forward pass, the loss and the backward pass alone."""
    torch.manual_seed(0)
    embedder = Embedder(TrainConfig().model)
    for parameter in embedder.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    slices = torch.rand(2 * PAIRS, DEFAULT.n_mels, 300) * 4
    seconds = []
    for _ in range(WARM + STEPS):
        begun = time.perf_counter()
        embedder.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            anchors, positives = embedder.project(slices).chunk(2)
        nt_xent(anchors, positives).backward()
        seconds.append(time.perf_counter() - begun)
    return seconds[WARM:]


def steps_of(store: Path, augment: Augment) -> Clock:
    """The loop itself, its loader and its augmentations timed from outside."""
    clock = Clock()
    loop.batches, loop.views = clock.batches, clock.timed(_VIEWS, clock.augmenting)  # type: ignore[assignment]
    steps = WARM + STEPS + 1
    config = replace(TrainConfig(), augment=augment, batch_pairs=PAIRS, steps=10**6, watch_every_s=1e9)
    config = replace(config, checkpoint_every_s=1e9, validation_share=0.01)
    try:
        with tempfile.TemporaryDirectory() as folder:
            report = lambda _: clock.ends.append(time.perf_counter())  # noqa: E731
            loop.train(config, MelStore(store), Path(folder), report=report, stop_after=steps)
    finally:
        loop.batches, loop.views = _BATCHES, _VIEWS
    return clock


def slow_makes(manifest: Path) -> list[float]:
    """Seconds for each of some slices made from sound: librosa, splines over frames and over bands, a curve."""
    rng = np.random.default_rng(0)
    tracks = read_manifest(manifest)
    paths = [tracks.root / t.path for t in list(tracks)[:: max(1, len(tracks) // SLOW_SLICES)]][:SLOW_SLICES]
    seconds = []
    for path in paths:
        begun = time.perf_counter()
        total = audio.probe(path).duration_s
        first = rng.uniform(0, max(0.0, total - 4.3))
        samples = audio.load(path, DEFAULT.rate_hz, first, 4.2)
        log_mel = by_librosa(samples)
        ratio, semitones = rng.uniform(0.7, 1.4), rng.uniform(-5, 5)
        frames = np.arange(log_mel.shape[1])
        stretched = CubicSpline(frames, log_mel, axis=1)(np.minimum(np.arange(300) * ratio, frames[-1]))
        bands = np.arange(len(log_mel))
        shifted = CubicSpline(bands, stretched, axis=0)(np.clip(bands * 2 ** (-semitones / 12), 0, bands[-1]))
        np.log10(1 + np.maximum(10**shifted - 1, 0) * 10 ** rng.uniform(-1.2, 1.2, (len(bands), 1)))
        seconds.append(time.perf_counter() - begun)
    return seconds


def memory(store: Path) -> Iterator[object]:
    """Peak of a run of 256 pairs, with the tracks it holds."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run.toml"
        run.write_text("steps = 3\nbatch_pairs = 256\nvalidation_share = 0.01\n[augment.time_stretch]\n")
        words = [sys.executable, "-m", "nearfield.cli", "train", str(run), str(store), str(Path(folder) / "out")]
        done = watched(words)
    held = MelStore(store).nbytes / 1e9
    yield figure("peak memory at 256 pairs, time-stretching", "GB", [done.peak_pss_mb / 1e3])
    yield figure("of which tracks in RAM, at most", "GB", [held])


if __name__ == "__main__":
    raise SystemExit(main())
