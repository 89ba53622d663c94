"""What organises a space: how much of who is near whom each property explains."""

from nearfield.study.organise.gains import Settings
from nearfield.study.organise.ranking import NEIGHBOURS, Organisation, Organiser, organise, organise_vectors

__all__ = ["NEIGHBOURS", "Organisation", "Organiser", "Settings", "organise", "organise_vectors"]
