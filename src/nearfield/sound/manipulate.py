"""One property of real sound changed, the others kept: tempo, pitch, equalisation, level; and controls.

Controls are changes that should not move a piece: a codec, faint noise, one channel alone instead of the mean of both.
Every change but that of level brings the sound back to the level it had (root mean square), so that only one property is
changed: a shelf shows what equalisation does, without the loudness it adds. Amounts run through an identity at which the
sound is returned as it is. Nothing is clipped: samples may lie beyond -1..1 afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy.fft

from nearfield.errors import AudioError, ManipulationError
from nearfield.sound.audio import count_unsound
from nearfield.sound.codec import CODED_HZ, Codec, codec_library, coded
from nearfield.sound.filters import Shape, biquad, tilted
from nearfield.sound.stretch import stretch_library, stretched

Samples = npt.NDArray[np.float32]
Generator = np.random.Generator

VERSION = 1  # one more with every change to what comes out: sound that was kept is then made again
NO_CHANGE = math.inf  # the identity of bit rates and of ratios of signal to noise
EQUALISER_HZ: Mapping[Shape, float] = {"low shelf": 200.0, "peak": 1000.0, "high shelf": 4000.0}
_PINK_FROM_HZ = 20.0
_GAINS_DB = (-18.0, -9.0, -3.0, 3.0, 9.0, 18.0)


@dataclass(frozen=True)
class Kind:
    """A kind of change. `amounts` are the standard ones, from `low` to `high`, closer together near `identity`.

    `change(samples, rate_hz, amount, rng)` makes it; it is worked at `rate_hz` where it reaches beyond the band of 16 kHz
    sound, anywhere else. `channels`: what it takes; `library`: raises where what it needs is not installed.
    """

    unit: str
    identity: float
    low: float
    high: float
    amounts: tuple[float, ...]
    change: Callable[[Samples, float, float, Generator | None], Samples]
    rate_hz: int | None = None
    channels: int = 1
    costly: bool = False
    library: Callable[[], object] | None = None


@dataclass(frozen=True)
class Manipulation:
    """One change by one amount, in the unit of its kind; the kind's identity amount is no change at all.

    tempo (ratio, 1.25 is 25 % faster), pitch (semitones), low shelf, peak, high shelf (dB), tilt (dB per octave), level
    (dB), mp3, opus (kbit/s of one channel), white noise, pink noise (dB of signal over noise), side (how much of the
    channels' difference is added to their mean: -1 is the right channel alone, 1 the left).
    """

    kind: str
    amount: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            known = ", ".join(KINDS)
            raise ManipulationError(f"manipulation {self.kind!r}", "is not known", f"take one of {known}")
        traits = self.traits
        if self.amount != traits.identity and not traits.low <= self.amount <= traits.high:
            cause = f"an amount of {self.amount:g} {traits.unit} is out of range"
            raise ManipulationError(self.kind, cause, f"take {traits.low:g} to {traits.high:g}")

    @property
    def traits(self) -> Kind:
        return KINDS[self.kind]

    @property
    def unit(self) -> str:
        return self.traits.unit

    @property
    def is_identity(self) -> bool:
        return self.amount == self.traits.identity

    def __str__(self) -> str:
        return f"{self.kind} {self.amount:g} {self.unit}"


def changed(samples: Samples, rate_hz: float, manipulation: Manipulation, rng: Generator | None = None) -> Samples:
    """(n,) mono float32 samples -> (n,), or (round(n / tempo_ratio),) for tempo; (n, 2) -> (n,) for "side".

    `rng` is needed for noise only. Raises AudioError for samples of another shape, empty or not finite, and
    ManipulationError where a library is missing, the rate too low, or noise has no generator.
    """
    traits = manipulation.traits
    before = _checked(samples, rate_hz, traits.channels)
    plain = before if traits.channels == 1 else before.mean(axis=1, dtype=np.float32)
    if manipulation.is_identity:
        return plain.copy()
    after = traits.change(before, rate_hz, manipulation.amount, rng)
    return after if manipulation.kind == "level" else _at_level_of(plain, after)


def standard(kinds: Sequence[str] | None = None) -> tuple[Manipulation, ...]:
    """The standard amounts of these kinds, of all when None; ManipulationError for one that is not known."""
    wanted = tuple(KINDS) if kinds is None else kinds
    for kind in wanted:
        if kind not in KINDS:
            raise ManipulationError(f"manipulation {kind!r}", "is not known", f"take one of {', '.join(KINDS)}")
    return tuple(Manipulation(kind, amount) for kind in wanted for amount in KINDS[kind].amounts)


def _checked(samples: Samples, rate_hz: float, channels: int) -> Samples:
    array = np.asarray(samples, np.float32)
    wanted = "(n,)" if channels == 1 else f"(n, {channels})"
    if array.size == 0 or array.shape[1:] != (() if channels == 1 else (channels,)):
        raise AudioError("samples", f"shape {array.shape} is not {wanted}, or empty", "give some sound of that shape")
    if bad := count_unsound(array):
        raise AudioError(
            "samples", f"{bad} of them are NaN, infinite or beyond all measure", "repair or leave them out"
        )
    if not 1000 <= rate_hz <= 1_000_000:
        raise AudioError("samples", f"a rate of {rate_hz} Hz", "give the samples' own rate in Hz")
    return array


def level(samples: Samples) -> float:
    """Root mean square; 0 of no samples."""
    return 0.0 if samples.size == 0 else math.sqrt(float(np.mean(np.square(samples, dtype=np.float64))))


def _at_level_of(before: Samples, after: Samples) -> Samples:
    """`after` at the level of `before`; silence stays what it is."""
    now = level(after)
    return after * np.float32(level(before) / now) if now > 0 else after


def _tempo(samples: Samples, rate_hz: float, amount: float, _: Generator | None) -> Samples:
    return stretched(samples, rate_hz, tempo_ratio=amount)


def _pitch(samples: Samples, rate_hz: float, amount: float, _: Generator | None) -> Samples:
    return stretched(samples, rate_hz, semitones=amount)


def _equalised(samples: Samples, rate_hz: float, amount: float, _: Generator | None, shape: Shape) -> Samples:
    hz = EQUALISER_HZ[shape]
    if rate_hz <= 2 * hz:
        cause = f"at {hz:g} Hz, of sound at {rate_hz:g} Hz"
        raise ManipulationError(shape, cause, f"give sound at more than {2 * hz:g} Hz")
    return biquad(shape, hz, amount, rate_hz)(samples)


def _tilt(samples: Samples, rate_hz: float, amount: float, _: Generator | None) -> Samples:
    return tilted(samples, amount, rate_hz)


def _level(samples: Samples, rate_hz: float, amount: float, _: Generator | None) -> Samples:
    return samples * np.float32(10 ** (amount / 20))


def _coded(samples: Samples, rate_hz: float, amount: float, _: Generator | None, codec: Codec) -> Samples:
    return coded(samples, rate_hz, codec, amount)


def _noisy(samples: Samples, rate_hz: float, amount: float, rng: Generator | None, pink: bool) -> Samples:
    """White noise, or pink (-3 dB an octave from 20 Hz on), `amount` dB below the sound."""
    if rng is None:
        raise ManipulationError("noise", "there is no generator to draw it from", "pass one as `rng`")
    noise = rng.standard_normal(samples.size)
    if pink:
        hz = np.maximum(scipy.fft.rfftfreq(samples.size, 1 / rate_hz), _PINK_FROM_HZ)
        noise = scipy.fft.irfft(scipy.fft.rfft(noise) / np.sqrt(hz), samples.size)
    wanted = level(samples) * 10 ** (-amount / 20)
    return np.asarray(samples + noise * (wanted / max(level(noise.astype(np.float32)), 1e-30)), np.float32)


def _side(samples: Samples, rate_hz: float, amount: float, _: Generator | None) -> Samples:
    left, right = samples[:, 0], samples[:, 1]
    return np.asarray((left + right) / 2 + np.float32(amount) * (left - right) / 2, np.float32)


def _equaliser(shape: Shape) -> Kind:
    return Kind("dB", 0.0, -18.0, 18.0, _GAINS_DB, partial(_equalised, shape=shape))


def _codec(codec: Codec, low: float, high: float, amounts: tuple[float, ...]) -> Kind:
    change = partial(_coded, codec=codec)
    return Kind("kbit/s", NO_CHANGE, low, high, amounts, change, CODED_HZ, costly=True, library=codec_library)


def _noise(pink: bool) -> Kind:
    return Kind("dB signal to noise", NO_CHANGE, -20.0, 100.0, (10.0, 20.0, 30.0), partial(_noisy, pink=pink))


_RATIOS = (0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 1.4, 2.0)
_SEMITONES = (-12.0, -5.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 5.0, 12.0)

KINDS: Mapping[str, Kind] = {
    "tempo": Kind("times as fast", 1.0, 0.5, 2.0, _RATIOS, _tempo, costly=True, library=stretch_library),
    # at 48 kHz, so that what comes down from above 8 kHz is there
    "pitch": Kind("semitones", 0.0, -12.0, 12.0, _SEMITONES, _pitch, CODED_HZ, costly=True, library=stretch_library),
    "low shelf": _equaliser("low shelf"),
    "peak": _equaliser("peak"),
    "high shelf": _equaliser("high shelf"),
    # 3 dB an octave are 17 dB between 1 kHz and 20 Hz
    "tilt": Kind("dB per octave", 0.0, -6.0, 6.0, (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0), _tilt),
    "level": Kind("dB", 0.0, -60.0, 60.0, _GAINS_DB, _level),
    "mp3": _codec("mp3", 32.0, 320.0, (32.0, 64.0, 128.0)),
    "opus": _codec("opus", 6.0, 256.0, (12.0, 24.0, 64.0)),
    "white noise": _noise(pink=False),
    "pink noise": _noise(pink=True),
    "side": Kind("of the difference", 0.0, -1.0, 1.0, (-1.0, 1.0), _side, CODED_HZ, channels=2, costly=True),
}
