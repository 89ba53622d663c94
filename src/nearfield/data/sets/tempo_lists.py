"""ACM Mirum and Hainsworth, by the lists of tempi of Percival and Tzanetakis (IEEE/ACM TASLP 2014).

Layout: `acm_mirum_tempos.mf` or `hains_tempos.mf` (a line a file: its path on somebody's machine, a tab, the tempo), and
the audio in any folder beside: only the file's name without extension counts, so that mp3 and wav both fit
(`10118334.clip.wav`).

ACM Mirum: 1,410 previews (Peeters and Flocon-Cholet, ACM MIRUM 2012). Hainsworth: 222 excerpts of about a minute
(Hainsworth and Macleod, EURASIP JASP 2004). No split, no genre: Hainsworth's own table and the revised beats (Böck and
Schedl, DAFx 2010) are not read, since copies of them are laid out differently.

Terms: none are known. Not sure: the folders in which the lists and the audio are handed on, which is why they are sought.
"""

from __future__ import annotations

import re
from pathlib import Path

from nearfield.data.scan import parse_tempo
from nearfield.data.sets.gather import Gathering, SetResult, audio_by_stem, below, locate
from nearfield.data.track import Track
from nearfield.errors import CorpusError, readable

PARTS = ("all",)


def read_acm_mirum(folder: Path, part: str) -> SetResult:
    """The previews with their tempi; see the module."""
    return _read("acm-mirum", folder, "acm_mirum_tempos.mf")


def read_hainsworth(folder: Path, part: str) -> SetResult:
    """The excerpts with their tempi; see the module."""
    return _read("hainsworth", folder, "hains_tempos.mf")


def _read(name: str, folder: Path, listed: str) -> SetResult:
    gathering = Gathering(name, folder)
    path = locate(gathering.root, "list of tempi", below(listed))
    files = audio_by_stem(gathering, gathering.root)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise CorpusError(readable(path), f"cannot be read ({error.strerror})", "check its permissions") from error
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        place, _, tempo = text.strip().rpartition("\t")
        file_name = re.split(r"[/\\]", place)[-1]
        stem, tempo_bpm = Path(file_name).stem, parse_tempo(tempo)
        if not stem or tempo_bpm is None:
            gathering.fail(f"{path.name}:{line}", f"is {text.strip()!r}, where a path, a tab and a tempo are due")
        else:
            gathering.add(Track(stem, "", tempo_bpm=tempo_bpm), files.get(stem, path.parent / file_name))
    return gathering.result()
