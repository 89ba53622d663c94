"""What can be set, each alone: the band's factors, their text form and how to draw them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from nearfield.data.band.harmony import MODES
from nearfield.data.band.instruments import INSTRUMENT_SETS
from nearfield.data.band.styles import STYLES
from nearfield.errors import ConfigError

TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
KEYS: tuple[str, ...] = tuple(f"{tonic} {mode}" for mode in MODES for tonic in TONICS)
PARTS = ("drums", "bass", "chords", "melody")


@dataclass(frozen=True)
class Mix:
    """Gain of each part in dB against the style's own balance, -60 to 12."""

    drums_db: float = 0.0
    bass_db: float = 0.0
    chords_db: float = 0.0
    melody_db: float = 0.0

    def gain(self, part: str) -> float:
        """The linear gain of a part."""
        return float(10.0 ** (getattr(self, f"{part}_db") / 20.0))


@dataclass(frozen=True)
class Factors:
    """Everything that decides a piece.

    Only `style`, `seed` and the key's mode decide what is written. Tempo, swing, tonic, instruments, mix,
    reverb, level and tilt change how the same notes are played; tempo and duration also decide how many bars.
    """

    style: str = "rock"
    instruments: str = "electric band"
    tempo_bpm: float = 110.0  # quarter notes a minute, 20 to 400
    key: str = "C major"  # one of KEYS
    seed: int = 0  # not negative
    duration_s: float = 30.0
    swing: float = 0.0  # 0 the style's own feel, 1 full triplets
    level_db: float = 0.0  # the peak, against the loudest allowed (0.98 of full scale); -80 to 0
    tilt_db_per_octave: float = 0.0  # equalisation, a straight line in dB over log frequency; -12 to 12
    reverb_wet: float = 0.15  # 0 dry, 1 as loud as the dry sound
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        _one_of("style", self.style, STYLES)
        _one_of("instruments", self.instruments, INSTRUMENT_SETS)
        _one_of("key", self.key, KEYS)
        _within("tempo_bpm", self.tempo_bpm, 20.0, 400.0)
        _within("seed", self.seed, 0, 2**63 - 1)
        _within("duration_s", self.duration_s, 0.5, 3600.0)
        _within("swing", self.swing, 0.0, 1.0)
        _within("level_db", self.level_db, -80.0, 0.0)
        _within("tilt_db_per_octave", self.tilt_db_per_octave, -12.0, 12.0)
        _within("reverb_wet", self.reverb_wet, 0.0, 1.0)
        for name, gain_db in asdict(self.mix).items():
            _within(f"mix.{name}", gain_db, -60.0, 12.0)

    @property
    def mode(self) -> str:
        return self.key.split()[1]

    @property
    def transposition_semitones(self) -> int:
        """Semitones from C to this key's tonic, -6 (F#) to +5 (F)."""
        return (TONICS.index(self.key.split()[0]) + 6) % 12 - 6

    def to_text(self) -> dict[str, str]:
        """Every factor as text, flat; `from_text` gives back exactly these factors."""
        flat = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "mix"} | asdict(self.mix)
        return {name: value if isinstance(value, str) else repr(value) for name, value in flat.items()}

    @classmethod
    def from_text(cls, text: Mapping[str, str]) -> Factors:
        """The inverse of `to_text`: a missing factor takes its default, an unknown one is a ConfigError."""
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name != "mix"}
        levels = {f.name for f in fields(Mix)}
        unknown = sorted(set(text) - set(kinds) - levels)
        if unknown:
            raise ConfigError(
                "factors", f"unknown: {', '.join(unknown)}", f"use {', '.join([*kinds, *sorted(levels)])}"
            )
        named = {name: _parse(name, text[name], kind) for name, kind in kinds.items() if name in text}
        mix = Mix(**{name: float(_parse(name, text[name], "float")) for name in levels & set(text)})
        return cls(**named, mix=mix)  # type: ignore[arg-type]  # _parse gives each the type its field declares


def draw_factors(
    rng: np.random.Generator,
    duration_s: float = 30.0,
    tempo_range_bpm: tuple[float, float] = (50.0, 200.0),
    styles: tuple[str, ...] = STYLES,
    instruments: tuple[str, ...] = INSTRUMENT_SETS,
    keys: tuple[str, ...] = KEYS,
) -> Factors:
    """Draw every factor independently of every other: names uniform, tempo uniform in its logarithm."""
    low, high = (math.log(t) for t in tempo_range_bpm)
    gains_db = np.clip(rng.normal(0.0, 2.0, len(PARTS)), -5.0, 5.0)
    return Factors(
        style=styles[int(rng.integers(len(styles)))],
        instruments=instruments[int(rng.integers(len(instruments)))],
        tempo_bpm=math.exp(float(rng.uniform(low, high))),
        key=keys[int(rng.integers(len(keys)))],
        seed=int(rng.integers(2**31)),
        duration_s=duration_s,
        swing=float(rng.choice([0.0, 0.0, 0.5, 1.0])),
        level_db=float(rng.uniform(-12.0, 0.0)),
        tilt_db_per_octave=float(rng.uniform(-1.5, 1.5)),
        reverb_wet=float(rng.uniform(0.02, 0.35)),
        mix=Mix(*(float(g) for g in gains_db)),
    )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(name, f"there is no {value!r}", f"use one of: {', '.join(allowed)}")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also catches NaN
        raise ConfigError(name, f"is {value}", f"choose {low:g} to {high:g}")


def _parse(name: str, text: str, kind: str) -> str | int | float:
    try:
        return {"str": str, "int": int, "float": float}[kind](text)  # type: ignore[no-any-return]
    except ValueError as error:
        raise ConfigError(name, f"{text!r} is not a number", "write it in decimals") from error
