"""The drum kits, and where each drum lies on General MIDI's percussion map."""

from __future__ import annotations

from collections.abc import Mapping

from nearfield.data.band.tones import Hit

Kit = dict[str, Hit]

DRUM_PITCHES: Mapping[str, int] = {
    "kick": 36,
    "rim": 37,
    "snare": 38,
    "clap": 39,
    "hat": 42,
    "pedal": 44,
    "tom low": 45,
    "open": 46,
    "crash": 49,
    "tom": 50,
    "ride": 51,
    "tamb": 54,
    "cowbell": 56,
    "conga": 63,
    "clave": 75,
    "shaker": 82,
}

_HAT = {
    "hat": Hit(metal=0.3, metal_s=0.03),
    "pedal": Hit(metal=0.22, metal_s=0.02),
    "open": Hit(metal=0.34, metal_s=0.16),
}
_ROCK: Kit = {
    "kick": Hit(1.0, 55, 1.6, 0.025, 0.13, noise=0.12, noise_low_hz=1500, noise_high_hz=4500, noise_s=0.006),
    "snare": Hit(0.5, 190, 0.5, 0.02, 0.07, noise=0.45, noise_low_hz=700, noise_high_hz=7500, noise_s=0.09),
    "rim": Hit(0.4, 1100, 0.2, 0.01, 0.015, noise=0.3, noise_low_hz=1200, noise_high_hz=5000, noise_s=0.012),
    "clap": Hit(noise=0.5, noise_low_hz=900, noise_high_hz=3500, noise_s=0.07, claps=3),
    **_HAT,
    "ride": Hit(0.08, 2450, 0.0, 0.1, 0.2, metal=0.17, metal_hz=720, metal_s=0.28),
    "crash": Hit(metal=0.4, metal_hz=430, metal_s=0.55),
    "tom": Hit(0.8, 150, 0.5, 0.06, 0.16, noise=0.08, noise_s=0.02),
    "tom low": Hit(0.9, 95, 0.5, 0.07, 0.2, noise=0.08, noise_s=0.02),
    "tamb": Hit(metal=0.28, metal_hz=1900, metal_s=0.06),
    "shaker": Hit(noise=0.16, noise_low_hz=3500, noise_high_hz=9000, noise_s=0.03),
    "cowbell": Hit(0.3, 560, 0.0, 0.1, 0.09, metal=0.05, metal_hz=845, metal_s=0.06),
    "conga": Hit(0.7, 230, 0.25, 0.02, 0.11, noise=0.12, noise_low_hz=800, noise_high_hz=3000, noise_s=0.012),
    "clave": Hit(0.6, 2350, 0.0, 0.1, 0.022),
}
KITS: Mapping[str, Kit] = {
    "rock": _ROCK,
    "studio": _ROCK
    | {
        "kick": Hit(1.0, 60, 1.2, 0.02, 0.09, noise=0.06, noise_low_hz=1000, noise_high_hz=3000, noise_s=0.005),
        "snare": Hit(0.4, 215, 0.4, 0.015, 0.05, noise=0.4, noise_low_hz=1200, noise_high_hz=6500, noise_s=0.06),
    },
    "brushes": _ROCK
    | {
        "kick": Hit(0.8, 70, 0.8, 0.02, 0.1),
        "snare": Hit(0.12, 200, 0.2, 0.02, 0.05, noise=0.3, noise_low_hz=1800, noise_high_hz=7000, noise_s=0.11),
        "hat": Hit(metal=0.2, metal_s=0.035),
        "ride": Hit(0.06, 2900, 0.0, 0.1, 0.15, metal=0.19, metal_hz=610, metal_s=0.26),
    },
    "808": _ROCK
    | {
        "kick": Hit(1.0, 48, 1.3, 0.02, 0.28),
        "snare": Hit(0.45, 180, 0.3, 0.01, 0.08, noise=0.35, noise_low_hz=1500, noise_high_hz=7500, noise_s=0.07),
        "hat": Hit(metal=0.3, metal_hz=800, metal_s=0.018),
        "open": Hit(metal=0.3, metal_hz=800, metal_s=0.2),
        "rim": Hit(0.5, 1700, 0.0, 0.01, 0.012),
    },
    "909": _ROCK
    | {
        "kick": Hit(1.0, 50, 2.0, 0.03, 0.17, noise=0.2, noise_low_hz=2000, noise_high_hz=6000, noise_s=0.004),
        "snare": Hit(0.5, 200, 0.6, 0.02, 0.06, noise=0.5, noise_low_hz=1500, noise_high_hz=9000, noise_s=0.11),
        "clap": Hit(noise=0.6, noise_low_hz=1000, noise_high_hz=4500, noise_s=0.12, claps=4),
        "open": Hit(metal=0.42, metal_hz=620, metal_s=0.13),
    },
    "chip": _ROCK
    | {
        "kick": Hit(0.9, 60, 2.6, 0.03, 0.07),
        "snare": Hit(noise=0.4, noise_high_hz=5000, noise_s=0.07, crush=True),
        "clap": Hit(noise=0.35, noise_high_hz=3500, noise_s=0.05, crush=True),
        "hat": Hit(noise=0.16, noise_high_hz=8000, noise_s=0.015, crush=True),
        "open": Hit(noise=0.18, noise_high_hz=8000, noise_s=0.07, crush=True),
        "ride": Hit(noise=0.14, noise_high_hz=8000, noise_s=0.05, crush=True),
        "shaker": Hit(noise=0.1, noise_high_hz=8000, noise_s=0.02, crush=True),
        "crash": Hit(noise=0.3, noise_high_hz=6000, noise_s=0.3, crush=True),
    },
    "hands": _ROCK
    | {
        "kick": Hit(0.9, 75, 0.6, 0.02, 0.14, noise=0.08, noise_low_hz=500, noise_high_hz=2000, noise_s=0.01),
        "snare": Hit(0.5, 330, 0.3, 0.012, 0.05, noise=0.3, noise_low_hz=900, noise_high_hz=4500, noise_s=0.03),
        "hat": Hit(noise=0.2, noise_low_hz=3500, noise_high_hz=9000, noise_s=0.025),
        "open": Hit(metal=0.25, metal_hz=1900, metal_s=0.09),
        "ride": Hit(noise=0.22, noise_low_hz=2800, noise_high_hz=8000, noise_s=0.04),
        "crash": Hit(metal=0.3, metal_hz=1600, metal_s=0.3),
    },
    "orchestra": _ROCK
    | {
        "kick": Hit(1.0, 52, 0.5, 0.04, 0.3, noise=0.05, noise_low_hz=200, noise_high_hz=900, noise_s=0.03),
        "snare": Hit(0.25, 210, 0.2, 0.02, 0.04, noise=0.45, noise_low_hz=1500, noise_high_hz=8000, noise_s=0.08),
        "hat": Hit(metal=0.25, metal_hz=2200, metal_s=0.12),
        "crash": Hit(metal=0.45, metal_hz=380, metal_s=0.7),
        "tom": Hit(0.9, 110, 0.15, 0.05, 0.35),
        "tom low": Hit(0.9, 82, 0.15, 0.05, 0.4),
    },
}
