"""What a run leaves in its folder: checkpoints, metrics, and what it was run with. Fields: docs/formats.md."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import Checkpoint, load_checkpoint, load_provenance, save_checkpoint, writing
from nearfield.model.embedder import Embedder
from nearfield.train.claim import Claim


class RunFolder:
    """Writes are atomic: a kill at any moment leaves a folder that the run goes on from."""

    def __init__(self, path: Path, keep_checkpoints: int = 1) -> None:
        self.path, self.last, self.best = path, path / "last.safetensors", path / "best.safetensors"
        self._keep = keep_checkpoints

    def resumed(self, origin: Mapping[str, Any]) -> Checkpoint | None:
        """The last checkpoint, None in a new folder; ModelError when it is of a run with another `origin`."""
        return None if self.progress(origin) is None else load_checkpoint(self.last)

    def progress(self, origin: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The provenance of `resumed`, without its weights; raises the same."""
        if not self.last.exists():
            return None
        found = load_provenance(self.last)
        changed = _changed(found, json.loads(json.dumps(origin)))  # as JSON gives it back: tuples are lists there
        if changed:
            raise ModelError(
                readable(self.last),
                f"was trained with another {' and '.join(changed)}",
                "choose a new output folder, or the same settings",
            )
        return found

    def claim(self) -> Claim:
        """To be held while training: nobody else may write here."""
        return Claim(self.path / "lock")

    def describe(self, run: Mapping[str, Any]) -> None:
        """Write `run.json`, of the present session."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            replace_text(self.path / "run.json", json.dumps(run, indent=1) + "\n")

    def metrics(self, first_step: int) -> IO[str]:
        """`metrics.jsonl`, opened to go on at `first_step`: lines from there on, and one cut short, are removed."""
        path = self.path / "metrics.jsonl"
        with writing(path):
            if path.exists():
                lines = path.read_text("utf-8").splitlines(keepends=True)
                replace_text(path, "".join(line for line in lines if _precedes(line, first_step)))
            return path.open("a", encoding="utf-8")

    def save(self, embedder: Embedder, progress: Mapping[str, Any], extra: Mapping[str, Tensor]) -> None:
        """Replace `last`; where more are to be kept, the newest of them also have names of their own."""
        save_checkpoint(self.last, embedder, progress, extra)
        if self._keep > 1:
            with writing(self.path):
                _link(self.last, self.path / f"step-{progress['step']:06d}.safetensors")
                steps = sorted(self.path.glob("step-*.safetensors"), key=lambda p: int(p.stem.removeprefix("step-")))
                for old in steps[: -self._keep]:
                    old.unlink()

    def best_recall(self) -> float:
        """Of the best checkpoint of a run that goes on; below 0 when there is none."""
        if not (self.last.exists() and self.best.exists()):
            return -1.0
        return float(load_checkpoint(self.best).provenance["recall_at_1"])


def _changed(then: Any, now: Mapping[str, Any], where: str = "") -> list[str]:
    """The keys (with dots) of `now` that were not so `then`, with both values."""
    found = []
    for key, value in now.items():
        before = then.get(key) if isinstance(then, Mapping) else None
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            found += _changed(before, value, f"{where}{key}.")
        elif before != value:
            found.append(f"{where}{key} ({json.dumps(before)}, not {json.dumps(value)})")
    return found


def _precedes(line: str, step: int) -> bool:
    with contextlib.suppress(ValueError):
        return line.endswith("\n") and int(json.loads(line)["step"]) < step
    return False


def replace_text(path: Path, text: str) -> None:
    """Atomically: a kill leaves what was there before. Raises OSError."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _link(source: Path, target: Path) -> None:
    """One file with two names; a copy where the file system has no links."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    os.replace(part, target)
