"""Arguments that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from tyro.conf import arg


def default_space() -> Path:
    """The environment's NEARFIELD_SPACE, else nearfield.space in the working directory."""
    return Path(os.environ.get("NEARFIELD_SPACE") or "nearfield.space")


SpaceFolder = Annotated[
    Path,
    arg(
        help="Folder of the space. By default the environment's NEARFIELD_SPACE, else nearfield.space here.",
        metavar="FOLDER",
        help_behavior_hint="",
    ),
]
ModelName = Annotated[
    str | None,
    arg(
        help="A model file, or the name of a shipped one.",
        metavar="FILE",
        help_behavior_hint="(default: shipped)",
    ),
]
SpaceModel = Annotated[
    str | None,
    arg(help="The model that made the space, for files outside it.", metavar="FILE", help_behavior_hint=""),
]
AsJson = Annotated[bool, arg(help="Print one JSON document.", help_behavior_hint="")]
