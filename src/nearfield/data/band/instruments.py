"""The instrument sets: bass, chords, melody and a kit each; tones.py says what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nearfield.data.band.tones import Timbre


@dataclass(frozen=True)
class InstrumentSet:
    """Who plays the four parts."""

    bass: Timbre
    chords: Timbre
    melody: Timbre
    kit: str  # a name in drums.KITS

    def timbre(self, part: str) -> Timbre:
        """The timbre of a pitched part."""
        return {"bass": self.bass, "chords": self.chords, "melody": self.melody}[part]


_PICKED_BASS = Timbre("pluck", 1400, 500, 0.2, damping_per_s=0.8, decay_s=0.9, sustain=0.25, noise=0.05, noise_s=0.006)
_FINGER_BASS = Timbre("pluck", 800, 350, 0.25, damping_per_s=1.0, decay_s=0.8, sustain=0.3)
_UPRIGHT = Timbre("triangle", 900, 300, 0.12, damping_per_s=1.5, decay_s=0.45, sustain=0.12, noise=0.06, noise_s=0.012)
_TUBA = Timbre("brass", 700, 500, 0.2, attack_s=0.03, decay_s=0.4, sustain=0.7)
_PIANO = Timbre(
    "piano",
    5000,
    2500,
    0.3,
    damping_per_s=1.1,
    decay_s=0.9,
    sustain=0.08,
    release_s=0.12,
    detune_cents=(-1, 1),
)
_NYLON = Timbre(
    "pluck",
    2600,
    1500,
    0.1,
    damping_per_s=2.2,
    decay_s=0.7,
    sustain=0.05,
    release_s=0.15,
    noise=0.06,
    noise_s=0.008,
)
_RHODES = Timbre(
    fm_ratio=1.0,
    fm_index=2.3,
    fm_s=0.35,
    decay_s=1.1,
    sustain=0.15,
    release_s=0.15,
    tremolo=0.18,
    wobble_hz=4.5,
)
_FLUTE = Timbre(
    "flute",
    3000,
    2600,
    0.2,
    attack_s=0.05,
    sustain=0.85,
    vibrato_cents=14,
    tremolo=0.08,
    noise=0.1,
    noise_s=0.05,
)
_CLARINET = Timbre("clarinet", 2800, 2200, 0.3, attack_s=0.025, sustain=0.85, vibrato_cents=6, noise=0.03)
_STRINGS = Timbre(
    "bow",
    3500,
    2800,
    0.4,
    attack_s=0.07,
    sustain=0.9,
    release_s=0.22,
    detune_cents=(-7, 0, 7),
    vibrato_cents=9,
    noise=0.05,
)
_SUPERSAW = Timbre("saw", 6500, 3800, 0.3, attack_s=0.01, sustain=0.8, release_s=0.12, detune_cents=(-14, -5, 5, 14))

SETS: Mapping[str, InstrumentSet] = {
    "electric band": InstrumentSet(
        _PICKED_BASS,
        Timbre(
            "pluck",
            3200,
            2000,
            0.3,
            damping_per_s=0.7,
            decay_s=1.5,
            sustain=0.5,
            noise=0.1,
            noise_s=0.008,
            drive=1.5,
        ),
        Timbre("saw", 3400, 2400, 0.3, attack_s=0.008, sustain=0.7, vibrato_cents=16, drive=1.2, release_s=0.12),
        "rock",
    ),
    "jazz quartet": InstrumentSet(
        _UPRIGHT,
        _PIANO,
        Timbre("reed", 2200, 1600, 0.15, attack_s=0.03, sustain=0.8, vibrato_cents=12, noise=0.12),
        "brushes",
    ),
    "plucked strings": InstrumentSet(
        _UPRIGHT,
        _NYLON,
        Timbre(
            "pluck",
            5200,
            3200,
            0.1,
            damping_per_s=1.2,
            decay_s=0.5,
            sustain=0.03,
            detune_cents=(-3, 3),
            noise=0.1,
            noise_s=0.005,
        ),
        "hands",
    ),
    "organ combo": InstrumentSet(
        _FINGER_BASS,
        Timbre(
            "organ",
            5000,
            5000,
            1.0,
            attack_s=0.006,
            sustain=1.0,
            release_s=0.03,
            tremolo=0.12,
            wobble_hz=6.4,
            noise=0.05,
            noise_s=0.005,
        ),
        Timbre(
            "organ",
            7000,
            6000,
            0.1,
            attack_s=0.005,
            sustain=0.9,
            vibrato_cents=10,
            wobble_hz=6.4,
            release_s=0.03,
            drive=0.8,
        ),
        "rock",
    ),
    "electric piano": InstrumentSet(
        _FINGER_BASS,
        _RHODES,
        Timbre("saw", 2600, 1300, 0.25, resonance=0.8, attack_s=0.012, vibrato_cents=10),
        "studio",
    ),
    "chip": InstrumentSet(
        Timbre("triangle", 9000, 9000, 1.0, attack_s=0.002, sustain=1.0, release_s=0.01),
        Timbre("pulse12", 9000, 9000, 1.0, attack_s=0.002, decay_s=0.15, sustain=0.45, release_s=0.01),
        Timbre(
            "pulse25",
            9000,
            9000,
            1.0,
            attack_s=0.002,
            decay_s=0.3,
            sustain=0.6,
            release_s=0.01,
            vibrato_cents=12,
            wobble_hz=6.5,
        ),
        "chip",
    ),
    "analogue synths": InstrumentSet(
        Timbre("saw", 1600, 260, 0.14, slope=3, resonance=1.5, attack_s=0.003, sustain=0.7, release_s=0.04),
        Timbre(
            "saw",
            2600,
            1200,
            0.5,
            resonance=0.5,
            attack_s=0.03,
            sustain=0.85,
            release_s=0.25,
            detune_cents=(-8, 0, 8),
        ),
        Timbre(
            "square",
            4500,
            1700,
            0.2,
            resonance=1.2,
            attack_s=0.004,
            sustain=0.7,
            vibrato_cents=9,
            release_s=0.1,
        ),
        "909",
    ),
    "string orchestra": InstrumentSet(
        Timbre(
            "bow",
            1400,
            1100,
            0.3,
            attack_s=0.04,
            sustain=0.85,
            release_s=0.15,
            detune_cents=(-4, 4),
            noise=0.05,
        ),
        _STRINGS,
        Timbre(
            "bow",
            5000,
            4200,
            0.3,
            attack_s=0.045,
            sustain=0.9,
            release_s=0.15,
            vibrato_cents=20,
            wobble_hz=5.8,
            noise=0.06,
        ),
        "orchestra",
    ),
    "brass band": InstrumentSet(
        _TUBA,
        Timbre(
            "brass",
            1900,
            1300,
            0.15,
            attack_s=0.03,
            sustain=0.75,
            release_s=0.08,
            detune_cents=(-4, 4),
            noise=0.04,
        ),
        Timbre(
            "brass",
            4200,
            2600,
            0.12,
            attack_s=0.018,
            sustain=0.75,
            vibrato_cents=7,
            noise=0.05,
            noise_s=0.015,
        ),
        "orchestra",
    ),
    "mallets": InstrumentSet(
        Timbre(fm_ratio=4.0, fm_index=0.7, fm_s=0.05, decay_s=0.35, sustain=0.0, attack_s=0.003, release_s=0.2),
        Timbre(
            fm_ratio=4.0,
            fm_index=0.9,
            fm_s=0.25,
            decay_s=1.2,
            sustain=0.0,
            attack_s=0.003,
            release_s=0.4,
            tremolo=0.25,
            wobble_hz=4.8,
        ),
        Timbre(fm_ratio=3.0, fm_index=1.7, fm_s=0.08, decay_s=0.45, sustain=0.0, attack_s=0.002, release_s=0.3),
        "hands",
    ),
    "sub and keys": InstrumentSet(
        Timbre("sub", 600, 400, 0.3, attack_s=0.006, decay_s=1.2, sustain=0.5, release_s=0.08, drive=0.8),
        _RHODES,
        _FLUTE,
        "808",
    ),
    "rave": InstrumentSet(
        Timbre("saw", 900, 700, 0.3, slope=2.5, resonance=0.6, sustain=0.9, detune_cents=(-12, 12), drive=1.0),
        _SUPERSAW,
        Timbre(
            "square",
            7000,
            900,
            0.1,
            resonance=1.5,
            attack_s=0.002,
            decay_s=0.25,
            sustain=0.15,
            release_s=0.12,
        ),
        "909",
    ),
    "accordion trio": InstrumentSet(
        _UPRIGHT,
        Timbre(
            "reed",
            4200,
            3600,
            0.3,
            attack_s=0.02,
            sustain=0.9,
            release_s=0.05,
            detune_cents=(-6, 6),
            tremolo=0.06,
        ),
        _CLARINET,
        "brushes",
    ),
}

INSTRUMENT_SETS: tuple[str, ...] = tuple(SETS)
