"""How like the real change is each augmentation? Log-mels changed, against the log-mel of changed sound.

    python studies/augment/agreement.py             pieces of the band -> results/augment.json
    python studies/augment/agreement.py FOLDER      the middles of files in a folder, in sections of their own

Words after FOLDER (`-` for the band) name the sections to measure: time_stretch, pitch_shift, equalise, gain.
Files are drawn by the seed, one of each package (a subfolder of FOLDER) in turn; the results name them.

Compared are slices of 300 frames from the middles of pieces: the mean absolute error of the log-mel, the correlation over
all its values, and the error of changing nothing. Tempo and pitch are changed by python-stretch, which is an
estimate too. At a ratio of 1 and at 0 semitones it returns the sound as it is, so those rows check the study, not it.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sound import RATE_HZ, Samples, band_pieces, file_pieces

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import LIBRARIES, REPO, Figure, Section

from nearfield.augment.equalise import band_centres_hz, equalise, shelf
from nearfield.augment.gain import gain
from nearfield.augment.linear import shifted_log_mel
from nearfield.augment.pitch_shift import pitch_shift
from nearfield.augment.time_stretch import time_stretch
from nearfield.sound.filters import biquad
from nearfield.sound.mel import DEFAULT, log_mel
from nearfield.sound.spectra import spectrum_bins
from nearfield.sound.stretch import stretched

RESULTS = REPO / "results" / "augment.json"
SEED, PER_STYLE, FILES, FRAMES = 0, 2, 40, 300
TEMPO_RATIOS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)
SEMITONES = (-5.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0)
GAINS_DB = (-18.0, -12.0, -6.0, -3.0, 3.0, 6.0, 12.0, 18.0)
FILTERS_HZ = {"low shelf": 200.0, "peak": 1000.0, "high shelf": 4000.0}
STEPS = 4  # parts of a frame, to which the two routes are brought into line
MOST_LAG = 6 * STEPS

LogMel = npt.NDArray[np.float32]
Change = Callable[[Samples], LogMel]


@dataclass(frozen=True)
class Route:
    """One way of making a change to log-mels, next to the change of sound that it stands for.

    `tempo_ratio` says where the middle of the piece goes to.
    """

    name: str
    ours: Change
    real: Callable[[Samples], Samples]
    tempo_ratio: float = 1.0
    align: bool = False


@dataclass(frozen=True)
class Agreement:
    """Of one slice: error and correlation of an augmentation, and the error of changing nothing."""

    error: float
    correlation: float
    unchanged_error: float


def source_slice(samples: Samples, n_frames: int = FRAMES) -> torch.Tensor:
    """(1, M, n_frames) from the middle of a piece; the middle lies between two frames, `centre_frame`."""
    frames = log_mel(samples)
    first = round(centre_frame(samples) - (n_frames - 1) / 2)
    return torch.from_numpy(frames[None, :, first : first + n_frames].copy())


def centre_frame(samples: Samples) -> float:
    return len(samples) // DEFAULT.hop // 2 + 0.5


def phases(changed: Samples) -> list[LogMel]:
    """Log-mels of changed sound that begin 0 .. STEPS - 1 parts of a frame late."""
    return [log_mel(changed[part * DEFAULT.hop // STEPS :]) for part in range(STEPS)]


def real_slice(route: Route, samples: Samples, changed: Sequence[LogMel], lag: int) -> LogMel:
    """The slice of changed sound that matches, out of its `phases`, moved by `lag` parts of a frame."""
    wanted = centre_frame(samples) / route.tempo_ratio * STEPS + lag  # of the slice's middle
    frame, part = divmod(round(wanted - (FRAMES - 1) / 2 * STEPS), STEPS)
    return changed[part][:, frame : frame + FRAMES]


def lag_of(route: Route, samples: Samples, changed: Sequence[LogMel]) -> int:
    """Where the two routes agree best, in parts of a frame: the peak of their cross-correlation."""
    ours = route.ours(samples)
    lags = range(-MOST_LAG, MOST_LAG + 1)
    return max(lags, key=lambda lag: correlation(ours, real_slice(route, samples, changed, lag)))


def correlation(a: LogMel, b: LogMel) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def compare(route: Route, pieces: Sequence[Samples], changed: Sequence[list[LogMel]]) -> tuple[list[Agreement], float]:
    """One agreement a piece, with the `phases` of its real change; and the lag in frames, one for all: the median of those
    found a piece.
    """
    lag = 0
    if route.align:
        lag = round(float(np.median([lag_of(route, p, c) for p, c in zip(pieces, changed, strict=True)])))
    found = []
    for samples, sound in zip(pieces, changed, strict=True):
        ours, real = route.ours(samples), real_slice(route, samples, sound, lag)
        before = source_slice(samples)[0].numpy()
        errors = (float(np.abs(x - real).mean()) for x in (ours, before))
        error, unchanged = errors
        found.append(Agreement(error, correlation(ours, real), unchanged))
    return found, lag / STEPS


def stretch_slice(samples: Samples, tempo_ratio: float) -> LogMel:
    longest = 2 * int(np.ceil(FRAMES * max(1.0, tempo_ratio) / 2)) + 2
    return time_stretch(source_slice(samples, longest), torch.tensor([tempo_ratio]), FRAMES)[0].numpy()


def shift_slice(samples: Samples, semitones: float) -> LogMel:
    return pitch_shift(source_slice(samples), torch.tensor([semitones]))[0].numpy()


def shift_spectrum(samples: Samples, semitones: float, n_fft: int, keep_power: bool = True) -> LogMel:
    """The front end with its power spectrum, of a transform of `n_fft`, shifted on the way."""
    padded = np.pad(samples, DEFAULT.window // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, DEFAULT.window)[:: DEFAULT.hop]
    first = round(centre_frame(samples) - (FRAMES - 1) / 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(DEFAULT.window) / DEFAULT.window)
    amplitude = np.abs(np.fft.rfft(frames[first : first + FRAMES] * window, n_fft)).astype(np.float16)
    by = torch.tensor([semitones])
    return shifted_log_mel(torch.from_numpy(amplitude[None]), by, keep_power=keep_power)[0].numpy()


def equalise_slice(samples: Samples, curve_db: npt.NDArray[np.float64]) -> LogMel:
    return equalise(source_slice(samples), torch.from_numpy(curve_db[None]).float())[0].numpy()


def own_curve(kind: str, hz: float, gain_db: float, octaves: float = 1.0) -> npt.NDArray[np.float64]:
    """The curve that `Equalise` draws, at pinned parameters."""
    at = band_centres_hz()
    if kind == "peak":
        return np.asarray(gain_db * np.exp(-0.5 * (np.log2(at / hz) / (octaves / 2)) ** 2))
    return gain_db * shelf(at / hz if kind == "low shelf" else hz / at)


def routes() -> dict[str, list[Route]]:
    """Section -> what is compared in it."""
    tempo = [
        Route(
            f"tempo_ratio {r}",
            partial(stretch_slice, tempo_ratio=r),
            partial(stretched, rate_hz=RATE_HZ, tempo_ratio=r),
            r,
            True,
        )
        for r in TEMPO_RATIOS
    ]
    pitch = []
    for s in SEMITONES:
        whole, stored = DEFAULT.n_fft, 2 * (spectrum_bins() - 1)
        ways = {
            "on the mel axis": partial(shift_slice, semitones=s),
            "of the power spectrum": partial(shift_spectrum, semitones=s, n_fft=whole),
            "of the power spectrum, peaks kept": partial(shift_spectrum, semitones=s, n_fft=whole, keep_power=False),
            "of stored spectra": partial(shift_spectrum, semitones=s, n_fft=stored),
        }
        real = partial(stretched, rate_hz=RATE_HZ, semitones=s)
        pitch += [Route(f"{s:+g} semitones {w}", f, real, 1.0, True) for w, f in ways.items()]
    filters = []
    for kind, hz in FILTERS_HZ.items():
        for g in GAINS_DB:
            real = biquad(kind, hz, g, RATE_HZ)
            name = f"{kind} at {hz:g} Hz, {g:+g} dB"
            filters.append(Route(name, partial(equalise_slice, curve_db=own_curve(kind, hz, g)), real))
            same = partial(equalise_slice, curve_db=real.response_db(band_centres_hz()))
            filters.append(Route(f"{name}, the filter's own curve", same, real))
    levels = [Route(f"{g:+g} dB", partial(level_slice, gain_db=g), partial(louder, gain_db=g)) for g in GAINS_DB]
    return {"time_stretch": tempo, "pitch_shift": pitch, "equalise": filters, "gain": levels}


def level_slice(samples: Samples, gain_db: float) -> LogMel:
    return gain(source_slice(samples), torch.tensor([gain_db]))[0].numpy()


def louder(samples: Samples, gain_db: float) -> Samples:
    return samples * np.float32(10 ** (gain_db / 20))


def spread(name: str, unit: str, values: Sequence[float]) -> Figure:
    """The median with the 5 % and 95 % quantiles."""
    low, value, high = (float(np.quantile(values, q)) for q in (0.05, 0.5, 0.95))
    return Figure(name, value, unit, low, high, len(values))


def main() -> int:
    word, *chosen = sys.argv[1:] or ["-"]
    title, settings, pieces, sources = music(None if word == "-" else Path(word))
    for name, compared in routes().items():
        if chosen and name not in chosen:
            continue
        section = Section(f"Augmentation: {name}{title}", SEED, settings, (*LIBRARIES, "python-stretch", "torch"))
        section.sources = sources
        lags = set()
        for real, ways in itertools.groupby(compared, lambda route: route.real):
            changed = [phases(real(p)) for p in pieces]
            for route in ways:
                found, lag = compare(route, pieces, changed)
                lags.add(lag)
                section.add(
                    spread(f"{route.name}: error", "log10", [f.error for f in found]),
                    spread(f"{route.name}: error of no change", "log10", [f.unchanged_error for f in found]),
                    spread(f"{route.name}: correlation", "", [f.correlation for f in found]),
                )
        section.note("The spread is from the 5 % to the 95 % quantile of the slices; the value is their median.")
        if any(route.align for route in compared):
            section.note(
                "The stretcher makes up for its latency; what is left was found by cross-correlation, one lag a row: "
                f"{min(lags):g} to {max(lags):g} frames of 10 ms, in quarters of a frame."
            )
        section.write(RESULTS)
    return 0


def music(folder: Path | None) -> tuple[str, dict[str, str | float], list[Samples], list[str]]:
    """What the title says of it, the settings, the pieces, and the files they are of."""
    settings: dict[str, str | float] = {"music": "pieces of the band, every style", "slices": 0, "frames": FRAMES}
    if folder is None:
        pieces = list(band_pieces(PER_STYLE, SEED))
        return "", {**settings, "slices": len(pieces)}, pieces, []
    picked = file_pieces(folder, FILES, SEED)
    sources = [p.path for p in picked]
    packages = len({path.split("/")[0] for path in sources})
    settings |= {"music": f"middles of files of {packages} packages", "slices": len(picked)}
    return f", {folder.name}", settings, [p.sound for p in picked], sources


if __name__ == "__main__":
    raise SystemExit(main())
