"""NSynth: 305,979 notes of 4 s from 1,006 instruments (Engel et al., ICML 2017).

Layout: `nsynth-train`, `nsynth-valid` and `nsynth-test` (of the json/wav archives), each with `examples.json` (an object
a note, by name) and `audio/<name>.wav`. One that is not there is left out, and said so.

Labels: `instrument_family`, `instrument_source`, `instrument`, `pitch` (MIDI) and `velocity` in factors, the note's
qualities as tags. Split: the set's own.

Terms: CC BY 4.0. Not sure: nothing that is read here; the numbers that stand beside the texts (`instrument_family`, ...)
are not read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nearfield.data.sets.gather import Gathering, SetResult, below, locate, seek
from nearfield.data.split import HELD_OUT, VALIDATION
from nearfield.data.track import Track
from nearfield.errors import CorpusError, readable

PARTS = ("all",)
LICENCE = "CC BY 4.0"
_SPLITS = {"train": "train", "valid": VALIDATION, "test": HELD_OUT}
_FACTORS = {
    "instrument_family": "instrument_family_str",
    "instrument_source": "instrument_source_str",
    "instrument": "instrument_str",
    "pitch": "pitch",
    "velocity": "velocity",
}


def read(folder: Path, part: str) -> SetResult:
    """The notes of all splits that are there; see the module."""
    gathering = Gathering("nsynth", folder)
    locate(gathering.root, "list of notes", below("nsynth-*/examples.json"))
    for name, split in _SPLITS.items():
        listed = seek(gathering.root, below(f"nsynth-{name}/examples.json"))
        if listed is None:
            gathering.notes.append(f"nsynth-{name} is not there")
            continue
        for note, facts in _examples(listed).items():
            _note(gathering, listed, note, facts, split)
    return gathering.result()


def _examples(path: Path) -> dict[str, Any]:
    try:
        examples = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(readable(path), f"cannot be read as JSON ({error})", "unpack the archive again") from error
    if not isinstance(examples, dict):
        raise CorpusError(readable(path), "is not an object of notes by name", "unpack the archive again")
    return examples


def _note(gathering: Gathering, listed: Path, note: str, facts: Any, split: str) -> None:
    place = f"{listed.parent.name}/{listed.name}: {note}"
    if not isinstance(facts, dict) or (missing := [key for key in _FACTORS.values() if key not in facts]):
        gathering.fail(place, f"has no {missing[0]!r}" if isinstance(facts, dict) else "is not an object")
        return
    qualities = facts.get("qualities_str", [])
    if not isinstance(qualities, list) or not all(isinstance(quality, str) for quality in qualities):
        gathering.fail(place, "its qualities_str are not a list of texts")
        return
    factors = {name: str(facts[key]) for name, key in _FACTORS.items()}
    track = Track(note, "", licence=LICENCE, tags=tuple(qualities), split=split, factors=factors)
    gathering.add(track, listed.parent / "audio" / f"{note}.wav")
