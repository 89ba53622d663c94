"""Any embedding of a catalogue, as vectors of its tracks."""

from nearfield.study.embedding.opening import Embedding, Reading, open_embedding
from nearfield.study.embedding.rows import LeftOut

__all__ = ["Embedding", "LeftOut", "Reading", "open_embedding"]
