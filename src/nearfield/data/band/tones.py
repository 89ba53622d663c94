"""Sounds from numbers: a pitched tone as a wavetable that changes with time (or FM), and a drum hit.

The tables are band-limited, so nothing aliases, and their pitch is exact at any rate. The plucked string is
Karplus and Strong's (CMJ 7(2), 1983) in closed form: every harmonic decays by itself, the higher the faster,
instead of running a delay line, whose length would have to be a whole number of samples.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

A4_HZ = 440.0
_TABLE = 2048  # samples in one period
_FRAMES = 8  # spectra along a tone, denser at its beginning
_MAX_HARMONICS = 160


@dataclass(frozen=True)
class Timbre:
    """A pitched instrument. Corner frequencies are those of a note at middle C played at full velocity."""

    wave: str = "saw"  # a name in _WAVES
    bright_hz: float = 4000.0  # low-pass corner at the start of a note ...
    dull_hz: float = 1500.0  # ... and where it settles
    bright_s: float = 0.15  # time constant between the two
    slope: float = 2.0  # order of the low-pass: 2 is 12 dB per octave
    resonance: float = 0.0  # height of the bump at the corner, 0 to about 3
    damping_per_s: float = 0.0  # extra decay per second and kHz of a harmonic's frequency: a string's
    attack_s: float = 0.005
    decay_s: float = 0.5  # time constant of the fall to `sustain`
    sustain: float = 0.6
    release_s: float = 0.08
    detune_cents: tuple[float, ...] = (0.0,)
    vibrato_cents: float = 0.0
    tremolo: float = 0.0  # depth, 0 to 1
    wobble_hz: float = 5.2  # of vibrato and tremolo
    noise: float = 0.0  # breath, bow or pick at the onset
    noise_s: float = 0.03
    fm_ratio: float = 1.0
    fm_index: float = 0.0  # above 0, FM takes the wavetable's place
    fm_s: float = 0.5  # time constant of the index
    drive: float = 0.0  # distortion of the whole part, 0 none


@dataclass(frozen=True)
class Hit:
    """A drum: a falling tone, noise in a band, and metal (inharmonic squares), each with its own decay."""

    tone: float = 0.0
    tone_hz: float = 100.0
    sweep_octaves: float = 0.0  # how far above tone_hz it starts
    sweep_s: float = 0.03
    tone_s: float = 0.1
    noise: float = 0.0
    noise_low_hz: float = 1000.0
    noise_high_hz: float = 7000.0
    noise_s: float = 0.1
    metal: float = 0.0
    metal_hz: float = 540.0
    metal_s: float = 0.1
    claps: int = 1
    crush: bool = False  # held noise, as sound chips make it


_Wave = Callable[[Float64], npt.NDArray[np.floating]]
_WAVES: Mapping[str, _Wave] = {
    "sine": lambda n: (n == 1) * 1.0,
    "saw": lambda n: 1.0 / n,
    "square": lambda n: (n % 2) / n,
    "pulse25": lambda n: np.abs(np.sin(math.pi * n * 0.25)) / n,
    "pulse12": lambda n: np.abs(np.sin(math.pi * n * 0.125)) / n,
    "triangle": lambda n: (n % 2) / n**2,
    "sub": lambda n: np.where(n <= 3, np.array([0.0, 1.0, 0.25, 0.12])[np.minimum(n, 3).astype(int)], 0.0),
    "pluck": lambda n: np.abs(np.sin(math.pi * n / 5.3)) / n,  # plucked at 1/5.3 of the string
    "piano": lambda n: (np.abs(np.sin(math.pi * n / 7.7)) + 0.1) / n**1.25,
    "reed": lambda n: np.where(n % 2 == 1, 1.0, 0.45) / n**0.9,
    "clarinet": lambda n: np.where(n % 2 == 1, 1.0, 0.08) / n**1.1,
    "brass": lambda n: n**0.35 / (1.0 + (n / 4.0) ** 2),
    "flute": lambda n: np.exp(-0.85 * (n - 1)),
    "organ": lambda n: 1.0 * np.isin(n, (1, 2, 3, 4, 6, 8)) * np.where(n == 1, 1.0, np.where(n < 4, 0.75, 0.4)),
    "bow": lambda n: (1.0 + 0.8 * np.cos(1.7 * n)) / n**0.9,
}


def pitch_hz(pitch: float) -> float:
    """The frequency of a MIDI pitch, equal temperament, A4 (69) at 440 Hz."""
    return float(A4_HZ * 2.0 ** ((pitch - 69.0) / 12.0))


def play(timbre: Timbre, pitch: int, touch: float, length_s: float, rate_hz: int, rng: np.random.Generator) -> Float32:
    """A note held for `length_s` at full loudness; `touch` (0 to 1) sets its brightness. shape (n,)"""
    n = max(1, round(length_s * rate_hz))
    t = np.arange(n, dtype=np.float32) / np.float32(rate_hz)
    wobble = np.sin(2 * np.pi * timbre.wobble_hz * t, dtype=np.float32) * np.minimum(t / 0.25, 1.0)
    f0 = pitch_hz(pitch)
    out = np.zeros(n, np.float32)
    for cents in timbre.detune_cents:
        begin = float(rng.random()) if cents else 0.0  # detuned voices must not start in step
        cycles: Float64 = begin + _cycles(f0 * 2 ** (cents / 1200), n, rate_hz, timbre, wobble)
        out += (
            _fm(timbre, f0, cycles, touch, t, rate_hz)
            if timbre.fm_index
            else _table(timbre, f0, cycles, touch, t, rate_hz)
        )
    out *= _envelope(timbre, t) / np.float32(math.sqrt(len(timbre.detune_cents)))
    if timbre.tremolo:
        out *= 1 + np.float32(timbre.tremolo) * wobble
    if timbre.noise:
        burst = rng.standard_normal(n, dtype=np.float32)
        out += burst * np.float32(timbre.noise * touch) * np.exp(-t / timbre.noise_s) * np.minimum(t / 0.002, 1.0)
    return out


def strike(hit: Hit, rate_hz: int, rng: np.random.Generator) -> Float32:
    """One hit of a drum, rung out. shape (n,)"""
    longest_s = max(hit.tone_s * bool(hit.tone), hit.noise_s * bool(hit.noise), hit.metal_s * bool(hit.metal))
    n = round(min(6.0 * longest_s + 0.03, 1.6) * rate_hz)
    t = np.arange(n, dtype=np.float64) / rate_hz
    out = np.zeros(n)
    if hit.tone:
        fall = hit.tone_hz * (2**hit.sweep_octaves - 1) * np.exp(-t / hit.sweep_s)
        turns = np.cumsum(hit.tone_hz + fall) / rate_hz
        out += hit.tone * np.sin(2 * np.pi * turns) * np.exp(-t / hit.tone_s)
    if hit.noise:
        out += hit.noise * _noise(hit, n, rate_hz, rng) * _bursts(hit, t)
    if hit.metal:
        partials = [1.0, 1.342, 1.521, 1.932, 2.536, 3.147, 4.21, 5.43, 6.79]
        ring = sum(
            np.sin(2 * np.pi * (hit.metal_hz * p * t + rng.random()))
            for p in partials
            if hit.metal_hz * p < 0.45 * rate_hz
        )
        ring = _band(ring + 1.5 * rng.standard_normal(n), 3000.0, 0.45 * rate_hz, rate_hz)
        out += hit.metal * ring / 2.5 * np.exp(-t / hit.metal_s)
    out *= np.minimum(t / 0.0005, 1.0) * np.clip((t[-1] - t) / 0.02, 0.0, 1.0)
    return out.astype(np.float32)


def _cycles(f0_hz: float, n: int, rate_hz: int, timbre: Timbre, wobble: Float32) -> Float64:
    """The phase in cycles; in float64, as float32 would put a long note out of tune."""
    cycles: Float64 = np.arange(n, dtype=np.float64)
    cycles *= f0_hz / rate_hz
    if timbre.vibrato_cents:
        depth_hz = f0_hz * (2 ** (timbre.vibrato_cents / 1200) - 1)
        cycles += np.cumsum(wobble, dtype=np.float64) * (depth_hz / rate_hz)
    return cycles


def _spectra(timbre: Timbre, f0_hz: float, touch: float, times_s: Float64, rate_hz: int) -> Float64:
    """Amplitudes of the harmonics 1..N at some times, the first row of unit RMS. shape (frames, N)"""
    count = max(1, min(_MAX_HARMONICS, int(0.46 * rate_hz / f0_hz)))
    n = np.arange(1, count + 1, dtype=np.float64)
    t = times_s[:, None]
    tracking = math.sqrt(f0_hz / 261.6)  # half: high notes are brighter, but less than their pitch
    opening = timbre.dull_hz + (timbre.bright_hz * touch - timbre.dull_hz * min(touch, 0.9)) * np.exp(
        -t / timbre.bright_s
    )
    octaves = np.log2(n[None] * f0_hz / (np.maximum(opening, 60.0) * tracking))
    low_pass = 1.0 / np.sqrt(1.0 + 4.0 ** (timbre.slope * octaves))
    bump = 1.0 + timbre.resonance * np.exp(-((octaves / 0.35) ** 2))
    string = np.exp(-timbre.damping_per_s * t * n[None] * f0_hz / 1000.0)
    spectra = _WAVES[timbre.wave](n)[None] * low_pass * bump * string
    unit = math.sqrt(0.5 * float((spectra[0] ** 2).sum())) + 1e-9
    return np.asarray(spectra / unit, np.float64)


def _table(timbre: Timbre, f0_hz: float, cycles: Float64, touch: float, t: Float32, rate_hz: int) -> Float32:
    """Read the wavetables, between samples and between frames. shape (n,)"""
    last_s = float(t[-1]) + 1e-6
    spectra = _spectra(timbre, f0_hz, touch, last_s * np.linspace(0, 1, _FRAMES) ** 2, rate_hz)
    bins = np.zeros((_FRAMES, _TABLE // 2 + 1), np.complex128)
    count = spectra.shape[1]
    phases = np.exp(1j * np.pi * np.arange(1, count + 1) ** 2 / count)  # Schroeder's, for a low crest
    bins[:, 1 : 1 + count] = spectra * phases * (_TABLE / 2)
    tables = np.fft.irfft(bins, axis=1).astype(np.float32)
    flat = np.concatenate([tables, tables[:, :1]], axis=1).ravel()
    at = ((cycles % 1.0) * _TABLE).astype(np.float32)
    index = np.minimum(at.astype(np.int32), _TABLE - 1)
    between = at - index
    frame = np.sqrt(t / np.float32(last_s)) * (_FRAMES - 1)
    row = np.minimum(frame.astype(np.int32), _FRAMES - 2)
    index += row * (_TABLE + 1)
    here = _read(flat, index, between)
    there = _read(flat, index + (_TABLE + 1), between)
    out: Float32 = here + (there - here) * (frame - row).astype(np.float32)
    return out


def _read(flat: Float32, index: npt.NDArray[np.int32], between: Float32) -> Float32:
    left = flat[index]
    out: Float32 = left + (flat[index + 1] - left) * between.astype(np.float32)
    return out


def _fm(timbre: Timbre, f0_hz: float, cycles: Float64, touch: float, t: Float32, rate_hz: int) -> Float32:
    """Chowning's two-operator FM; the index is held below what would alias. shape (n,)"""
    ceiling = max(0.0, (0.46 * rate_hz / f0_hz - 1.0) / timbre.fm_ratio - 1.0)
    index = np.float32(min(timbre.fm_index * touch, ceiling)) * np.exp(-t / timbre.fm_s) + np.float32(0.1)
    carrier = (2 * np.pi * (cycles % 1.0)).astype(np.float32)
    modulator = (2 * np.pi * (cycles * timbre.fm_ratio % 1.0)).astype(np.float32)
    out: Float32 = np.float32(1.41) * np.sin(carrier + index * np.sin(modulator))
    return out


