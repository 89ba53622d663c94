"""The shipped model's architecture with random weights, for the commands that ask for `untrained`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from nearfield.errors import ModelError


def write_untrained(out: Path, seed: int) -> None:
    """Write a model file `out`: all as in the shipped model but what training sets. ModelError without torch and onnx."""
    missing = [name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        cause = f"its weights are made with {' and '.join(missing)}, not installed here"
        raise ModelError("untrained", cause, "pip install 'nearfield[train]', or give an exported .onnx in its place")
    from nearfield.catalogue.encoder import load_model
    from nearfield.model.untrained import export_untrained

    export_untrained(out, load_model().metadata["provenance"]["train"]["model"], seed)
