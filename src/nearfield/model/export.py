"""Checkpoint to ONNX: one file that needs no torch, with the front end's settings inside.

The projector stays behind, weight standardisation is folded into plain kernels, and the graph is checked against torch on
random slices before the file takes its place.
"""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import load_checkpoint, writing
from nearfield.model.embedder import Embedder, EmbedderConfig, evaluating
from nearfield.model.scaled import ScaledConv2d

FORMAT = 1
OPSET = 17
TOLERANCE = 1e-4  # of the output's largest value


@dataclass(frozen=True)
class Exported:
    """`largest_error` is the largest difference from torch, as a share of the largest output."""

    path: Path
    bytes: int
    dimensions: int
    largest_error: float


def export(checkpoint: Path, out: Path, name: str, licence: str = "Apache-2.0", seed: int = 0) -> Exported:
    """Write `out` from a checkpoint; raises ModelError when the graph disagrees with torch."""
    found = load_checkpoint(checkpoint)
    return export_embedder(found.embedder, out, name, licence, found.provenance, seed)


def export_embedder(
    embedder: Embedder, out: Path, name: str, licence: str, provenance: Mapping[str, Any], seed: int = 0
) -> Exported:
    """The same, from a module in memory."""
    graph = _graph(embedder)
    config = embedder.config
    entry = graph.metadata_props.add()
    entry.key, entry.value = "nearfield", json.dumps(_metadata(config, name, licence, provenance))
    data = graph.SerializeToString()
    error = _largest_error(embedder, data, seed)
    if not error <= TOLERANCE:
        raise ModelError(readable(out), f"the graph differs from torch by {error:.2g}", "report this as a defect")
    part = out.with_name(out.name + ".part")
    with writing(out, part):
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, out)
    return Exported(out, len(data), config.encoder.dimensions, error)


def _metadata(config: EmbedderConfig, name: str, licence: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": name,
        "mel": config.mel.as_dict(),
        "slice_frames": config.encoder.slice_frames,
        "dimensions": config.encoder.dimensions,
        "parts": {part.name: part.kept for part in config.encoder.parts},
        "licence": licence,
        "provenance": dict(provenance),
    }


def _graph(embedder: Embedder) -> onnx.ModelProto:
    plain = copy.deepcopy(embedder).eval()
    fold(plain)
    frames = embedder.config.encoder.slice_frames
    example = torch.zeros(2, embedder.config.mel.n_mels, frames)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor at every call
        torch.onnx.export(
            plain,
            (example,),
            buffer,  # type: ignore[arg-type]
            input_names=["log_mel"],
            output_names=["embedding"],
            dynamic_axes={"log_mel": {0: "B"}, "embedding": {0: "B"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def fold(module: nn.Module) -> None:
    """Replace every weight-standardised convolution by one that holds its standardised weights."""
    for child in module.modules():
        if isinstance(child, ScaledConv2d):
            with torch.no_grad():
                weight = child.standardised()
            child.standardised = _constant(weight)  # type: ignore[method-assign]


def _constant(weight: Tensor) -> Any:
    return lambda: weight


def _largest_error(embedder: Embedder, data: bytes, seed: int) -> float:
    rng = np.random.default_rng(seed)
    config = embedder.config
    slices = rng.uniform(0, 6, (8, config.mel.n_mels, config.encoder.slice_frames)).astype(np.float32)
    with torch.no_grad(), evaluating(embedder):
        wanted = embedder(torch.from_numpy(slices)).numpy()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    given = session.run(["embedding"], {"log_mel": slices})[0]
    return float(np.abs(given - wanted).max() / np.abs(wanted).max())
