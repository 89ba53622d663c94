"""Fixtures for all rooms: synthetic sound, a tiny model, a small library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from nearfield.sound.mel import DEFAULT

RATE_HZ = 16_000
TINY_DIMENSIONS = 32


def tone_track(seed: int, seconds: float = 12.0, rate_hz: int = RATE_HZ) -> npt.NDArray[np.float32]:
    """(n,) a few drifting partials with noise: different for each seed, the same for the same one."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    sound = 0.02 * generator.standard_normal(time.size)
    for _ in range(4):
        hz, depth, speed = generator.uniform(80, 3000), generator.uniform(0, 20), generator.uniform(0.5, 8)
        beat = 0.5 + 0.5 * np.sin(2 * np.pi * speed * time)
        sound += 0.15 * beat * np.sin(2 * np.pi * hz * time + depth * np.sin(time))
    return sound.astype(np.float32)


def write_tiny_model(
    path: Path, seed: int = 0, dimensions: int = TINY_DIMENSIONS, metadata: dict[str, object] | None = None
) -> Path:
    """A model file in nearfield's form: mean and deviation over frames, projected at random to (B, D)."""
    bands, frames = DEFAULT.n_mels, 300
    weights = np.random.default_rng(seed).standard_normal((2 * bands, dimensions)).astype(np.float32)
    nodes = [
        helper.make_node("Sub", ["log_mel", "typical"], ["x"]),
        helper.make_node("ReduceMean", ["x", "last"], ["mean"], keepdims=0),
        helper.make_node("ReduceMean", ["x", "last"], ["kept"], keepdims=1),
        helper.make_node("Sub", ["x", "kept"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "last"], ["variance"], keepdims=0),
        helper.make_node("Sqrt", ["variance"], ["deviation"]),
        helper.make_node("Concat", ["mean", "deviation"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "weights"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["B", bands, frames])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", dimensions])],
        [
            numpy_helper.from_array(np.array(2.0, np.float32), "typical"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    said: dict[str, object] = {
        "format": 1,
        "name": f"tiny-{seed}",
        "mel": DEFAULT.as_dict(),
        "slice_frames": frames,
        "dimensions": dimensions,
        "licence": "Apache-2.0",
        "provenance": {},
    }
    helper.set_model_props(model, {"nearfield": json.dumps(said | (metadata or {}))})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a tiny ONNX model of 32 dimensions."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder of six tracks of 12 s in three formats, one in a subfolder."""
    folder = tmp_path / "music"
    (folder / "more").mkdir(parents=True)
    names = ("a.wav", "b.flac", "c.ogg", "d.wav", "e.flac", "more/f.ogg")
    for seed, name in enumerate(names):
        soundfile.write(folder / name, tone_track(seed), RATE_HZ)
    return folder
