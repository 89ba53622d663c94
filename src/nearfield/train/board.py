"""The figures of a run for TensorBoard, beside its JSON Lines: needs the [tensorboard] extra."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearfield.errors import ModelError


class Board:
    """Writes events below `folder`; what an interrupted session wrote from `first_step` on is marked as gone."""

    def __init__(self, folder: Path, first_step: int) -> None:
        if importlib.util.find_spec("tensorboardX") is None:
            remedy = "install it with: pip install 'nearfield[tensorboard]', or leave tensorboard = true out"
            raise ModelError("tensorboard", "tensorboardX is not installed", remedy)
        from tensorboardX import SummaryWriter

        # files are named by the second: two sessions within one would share a name, and the later one win
        self._writer = SummaryWriter(str(folder), purge_step=first_step, filename_suffix=f".{first_step}")

    def write(self, line: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl: its numbers by name, those of a corpus as watched/CORPUS/NAME."""
        for name, value in _flat(line):
            if name != "step" and math.isfinite(value):
                self._writer.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """Nothing is left in memory."""
        self._writer.close()


def _flat(line: Mapping[str, Any], before: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in line.items():
        found += _flat(value, f"{before}{key}/") if isinstance(value, Mapping) else [(before + key, float(value))]
    return found
