"""What keeping spectra costs, and how near a log-mel made of them is to the one kept beside them.

    python studies/augment/spectra.py FOLDER      the middles of files in a folder -> results/augment.json

Files are those of agreement.py. Speeds are per second of one core's time (the process', not the clock's), so that what else
the machine does hardly matters; the repeats' spread shows how much it does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from agreement import FRAMES, LIBRARIES, RESULTS, SEED, Figure, Section, music, spread

from nearfield.augment.linear import shifted_log_mel
from nearfield.augment.pitch_shift import PitchShift, pitch_shift
from nearfield.sound.mel import DEFAULT, stream_log_mel
from nearfield.sound.spectra import Heard, spectrum_bins, stream_heard
from sound import RATE_HZ, Samples

SLICES, REPEATS = 128, 7
HOUR_FRAMES = 3600 * DEFAULT.rate_hz // DEFAULT.hop


def heard(sound: Samples) -> Heard:
    """A whole piece as a store keeps it."""
    parts = list(stream_heard([sound]))
    return Heard(np.concatenate([p.log_mel for p in parts]), np.concatenate([p.amplitude for p in parts]))


def errors(pieces: list[Heard]) -> list[Figure]:
    """Of log-mels made of spectra that were not shifted, against those of the store."""
    mean, most, tail = [], [], []
    for piece in pieces:
        made = shifted_log_mel(torch.from_numpy(piece.amplitude[None]), torch.zeros(1))[0].numpy().T
        error = np.abs(made - piece.log_mel.astype(np.float32))
        mean.append(float(error.mean()))
        tail.append(float(np.quantile(error, 0.99)))
        most.append(float(error.max()))
    return [
        spread("log-mel of stored spectra, mean error", "log10", mean),
        spread("log-mel of stored spectra, 99 % quantile of the error", "log10", tail),
        spread("log-mel of stored spectra, largest error", "log10", most),
    ]


def per_core_second(name: str, unit: str, amount: float, work: Callable[[], object]) -> Figure:
    """Median of the repeats, least and most; the first run is not counted."""
    rates = []
    for repeat in range(REPEATS + 1):
        begun = time.process_time()
        work()
        if repeat:
            rates.append(amount / (time.process_time() - begun))
    return Figure(name, float(np.median(rates)), unit, min(rates), max(rates), REPEATS)


def speeds(pieces: list[Heard], sounds: list[Samples]) -> list[Figure]:
    middles = [slice(len(p.log_mel) // 2 - FRAMES // 2, len(p.log_mel) // 2 + FRAMES // 2) for p in pieces]
    some = [(p, m) for p, m in zip(pieces, middles, strict=True)] * (SLICES // len(pieces) + 1)
    amplitude = torch.from_numpy(np.stack([p.amplitude[m] for p, m in some[:SLICES]]).astype(np.float32))
    log_mel = torch.from_numpy(np.stack([p.log_mel[m].T for p, m in some[:SLICES]]).astype(np.float32))
    semitones = PitchShift().draw(SLICES // 2, np.random.default_rng(SEED))
    length_s = sum(map(len, sounds)) / RATE_HZ
    seconds, slices = "s of sound per core second", "slices per core second"
    return [
        per_core_second("shift on the mel axis", slices, SLICES, lambda: pitch_shift(log_mel, semitones)),
        per_core_second("shift of stored spectra", slices, SLICES, lambda: shifted_log_mel(amplitude, semitones)),
        per_core_second("log-mels alone", seconds, length_s, lambda: [list(stream_log_mel([s])) for s in sounds]),
        per_core_second("log-mels with spectra", seconds, length_s, lambda: [list(stream_heard([s])) for s in sounds]),
    ]


def main() -> int:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    title, settings, sounds, sources = music(folder)
    section = Section(f"Augmentation: stored spectra{title}", SEED, settings, (*LIBRARIES, "torch"))
    section.sources = sources
    section.add(
        Figure("log-mels of an hour", HOUR_FRAMES * DEFAULT.n_mels * 2 / 1e6, "MB"),
        Figure("spectra of an hour", HOUR_FRAMES * spectrum_bins() * 2 / 1e6, "MB"),
    )
    pieces = [heard(sound) for sound in sounds]
    section.add(*errors(pieces), *speeds(pieces, sounds))
    section.note("Errors: the value is the median of the files, the spread from the 5 % to the 95 % quantile.")
    section.note(f"Speeds: one thread, slices of {FRAMES} frames; the spread is the least and the most of the repeats.")
    section.write(RESULTS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
