"""Where a run comes from, kept beside its weights."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nearfield.origin import command_line, commit, today, version


def provenance(command: Sequence[str]) -> dict[str, Any]:
    """Command, versions, machine, and the commit of the source tree where there is one."""
    return {
        "command": command_line(command),
        "commit": commit(),
        "nearfield": version(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "date": today(),
    }


def environment(processes: int) -> dict[str, Any]:
    """What a run's figures may depend on beside its settings."""
    return {
        "commit": commit(),
        "nearfield": version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "processes": processes,
    }
