"""Train, audit and use music-audio embeddings whose neighbourhoods you choose.

The public names; each room is imported when its name is first asked for, so that `import nearfield` costs
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.catalogue.encoder import Encoder as Encoder
    from nearfield.catalogue.encoder import load_model as load_model
    from nearfield.catalogue.space import Space as Space
    from nearfield.catalogue.space import open_space as open_space
    from nearfield.data.track import Track as Track
    from nearfield.search.neighbours import Neighbour as Neighbour
    from nearfield.sound.mel import log_mel as log_mel

__version__ = "0.1.0"

_HOMES = {
    "Encoder": "nearfield.catalogue.encoder",
    "Neighbour": "nearfield.search.neighbours",
    "Space": "nearfield.catalogue.space",
    "Track": "nearfield.data.track",
    "load_model": "nearfield.catalogue.encoder",
    "log_mel": "nearfield.sound.mel",
    "open_space": "nearfield.catalogue.space",
}

__all__ = ["Encoder", "Neighbour", "Space", "Track", "__version__", "load_model", "log_mel", "open_space"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