def _envelope(timbre: Timbre, t: Float32) -> Float32:
    body = timbre.sustain + (1 - timbre.sustain) * np.exp(-t / timbre.decay_s)
    rise = np.minimum(t / timbre.attack_s, 1.0)
    out: Float32 = (body * rise * rise * (3 - 2 * rise)).astype(np.float32)
    return out


def _noise(hit: Hit, n: int, rate_hz: int, rng: np.random.Generator) -> Float64:
    if hit.crush:
        step = max(1, rate_hz // round(2 * hit.noise_high_hz))
        return np.asarray(np.repeat(rng.choice([-1.0, 1.0], -(-n // step)), step)[:n], np.float64)
    return _band(rng.standard_normal(n), hit.noise_low_hz, hit.noise_high_hz, rate_hz)


def _bursts(hit: Hit, t: Float64) -> Float64:
    """The noise's decay; a clap is several, 11 ms apart."""
    starts = [0.011 * i for i in range(hit.claps)]
    decays = [np.where(t >= s, np.exp(-(t - s) / (hit.noise_s if s == starts[-1] else 0.006)), 0.0) for s in starts]
    return np.asarray(np.max(decays, axis=0), np.float64)


def _band(x: Float64, low_hz: float, high_hz: float, rate_hz: int) -> Float64:
    """Second-order Butterworth band-pass, of unit RMS."""
    y = signal.sosfilt(_band_pass(low_hz, min(high_hz, 0.45 * rate_hz), rate_hz), x)
    return np.asarray(y / (np.sqrt(np.mean(y**2)) + 1e-9), np.float64)


@functools.lru_cache(maxsize=256)
def _band_pass(low_hz: float, high_hz: float, rate_hz: int) -> Float64:
    """Designed once: it takes longer than filtering a drum hit."""
    edges = [min(low_hz, 0.7 * high_hz), high_hz]
    return np.asarray(signal.butter(2, edges, "bandpass", fs=rate_hz, output="sos"), np.float64)
