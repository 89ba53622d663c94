"""Checkpoints and exports: exact, strict, and without pickle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch

from nearfield.errors import ModelError
from nearfield.model.checkpoint import load_checkpoint, save_checkpoint
from nearfield.model.compact import CompactConfig
from nearfield.model.embedder import Embedder, EmbedderConfig, ProjectorConfig
from nearfield.model.export import export, export_embedder

SMALL = EmbedderConfig(
    encoder=CompactConfig(
        channels=(16, 32), blocks=(1, 1), slow_dimensions=24, fast_bands=4, fast_dimensions=8, texture_dimensions=6
    ),
    projector=ProjectorConfig((32,), 16),
)


def small(seed: int = 0) -> Embedder:
    torch.manual_seed(seed)
    embedder = Embedder(SMALL)
    for name, parameter in embedder.named_parameters():
        if name.endswith("skip_gain"):
            torch.nn.init.constant_(parameter, 0.5)  # so that every branch counts
    return embedder


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    embedder = small()
    extra = {"optimiser.x": torch.arange(5)}
    save_checkpoint(tmp_path / "c.safetensors", embedder, {"seed": 3, "command": "x"}, extra)
    found = load_checkpoint(tmp_path / "c.safetensors")
    assert found.embedder.config == SMALL
    assert found.provenance == {"seed": 3, "command": "x"}
    assert torch.equal(found.extra["optimiser.x"], torch.arange(5))
    for name, tensor in embedder.state_dict().items():
        assert torch.equal(found.embedder.state_dict()[name], tensor)
    assert list(tmp_path.glob("*.part")) == []


def test_a_checkpoint_from_before_there_were_kinds_still_loads(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", small(), {})
    found = load_checkpoint(rewritten(tmp_path / "c.safetensors", "before kinds"))
    assert found.embedder.config == SMALL


def rewritten(path: Path, change: str) -> Path:
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["nearfield"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    key = "model.encoder.slow.out.weight"
    if change == "missing":
        del tensors[key]
    elif change == "left over":
        tensors["model.spare"] = torch.zeros(1)
    elif change == "must be (24":
        tensors[key] = torch.zeros(3, 3)
    elif change == "format is 99":
        header["format"] = 99
    elif change == "before kinds":
        del header["config"]["encoder"]["kind"], header["config"]["mapped"]
    elif change == "unknown key encoder.colour":
        header["config"]["encoder"]["colour"] = 1
    out = path.with_name("changed.safetensors")
    safetensors.torch.save_file(tensors, out, {"nearfield": json.dumps(header)})
    return out


@pytest.mark.parametrize(
    "change", ["missing", "left over", "must be \\(24", "format is 99", "unknown key encoder.colour"]
)
def test_loading_is_strict_and_names_what_is_wrong(tmp_path: Path, change: str) -> None:
    save_checkpoint(tmp_path / "c.safetensors", small(), {})
    with pytest.raises(Exception, match=change) as caught:
        load_checkpoint(rewritten(tmp_path / "c.safetensors", change.replace("\\", "")))
    assert "changed.safetensors" in str(caught.value)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", small(), {})
    data = (tmp_path / "c.safetensors").read_bytes()
    for size in (0, 5, 100, len(data) - 1):
        (tmp_path / "cut.safetensors").write_bytes(data[:size])
        with pytest.raises(ModelError, match="not a readable checkpoint"):
            load_checkpoint(tmp_path / "cut.safetensors")
    with pytest.raises(ModelError, match="no such file"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_the_export_says_what_torch_says_and_carries_the_front_end(tmp_path: Path) -> None:
    embedder = small()
    save_checkpoint(tmp_path / "c.safetensors", embedder, {"seed": 3})
    result = export(tmp_path / "c.safetensors", tmp_path / "m.onnx", "small")
    assert result.largest_error < 1e-5
    assert (result.dimensions, result.bytes) == (38, (tmp_path / "m.onnx").stat().st_size)
    model = onnx.load(tmp_path / "m.onnx")
    said = json.loads(next(p.value for p in model.metadata_props if p.key == "nearfield"))
    assert said["mel"] == SMALL.mel.as_dict()
    assert (said["slice_frames"], said["dimensions"], said["provenance"]["seed"]) == (300, 38, 3)
    assert said["parts"] == {"slow": 24, "fast": 8, "texture": 6}
    assert not any("projector" in i.name for i in model.graph.initializer)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        slices = np.random.default_rng(batch).uniform(0, 6, (batch, 96, 300)).astype(np.float32)
        with torch.no_grad():
            wanted = embedder(torch.from_numpy(slices)).numpy()
        assert np.abs(session.run(None, {"log_mel": slices})[0] - wanted).max() < 1e-4


def test_an_export_that_disagrees_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfield.model.export.TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differs from torch"):
        export_embedder(small(), tmp_path / "m.onnx", "small", "Apache-2.0", {})
    assert not (tmp_path / "m.onnx").exists()
