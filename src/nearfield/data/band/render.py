"""A score to sound: every distinct note is made once, laid where it is played, mixed, and mastered."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import fft, signal

from nearfield.data.band.compose import Note, Score, compose
from nearfield.data.band.drums import DRUM_PITCHES, KITS
from nearfield.data.band.factors import PARTS, Factors
from nearfield.data.band.instruments import SETS
from nearfield.data.band.styles import STYLE_TABLE
from nearfield.data.band.tones import Float32, Hit, Timbre, play, strike
from nearfield.errors import ConfigError

PEAK = 0.98  # of full scale, at level_db 0
TILT_PIVOT_HZ = 1000.0
TILT_RANGE_HZ = (40.0, 10000.0)  # the tilt is flat beyond
FADE_S = 1.0  # at the end; a tenth of the piece where that is shorter
_DRUM_GAIN = 0.55  # fixed, as a quiet groove (brushes on a ride) must stay quiet
_PART_RMS = {"bass": 0.095, "chords": 0.078, "melody": 0.095}
_SEND = {"drums": 0.5, "bass": 0.15, "chords": 1.0, "melody": 1.0}
_TOUCHES = (0.55, 0.8, 1.0)  # brightness of soft, middling and hard notes
_DRUM_TAKES = 2  # recordings of each drum, so that no two hits in a row are the same
_REVERB_S = 1.1  # time to fall by 60 dB


def render(score_or_factors: Score | Factors, rate_hz: int = 16000) -> Float32:
    """Mono sound, `duration_s` long, its peak exactly PEAK lowered by `level_db`. shape (n,)"""
    if not 8000 <= rate_hz <= 192000:
        raise ConfigError("rate_hz", f"is {rate_hz}", "choose 8000 to 192000")
    score = compose(score_or_factors) if isinstance(score_or_factors, Factors) else score_or_factors
    factors = score.factors
    n = round(factors.duration_s * rate_hz)
    dry, send = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for part in PARTS:
        bus = _play_part(score, part, n, rate_hz) * np.float32(factors.mix.gain(part))
        dry += bus
        send += bus * np.float32(_SEND[part])
    wet = _reverb(send, rate_hz, np.random.default_rng([factors.seed, len(PARTS)]))
    mixed = _press(dry + np.float32(factors.reverb_wet) * wet, rate_hz)
    mixed *= _fade(n, rate_hz)
    tilted = _tilt(mixed, factors.tilt_db_per_octave, rate_hz)
    tilted *= np.float32(PEAK * 10 ** (factors.level_db / 20)) / max(np.float32(1e-9), np.abs(tilted).max())
    return tilted


def seconds(score: Score, beat: float) -> float:
    """When a beat of the straight grid is played, in seconds, swing and tempo applied."""
    style = STYLE_TABLE[score.factors.style]
    unit = style.swing_unit_beats
    if unit:
        amount = style.own_swing + (1 - style.own_swing) * score.factors.swing
        middle = 0.5 + amount / 6  # where in a pair of units the second one begins
        pair, within = divmod(beat / (2 * unit), 1.0)
        bent = within * 2 * middle if within < 0.5 else middle + (within - 0.5) * 2 * (1 - middle)
        beat = (pair + bent) * 2 * unit
    return beat * 60.0 / score.factors.tempo_bpm


def _play_part(score: Score, part: str, n: int, rate_hz: int) -> Float32:
    """One part at its usual loudness, whatever plays it. shape (n,)"""
    bus = np.zeros(n, np.float32)
    notes = [note for note in score.notes if note.part == part]
    instruments = SETS[score.factors.instruments]
    rng = np.random.default_rng([score.factors.seed, PARTS.index(part)])
    if part == "drums":
        _lay_drums(bus, score, notes, KITS[instruments.kit], rate_hz, rng)
        return bus * np.float32(_DRUM_GAIN)
    timbre, rms = instruments.timbre(part), _PART_RMS[part]
    _lay_notes(bus, score, notes, timbre, rate_hz, rng)
    bus *= np.float32(rms / _loudness(bus))
    if timbre.drive:
        bus = np.tanh(bus * np.float32(timbre.drive / rms)) * np.float32(rms / math.tanh(timbre.drive))
    return bus


def _lay_notes(
    bus: Float32, score: Score, notes: Sequence[Note], timbre: Timbre, rate_hz: int, rng: np.random.Generator
) -> None:
    """Add pitched notes to the bus: one tone for each pitch and touch, as long as the longest note needs."""
    played: Mapping[tuple[int, int], list[tuple[int, int, Note]]] = defaultdict(list)
    for note in notes:
        start_s = seconds(score, note.start_beat)
        held = round((seconds(score, note.start_beat + note.length_beats) - start_s) * rate_hz)
        start = max(0, round((start_s + note.offset_s) * rate_hz))
        touch = sum(note.velocity > edge for edge in (0.6, 0.8))
        if start < len(bus):
            played[note.pitch, touch].append((start, max(1, held), note))
    tail = round(timbre.release_s * rate_hz) + 1
    release = (np.cos(np.linspace(0, np.pi, tail)) * 0.5 + 0.5).astype(np.float32) ** 2
    for (pitch, touch), group in played.items():
        longest = max(held for _, held, _ in group) + tail
        tone = play(timbre, pitch, _TOUCHES[touch], longest / rate_hz, rate_hz, rng)
        for start, held, note in group:
            gain = np.float32(note.velocity**1.5)
            _add(bus, tone[:held], start, gain)
            _add(bus, tone[held : held + tail] * release[: len(tone) - held], start + held, gain)


def _lay_drums(
    bus: Float32,
    score: Score,
    notes: Sequence[Note],
    kit: Mapping[str, Hit],
    rate_hz: int,
    rng: np.random.Generator,
) -> None:
    """Add drum hits to the bus, the takes of a drum in turn."""
    names = {pitch: drum for drum, pitch in DRUM_PITCHES.items()}
    takes = {
        p: [strike(kit[names[p]], rate_hz, rng) for _ in range(_DRUM_TAKES)] for p in sorted({n.pitch for n in notes})
    }
    for i, note in enumerate(notes):
        start = max(0, round((seconds(score, note.start_beat) + note.offset_s) * rate_hz))
        _add(bus, takes[note.pitch][i % _DRUM_TAKES], start, np.float32(note.velocity**1.5))


def _add(bus: Float32, sound: Float32, start: int, gain: np.float32) -> None:
    end = min(len(bus), start + len(sound))
    if end > start:
        bus[start:end] += sound[: end - start] * gain


def _loudness(bus: Float32, block: int = 1024) -> float:
    """RMS over the blocks in which something sounds; 1 for silence."""
    power = np.add.reduceat(bus * bus, np.arange(0, len(bus), block), dtype=np.float64) / block
    sounding = power[power > 0.02 * power.max()]
    return float(np.sqrt(sounding.mean())) if len(sounding) else 1.0


def _reverb(send: Float32, rate_hz: int, rng: np.random.Generator) -> Float32:
    """A room of decaying noise, duller than what it is sent, as loud as what it is sent. shape (n,)"""
    length = round(1.2 * _REVERB_S * rate_hz)
    t = np.arange(length) / rate_hz
    noise = rng.standard_normal(length) * np.exp(-6.9 * t / _REVERB_S) * np.minimum(t / 0.015, 1.0)
    sos = signal.butter(1, [250.0, min(3500.0, 0.4 * rate_hz)], "bandpass", fs=rate_hz, output="sos")
    room = signal.sosfilt(sos, noise)
    room /= np.sqrt(np.sum(room**2)) + 1e-9
    wet: Float32 = signal.oaconvolve(send, room.astype(np.float32))[: len(send)].astype(np.float32)
    return wet


def _press(x: Float32, rate_hz: int, threshold: float = 0.16, ratio: float = 2.5) -> Float32:
    """A gentle bus compressor on 5 ms blocks (60 ms of smoothing) and a soft clip. shape (n,)"""
    block = max(1, rate_hz // 200)
    power = np.add.reduceat(x * x, np.arange(0, len(x), block), dtype=np.float64) / block
    keep = math.exp(-0.005 / 0.06)
    level = np.sqrt(signal.lfilter([1 - keep], [1, -keep], power))
    gain = np.maximum(level / threshold, 1.0) ** (1 / ratio - 1)
    middle = (np.arange(len(gain)) + 0.5) * block
    smooth = np.interp(np.arange(len(x)), middle, gain).astype(np.float32)
    out: Float32 = np.tanh(1.3 * x * smooth)
    return out


def _fade(n: int, rate_hz: int) -> Float32:
    length = min(round(FADE_S * rate_hz), n // 10)
    fade = np.ones(n, np.float32)
    if length:
        fade[-length:] = (np.cos(np.linspace(0, np.pi, length)) * 0.5 + 0.5).astype(np.float32)
    return fade


def _tilt(x: Float32, tilt_db_per_octave: float, rate_hz: int) -> Float32:
    """A straight line in dB over log frequency, 0 dB at TILT_PIVOT_HZ, zero phase. shape (n,)"""
    if tilt_db_per_octave == 0.0:
        return x.copy()
    size = fft.next_fast_len(len(x) + rate_hz, real=True)  # a second of silence, so that nothing wraps round
    octaves = np.log2(np.clip(fft.rfftfreq(size, 1 / rate_hz), *TILT_RANGE_HZ) / TILT_PIVOT_HZ)
    gain = (10 ** (tilt_db_per_octave * octaves / 20)).astype(np.float32)
    out: Float32 = fft.irfft(fft.rfft(x, size) * gain, size)[: len(x)].astype(np.float32)
    return out
