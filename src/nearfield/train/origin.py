"""Where a run comes from, kept beside its weights."""

from __future__ import annotations

import datetime
import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfield import __version__


def provenance(command: Sequence[str]) -> dict[str, Any]:
    """Command, versions, machine, and the commit of the source tree where there is one."""
    return {
        "command": shlex.join(["nearfield", *map(_public, command[1:])]),
        "commit": _commit(),
        "nearfield": __version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _public(word: str) -> str:
    """A path without the folders of this machine (the last two parts stay); any other word as it is."""
    path = Path(word)
    return str(Path(*path.parts[-2:])) if path.is_absolute() else word


def _commit() -> str:
    """The short commit, with a plus for uncommitted changes; empty outside a checkout of this project."""
    root = Path(__file__).parents[3]
    if shutil.which("git") is None or not (root / ".git").exists():
        return ""
    named = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty=+"], capture_output=True, check=False)
    return named.stdout.decode().strip()


def environment(processes: int) -> dict[str, Any]:
    """What a run's figures may depend on beside its settings."""
    return {
        "commit": _commit(),
        "nearfield": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "processes": processes,
    }
