"""Weights with everything they cannot be used without: safetensors, configuration and provenance in one file.

No pickle anywhere. Loading is strict: a tensor missing, left over or of another shape is an error that names it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nearfield.errors import ModelError, readable
from nearfield.model.embedder import Embedder, EmbedderConfig
from nearfield.records import build

FORMAT = 1
_MODEL = "model."


@dataclass(frozen=True)
class Checkpoint:
    """What a file held. `extra` are further tensors (the optimiser's), `provenance` says where the weights come from."""

    embedder: Embedder
    provenance: Mapping[str, Any]
    extra: Mapping[str, Tensor]


def save_checkpoint(
    path: Path, embedder: Embedder, provenance: Mapping[str, Any], extra: Mapping[str, Tensor] | None = None
) -> None:
    """Write atomically: a kill leaves the file that was there before."""
    tensors = {_MODEL + k: v.detach().contiguous() for k, v in embedder.state_dict().items()} | dict(extra or {})
    header = {"format": FORMAT, "config": asdict(embedder.config), "provenance": dict(provenance)}
    part = path.with_name(path.name + ".part")
    with writing(path, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(tensors, part, {"nearfield": json.dumps(header)})
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)


@contextlib.contextmanager
def writing(subject: Path, *halves: Path) -> Iterator[None]:
    """Errors of the disk as a ModelError; the halves written so far are removed."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        for half in halves:
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        remedy = "free space or check its permissions, then run the same command again"
        raise ModelError(readable(subject), f"cannot be written ({reason})", remedy) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read strictly; raises ModelError naming the file, the cause and the remedy."""
    name = readable(path)
    with _opened(path) as file:
        header = _header(name, file)
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - the handle is no mapping
    embedder = Embedder(build(EmbedderConfig, header["config"], name))
    _fill(name, embedder, {k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)})
    extra = {k: v for k, v in tensors.items() if not k.startswith(_MODEL)}
    return Checkpoint(embedder, header["provenance"], extra)


def load_provenance(path: Path) -> Mapping[str, Any]:
    """Where the weights come from, without reading them; raises ModelError."""
    with _opened(path) as file:
        provenance: Mapping[str, Any] = _header(readable(path), file)["provenance"]
    return provenance


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    name = readable(path)
    if not path.is_file():
        raise ModelError(name, "no such file", "name a checkpoint that 'nearfield train' wrote")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            name, f"not a readable checkpoint ({error})", "take the one before it, or train again"
        ) from error


def _header(name: str, file: Any) -> Mapping[str, Any]:
    header: Mapping[str, Any] | None = json.loads((file.metadata() or {}).get("nearfield", "null"))
    if header is None or header.get("format") != FORMAT:
        found = "none" if header is None else header.get("format")
        raise ModelError(name, f"checkpoint format is {found}, this version reads {FORMAT}", "export it again")
    return header


def _fill(name: str, embedder: Embedder, tensors: Mapping[str, Tensor]) -> None:
    wanted = embedder.state_dict()
    problems = [f"{k} is missing" for k in wanted if k not in tensors]
    problems += [f"{k} is left over" for k in tensors if k not in wanted]
    problems += [
        f"{k} is {tuple(tensors[k].shape)}, must be {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in tensors and tensors[k].shape != v.shape
    ]
    if problems:
        raise ModelError(name, "; ".join(problems[:3]), "use the weights with the configuration they were made with")
    with torch.no_grad():
        embedder.load_state_dict(dict(tensors))
