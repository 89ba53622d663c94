"""The grooves corpus: arranged pieces with exact tempo, key and style, composed here, arranged by MMA, played by fluidsynth.

A piece is a row of factors (grooves_factors.py). It can be made again alone from its row, or with one factor changed:
`render_piece(with_factor(row, tempo_bpm=90), tools, out)`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soundfile
from scipy import fft

from nearfield import pool
from nearfield.data.apt import disk_errors, sole_use
from nearfield.data.grooves_factors import (
    Piece,
    draw_piece,
    read_pieces,
    track_of,
    with_factor,
    write_pieces,
)
from nearfield.data.grooves_score import mma_text
from nearfield.data.grooves_styles import LEADS, ensemble_programs
from nearfield.data.grooves_tools import RATE_HZ, obtain_tools
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.midi import Arrangement, arrange, read_song, write_song
from nearfield.errors import CorpusError, Failure, NearfieldError

__all__ = ["GroovesResult", "Piece", "fetch_grooves", "read_pieces", "render_piece", "with_factor"]

PEAK = 0.98  # of full scale, for level_db 0
_FULL_VOLUME = 100  # the MIDI channel volume that is 0 dB
_AUDIBLE = 1e-3  # of the peak: what comes before is cut off
_FADE_S = 0.05
_TILT_RANGE_HZ, _TILT_PIVOT_HZ = (40.0, 10000.0), 1000.0
Float32 = npt.NDArray[np.float32]


class Programs(Protocol):
    """What renders: grooves_tools.Tools, or a stand-in."""

    @property
    def versions(self) -> Mapping[str, str]: ...

    def arrange(self, text: str) -> bytes: ...

    def play(self, midi: bytes, soundfont: str, reverb: float) -> Float32: ...


@dataclass(frozen=True)
class GroovesResult:
    """What a fetch left; `failures` lists every piece that could not be made."""

    manifest: Manifest
    manifest_path: Path
    pieces_path: Path
    failures: tuple[Failure, ...]
    rendered: int
    already_there: int
    seconds: float


def render_piece(piece: Piece, tools: Programs, out: Path) -> None:
    """Make a piece as a mono 16-bit FLAC file of RATE_HZ, written in one step. Raises CorpusError, OSError."""
    song = arrange(read_song(tools.arrange(mma_text(piece))), arrangement_of(piece))
    sound = finish(tools.play(write_song(song), piece.soundfont, piece.reverb), piece)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    try:
        with open(part, "wb") as file:
            soundfile.write(file, sound, RATE_HZ, "PCM_16", format="FLAC")
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def arrangement_of(piece: Piece) -> Arrangement:
    """Tempo, levels and instruments of a piece."""
    levels = {"drums": piece.drums_db, "bass": piece.bass_db, "chords": piece.chords_db, "melody": piece.melody_db}
    lead = LEADS[piece.lead]
    if lead is None:
        del levels["melody"]
    # General MIDI: the gain is the square of volume / 127
    volumes = {role: min(127, round(_FULL_VOLUME * 10 ** (db / 40))) for role, db in levels.items()}
    return Arrangement(piece.tempo_bpm, volumes, ensemble_programs(piece.ensemble), lead or 0)


def finish(sound: Float32, piece: Piece) -> Float32:
    """(n, 2) as played -> (m,) mono of the piece's duration and level, from its first audible sample, tilted."""
    mono = sound.mean(axis=1)
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < 1e-6 or not np.isfinite(peak):
        raise CorpusError(piece.id, "it came out silent", "please report this piece")
    first = int(np.argmax(np.abs(mono) > _AUDIBLE * peak))
    cut = mono[first : first + round(piece.duration_s * RATE_HZ)]
    size = fft.next_fast_len(len(cut) + RATE_HZ, real=True)  # a second of silence, so that nothing wraps round
    octaves = np.log2(np.clip(fft.rfftfreq(size, 1 / RATE_HZ), *_TILT_RANGE_HZ) / _TILT_PIVOT_HZ)
    gain = (10 ** (piece.tilt_db_per_octave * octaves / 20)).astype(np.float32)
    out: Float32 = fft.irfft(fft.rfft(cut, size) * gain, size)[: len(cut)].astype(np.float32)
    fade = min(len(out), round(_FADE_S * RATE_HZ))
    out[len(out) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    out *= np.float32(PEAK * 10 ** (piece.level_db / 20) / max(1e-9, float(np.abs(out).max())))
    return out


def fetch_grooves(
    dest: Path,
    pieces: int,
    seed: int = 0,
    *,
    workers: int | None = None,
    tools: Programs | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> GroovesResult:
    """Make pieces 0 to `pieces` - 1 of `seed` in `dest`, with manifest.parquet ('grooves') and pieces.parquet.

    A piece that is there with the same factors is kept, so a run that was ended goes on. `workers`: processes, by
    default one a core; 0 is this one. `tools`: obtained into dest/tools where not given. `progress` is told (done,
    total, failed), `say` the packages as they are fetched.

    Raises CorpusError where the programs cannot be had, for a full or unwritable disk, when another fetch is at
    work in `dest`, and when no piece at all could be made.
    """
    begun = time.monotonic()
    if pieces < 1:
        raise CorpusError("pieces", f"{pieces} asked for", "ask for at least one")
    rows = [draw_piece(seed, n) for n in range(pieces)]
    dest = dest.absolute()
    with disk_errors(dest), sole_use(dest):
        programs: Programs = obtain_tools(dest, say) if tools is None else tools
        wanted = [p for p in rows if not (dest / p.path).exists()]
        failures: dict[str, Failure] = {}
        for done, (piece, failure) in enumerate(_made(dest, wanted, programs, workers), 1):
            if failure is not None:
                failures[piece.id] = failure
            if progress is not None:
                progress(done, len(wanted), len(failures))
        there = [p for p in rows if p.id not in failures]
        if not there:
            first = next(iter(failures.values()))
            raise CorpusError("corpus grooves", f"no piece could be made ({first.cause})", first.remedy)
        write_pieces(there, dest / "pieces.parquet", programs.versions)
        manifest = Manifest("grooves", dest, tuple(track_of(p) for p in there))
        write_manifest(manifest, dest / "manifest.parquet")
    return GroovesResult(
        manifest,
        dest / "manifest.parquet",
        dest / "pieces.parquet",
        tuple(failures.values()),
        len(wanted) - len(failures),
        len(rows) - len(wanted),
        time.monotonic() - begun,
    )


@dataclass(frozen=True)
class _Maker:
    """What a worker does with a piece."""

    dest: Path
    tools: Programs

    def __call__(self, piece: Piece) -> Failure | None:
        try:
            render_piece(piece, self.tools, self.dest / piece.path)
        except NearfieldError as error:
            return Failure(piece.id, f"{error.subject} {error.cause}", error.remedy)
        except (OSError, soundfile.LibsndfileError) as error:
            return Failure(piece.id, f"cannot be written ({error})", "free space and fetch again")
        return None


def _made(
    dest: Path, pieces: list[Piece], tools: Programs, workers: int | None
) -> Iterator[tuple[Piece, Failure | None]]:
    """Pieces as they are done, with what went wrong."""
    count = pool.cores() if workers is None else workers
    with contextlib.closing(pool.run(_Maker(dest, tools), pieces, count, lambda _: 600.0)) as answers:
        for piece, answer in answers:
            if isinstance(answer, pool.Lost):
                answer = Failure(piece.id, answer.cause, "fetch again")
            yield piece, answer
