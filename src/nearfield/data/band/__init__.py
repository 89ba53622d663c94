"""A band whose every factor is set by hand: tempo, key, instruments, style and equalisation are exact."""

from nearfield.data.band.compose import Note, Score, compose
from nearfield.data.band.factors import KEYS, PARTS, Factors, Mix, draw_factors
from nearfield.data.band.instruments import INSTRUMENT_SETS
from nearfield.data.band.library import track_of, write_library
from nearfield.data.band.render import render
from nearfield.data.band.styles import STYLES

__all__ = [
    "INSTRUMENT_SETS",
    "KEYS",
    "PARTS",
    "STYLES",
    "Factors",
    "Mix",
    "Note",
    "Score",
    "compose",
    "draw_factors",
    "render",
    "track_of",
    "write_library",
]
