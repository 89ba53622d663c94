"""The front end: how near to the published one, and how fast.

    python bench/frontend.py [--repeats 60]

Times log_mel on 60 s of sound against librosa's melspectrogram with log10, and against the float32 FFTs of the
same frames alone. One thread; the contestants take turns, and ratios are of neighbouring turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping

import librosa
import numpy as np
import numpy.typing as npt
import scipy.fft
from common import LIBRARIES, REPO, Figure, Section, figure, say

from nearfield.sound.mel import DEFAULT, log_mel

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
GOLDEN = REPO / "tests" / "golden" / "pipeline.npz"
SECONDS, SEED = 60, 0
TOLERANCE, TIMES_LIBROSA, TIMES_FFTS = 1e-4, 2.0, 1.6
BLOCK_FRAMES = 64  # transforms that stay inside the second-level cache

Array = npt.NDArray[np.float32]


def main() -> None:
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):  # read once, when the libraries are loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    parser = argparse.ArgumentParser(description="The front end: how near to the published one, and how fast.")
    parser.add_argument("--repeats", type=int, default=60, metavar="N", help="turns of each contestant (60)")
    repeats = parser.parse_args().repeats
    section = Section(
        "frontend",
        SEED,
        {"sound": f"{SECONDS} s of noise at {DEFAULT.rate_hz} Hz", "threads": 1, "repeats": repeats},
        (*LIBRARIES, "librosa"),
    )
    samples = (0.1 * np.random.default_rng(SEED).standard_normal(SECONDS * DEFAULT.rate_hz)).astype(np.float32)
    say("Equality")
    section.add(*differences(samples))
    say(f"Speed, {repeats} turns each")
    section.add(*speed(contestants(samples), repeats))
    section.write()


def differences(samples: Array) -> list[Figure]:
    with np.load(GOLDEN) as golden:
        reference = float(np.abs(log_mel(golden["waveform"]) - golden["logmel"]).max())
    other = float(np.abs(log_mel(samples) - by_librosa(samples)).max())
    return [
        figure("largest difference from the published front end", "log10", [reference], at_most=TOLERANCE),
        figure("largest difference from librosa on noise", "log10", [other], at_most=TOLERANCE),
    ]


def by_librosa(samples: Array) -> Array:
    """The same log-mel, as one would write it with librosa."""
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=DEFAULT.rate_hz,
        n_fft=DEFAULT.n_fft,
        win_length=DEFAULT.window,
        hop_length=DEFAULT.hop,
        window="hann",
        center=True,
        pad_mode="reflect",
        power=2.0,
        n_mels=DEFAULT.n_mels,
        fmin=DEFAULT.low_hz,
        fmax=DEFAULT.high_hz,
        htk=True,
        norm=2.0,
    )
    result: Array = np.log10(1 + DEFAULT.scale * mel)
    return result


def windowed_frames(samples: Array) -> Array:
    """(T, n_fft) float32, what the transforms are made of."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(DEFAULT.window) / DEFAULT.window)).astype(np.float32)
    padded = np.pad(samples, DEFAULT.window // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, DEFAULT.window)[:: DEFAULT.hop]
    out = np.zeros((len(frames), DEFAULT.n_fft), np.float32)
    out[:, : DEFAULT.window] = frames * window
    return out


def contestants(samples: Array) -> dict[str, Callable[[], object]]:
    frames = windowed_frames(samples)

    def blocked() -> None:
        for start in range(0, len(frames), BLOCK_FRAMES):
            scipy.fft.rfft(frames[start : start + BLOCK_FRAMES], axis=1)

    return {
        "nearfield.log_mel": lambda: log_mel(samples),
        "librosa": lambda: by_librosa(samples),
        f"bare FFTs of all {len(frames)} frames": lambda: scipy.fft.rfft(frames, axis=1),
        f"bare FFTs, {BLOCK_FRAMES} frames at a time": blocked,
    }


def speed(runs: Mapping[str, Callable[[], object]], repeats: int) -> list[Figure]:
    """Milliseconds of each, and ratios turn by turn; each turn begins with another contestant."""
    names = list(runs)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        runs[name]()  # first calls load and cache
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.perf_counter()
            runs[name]()
            taken[name].append(1e3 * (time.perf_counter() - begun))
    ours, theirs, whole, blocked = taken.values()

    def ratio(a: list[float], b: list[float]) -> list[float]:
        return [x / y for x, y in zip(a, b, strict=True)]

    return [
        *(figure(name, "ms", times) for name, times in taken.items()),
        figure("librosa's time in ours", "x", ratio(theirs, ours), at_least=TIMES_LIBROSA),
        figure("our time in the bare FFTs'", "x", ratio(ours, whole), at_most=TIMES_FFTS),
        figure("our time in the bare FFTs' by blocks", "x", ratio(ours, blocked)),
    ]


if __name__ == "__main__":
    main()
