"""What is asked of which catalogue: the rules of any, and of those that are known by name, as data.

Emotify's emotions count where at least 0.3 of the listeners felt them. Aljanaki, Wiering and Veltkamp (Information Processing
& Management 2016) publish shares only; the threshold is said to be that of arXiv 1905.12629, which was not at hand to check.

The games corpus has no trustworthy genres (its files' own tags), so artists and albums stand for what belongs together. Package
and artist are nearly one there, and a package has its codec and its mastering: artists are asked for inside those packages that
hold several. Grooves: pieces of one groove share the patterns of the accompaniment, while no two share a tune, so groove is
what intervals draw. Large published sets are searched in their held-out part, since all pairs of the rest would take hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nearfield.data.sets.emotify import EMOTIONS
from nearfield.data.split import HELD_OUT
from nearfield.study.benchmark.labels import Label
from nearfield.study.tasks.splits import FOLDS

CONSENSUS = 0.3  # of the listeners; see above
_HEARD = "a model trained on this corpus has heard all but the held-out tracks"


@dataclass(frozen=True)
class RetrievalRule:
    """`name`: the last part of the task's. `apart`: tracks that share one of these are not each other's candidates.

    `splits`: only tracks of these sides ask and answer; none: all. `within`: candidates are of the same value of this field;
    `pools`: only tracks of these values take part; none: all.
    """

    name: str
    label: Label
    apart: tuple[str, ...] = ("artist",)
    splits: tuple[str, ...] = ()
    within: str = ""
    pools: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabellingRule:
    """`groups`: the first of these that is known of a track is not on both sides. Without `by_split` always by folds.

    `splits`: only tracks of these sides teach and are asked; none: all. Labels of fewer than `fewest` groups are not asked
    for where there are folds.
    """

    name: str
    label: Label
    groups: tuple[str, ...] = ("artist",)
    by_split: bool = True
    splits: tuple[str, ...] = ()
    fewest: int = FOLDS
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Teaching:
    """Tempo and key are learned from these pieces that are not held out, and asked of those that are.

    `groups`: whole ones choose a probe's settings. `sound`: what a piece is played with, left out in turn where key is asked,
    and with it all of the `style` of those asked.
    """

    groups: tuple[str, ...]
    sound: str
    style: str = "genre"


@dataclass(frozen=True)
class Rules:
    """`clusters`: the first of these that is known of a track says what it is drawn together with in intervals."""

    retrieval: tuple[RetrievalRule, ...] = ()
    labelling: tuple[LabellingRule, ...] = ()
    clusters: tuple[str, ...] = ("artist",)
    teaching: Teaching | None = None


_GENRE, _TAGS = Label("classes", ("genre",)), Label("tags")
_ARTIST, _ALBUM = Label("classes", ("artist",)), Label("classes", ("album",))
_EMOTION = Label("shares", EMOTIONS, CONSENSUS)
_MULTI_ARTIST = (
    "ufoai-music",
    "naev-data",
    "wesnoth-1.16-music",
    "supertux-data",
    "hedgewars-data",
    "widelands-data",
)
_SAME_PACKAGE = "tracks of one album are mostly of one package, so its codec and mastering help to find them"

ANY = Rules(
    (RetrievalRule("genre", _GENRE), RetrievalRule("tags", _TAGS)),
    (LabellingRule("genre", _GENRE), LabellingRule("tags", _TAGS)),
)
_LARGE = Rules(tuple(RetrievalRule(r.name, r.label, r.apart, (HELD_OUT,)) for r in ANY.retrieval), ANY.labelling)

_GAMES = Rules(
    (
        RetrievalRule("artist", _ARTIST, (), (HELD_OUT,), "package", _MULTI_ARTIST),
        RetrievalRule("artist-all", _ARTIST, (), (), "package", _MULTI_ARTIST, (_HEARD,)),
        RetrievalRule("album", _ALBUM, (), (HELD_OUT,), notes=(_SAME_PACKAGE,)),
        RetrievalRule("album-all", _ALBUM, (), notes=(_SAME_PACKAGE, _HEARD)),
    ),
    clusters=("artist", "album"),
)
_GROOVES = Rules(
    (
        RetrievalRule("style", _GENRE, (), (HELD_OUT,)),
        RetrievalRule("style-other-soundfont", _GENRE, ("package",), (HELD_OUT,)),
    ),
    (
        LabellingRule(
            "style",
            _GENRE,
            ("tune_seed",),
            by_split=False,
            splits=(HELD_OUT,),
            notes=(
                "pieces of one tune are on one side; those of one groove may be on both, as many styles have but one",
            ),
        ),
    ),
    clusters=("groove",),
    teaching=Teaching(("genre",), "package"),
)
_BAND = Rules(
    (RetrievalRule("style", _GENRE),),
    (LabellingRule("style", _GENRE, by_split=False),),
    teaching=Teaching(("artist",), "instruments"),
)
_EMOTIFY = Rules(
    (RetrievalRule("genre", _GENRE), RetrievalRule("emotion", _EMOTION)),
    (
        LabellingRule("genre", _GENRE),
        LabellingRule("emotion", _EMOTION),
        LabellingRule("emotion-shares", Label("numbers", EMOTIONS)),
    ),
)
_EMOMUSIC = Rules(
    ANY.retrieval[:1],
    (LabellingRule("genre", _GENRE), LabellingRule("mood", Label("numbers", ("arousal", "valence")))),
)
_FAMILY, _PITCH = Label("classes", ("instrument_family",)), Label("classes", ("pitch",))
_NSYNTH = Rules(
    (
        RetrievalRule("instrument-family", _FAMILY, ("instrument",), (HELD_OUT,)),
        RetrievalRule("pitch", _PITCH, ("instrument",), (HELD_OUT,)),
        RetrievalRule("qualities", _TAGS, ("instrument",), (HELD_OUT,)),
    ),
    (
        LabellingRule("instrument-family", _FAMILY, ("instrument",)),
        LabellingRule("pitch", _PITCH, ("instrument",)),
        LabellingRule("qualities", _TAGS, ("instrument",)),
    ),
    clusters=("instrument",),
)

KNOWN: Mapping[str, Rules] = MappingProxyType(
    {
        "games": _GAMES,
        "grooves": _GROOVES,
        "band": _BAND,
        "emotify": _EMOTIFY,
        "emomusic": _EMOMUSIC,
        "nsynth": _NSYNTH,
        "magnatagatune": _LARGE,
        "mtg-jamendo": _LARGE,
        "fma": _LARGE,
    }
)


def rules_of(catalogue: str) -> Rules:
    """The rules of a catalogue's name; those of any where it is not known."""
    return KNOWN.get(catalogue, ANY)
