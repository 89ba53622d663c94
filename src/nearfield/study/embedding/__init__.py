"""Any embedding of a catalogue, as vectors of its tracks."""

from nearfield.study.embedding.opening import Embedding, Reading, named, open_embedding
from nearfield.study.embedding.rows import LeftOut

__all__ = ["Embedding", "LeftOut", "Reading", "named", "open_embedding"]
