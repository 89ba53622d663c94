"""The grooves corpus fetched from an empty folder, with the real programs: `NEARFIELD_NETWORK=1 pytest` runs it.

It downloads some 560 MB of Debian packages, nothing is installed, and it takes minutes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from nearfield.data import grooves_tools
from nearfield.data.apt import TOOLS
from nearfield.data.grooves import fetch_grooves, read_pieces, render_piece, with_factor
from nearfield.data.grooves_factors import draw_piece
from nearfield.data.grooves_tools import RATE_HZ, Tools, obtain_tools
from nearfield.data.manifest import read_manifest
from nearfield.errors import CorpusError

SEED, PIECES = 11, 6

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("NEARFIELD_NETWORK") != "1", reason="NEARFIELD_NETWORK=1 allows a download of 560 MB"
    ),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS), reason="the packages come by apt-get and dpkg-deb"
    ),
]


@dataclass(frozen=True)
class BreaksOne:
    """The real programs, but for one piece, known by its performance, MMA is given what it cannot read."""

    real: Tools
    performance_seed: int

    @property
    def versions(self) -> Mapping[str, str]:
        return self.real.versions

    def arrange(self, text: str) -> bytes:
        return self.real.arrange("Groove NoSuchGroove\n" if f"RndSeed {self.performance_seed}\n" in text else text)

    def play(self, midi: bytes, soundfont: str, reverb: float) -> npt.NDArray[np.float32]:
        return self.real.play(midi, soundfont, reverb)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Path -> inode and time of every file: what was not written again has both as they were."""
    found = ((f, f.stat()) for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return {str(f.relative_to(folder)): (s.st_ino, s.st_mtime_ns) for f, s in found}


def _fetching(dest: Path, pieces: int) -> subprocess.Popen[bytes]:
    """The command, as a person starts it, at the head of a process group of its own."""
    words = ["corpus", "fetch", "grooves", str(dest), "--pieces", str(pieces), "--seed", str(SEED), "--workers", "2"]
    return subprocess.Popen([sys.executable, "-m", "nearfield.cli", *words], start_new_session=True)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus fetched from nothing, the command killed as soon as two pieces were there, and started again."""
    dest = tmp_path_factory.mktemp("grooves")
    first = _fetching(dest, PIECES)
    while first.poll() is None and len(list(dest.glob("audio/*/*.flac"))) < 2:
        time.sleep(0.02)
    if first.poll() is None:
        os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert first.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert not (dest / "manifest.parquet").exists()
    before = _state(dest / "audio")
    assert _fetching(dest, PIECES).wait() == 0
    complete = {path: state for path, state in before.items() if path.endswith(".flac")}
    assert 2 <= len(complete) < PIECES
    assert complete.items() <= _state(dest / "audio").items()
    return dest


def test_a_fetch_that_was_killed_ends_with_every_piece_and_its_labels(fetched: Path) -> None:
    manifest = read_manifest(fetched / "manifest.parquet")
    rows = read_pieces(fetched / "pieces.parquet")
    assert rows == tuple(draw_piece(SEED, n) for n in range(PIECES))
    assert len(manifest) == PIECES
    assert not [problem for track in manifest for problem in track.problems()]
    for piece, track in zip(rows, manifest, strict=True):
        assert (track.id, track.tempo_bpm, track.key) == (piece.id, piece.tempo_bpm, piece.key)
        assert track.factors["style"] == piece.style
        sound, rate_hz = soundfile.read(manifest.locate(track), dtype="float32")
        assert (rate_hz, sound.ndim, sound.size) == (RATE_HZ, 1, round(piece.duration_s * RATE_HZ))
        peak_db = 20 * np.log10(np.abs(sound).max() / 0.98)
        assert peak_db == pytest.approx(piece.level_db, abs=0.01)
        seconds = sound.reshape(26, RATE_HZ)
        assert np.mean(np.sqrt((seconds**2).mean(axis=1)) > 1e-3) > 0.9  # it plays on to the end


def test_a_second_fetch_downloads_and_renders_nothing(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("apt-get was run again")

    monkeypatch.setattr(grooves_tools, "Apt", never)
    before = _state(fetched / "tools"), _state(fetched / "audio")
    again = fetch_grooves(fetched, PIECES, SEED, workers=0)
    assert (again.rendered, again.already_there, again.failures) == (0, PIECES, ())
    assert (_state(fetched / "tools"), _state(fetched / "audio")) == before


def test_a_piece_made_alone_from_its_row_is_the_same_and_another_factor_is_heard(fetched: Path, tmp_path: Path) -> None:
    piece = read_pieces(fetched / "pieces.parquet")[0]
    tools = obtain_tools(fetched)
    render_piece(piece, tools, tmp_path / "same.flac")
    assert (tmp_path / "same.flac").read_bytes() == (fetched / piece.path).read_bytes()
    louder = with_factor(piece, level_db=piece.level_db / 2 - 1)
    render_piece(louder, tools, tmp_path / "other.flac")
    ours, theirs = (soundfile.read(f)[0] for f in (tmp_path / "other.flac", tmp_path / "same.flac"))
    assert ours == pytest.approx(theirs * 10 ** ((louder.level_db - piece.level_db) / 20), abs=2 / 2**15)


def test_one_broken_piece_is_listed_and_the_others_are_made(fetched: Path, tmp_path: Path) -> None:
    broken = draw_piece(SEED, 1)
    result = fetch_grooves(
        tmp_path, 3, SEED, workers=2, tools=BreaksOne(obtain_tools(fetched), broken.performance_seed)
    )
    assert [f.path for f in result.failures] == [broken.id]
    assert "MMA" in result.failures[0].cause
    assert [t.id for t in result.manifest] == [draw_piece(SEED, n).id for n in (0, 2)]


def test_what_the_programs_cannot_do_is_an_error(fetched: Path, tmp_path: Path) -> None:
    tools = obtain_tools(fetched)
    with pytest.raises(CorpusError, match="MMA"):
        tools.arrange("Groove NoSuchGroove\n")
    with pytest.raises(CorpusError, match="fluidsynth"):
        tools.play(b"no MIDI file", "timgm6mb-soundfont", 0.5)
