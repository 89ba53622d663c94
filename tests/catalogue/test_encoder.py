"""Model files, and sound embedded by them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile

import nearfield
from conftest import RATE_HZ, tone_track, write_tiny_model
from nearfield.catalogue.encoder import Encoder, find_model, load_model
from nearfield.errors import AudioError, ModelError
from nearfield.sound import audio
from nearfield.sound.mel import DEFAULT, log_mel


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Encoder:
    return load_model(tiny_model)


def test_what_a_model_says(model: Encoder, tiny_model: Path) -> None:
    assert (model.name, model.slice_frames, model.dimensions) == ("tiny-0", 300, 32)
    assert model.mel == DEFAULT
    assert model.digest == hashlib.sha256(tiny_model.read_bytes()).hexdigest()[:16]
    assert model.metadata["licence"] == "Apache-2.0"
    assert nearfield.load_model is load_model


def test_embeds_slices_as_the_arithmetic_says(model: Encoder) -> None:
    log_mels = np.stack([log_mel(tone_track(s, 3.0))[:, :300] for s in range(3)])
    weights = np.random.default_rng(0).standard_normal((192, 32)).astype(np.float32)
    expected = np.concatenate([log_mels.mean(2) - 2, log_mels.std(2)], axis=1) @ weights
    np.testing.assert_allclose(model.embed_slices(log_mels), expected, atol=1e-3)
    with pytest.raises(ModelError, match=r"\(B, 96, 300\)"):
        model.embed_slices(log_mels[:, :, :299])


def test_a_file_and_its_samples_embed_alike(model: Encoder, tmp_path: Path) -> None:
    samples = tone_track(1, 40.0)
    soundfile.write(tmp_path / "x.wav", samples, RATE_HZ, "FLOAT")
    for slices, n in ((8, 8), ("all", 20), (3, 3)):
        by_file = model.embed_file(tmp_path / "x.wav", slices)
        assert (by_file.n_slices, by_file.duration_s) == (n, 40.0)
        np.testing.assert_allclose(by_file.vector, model.embed(samples, RATE_HZ, slices), atol=1e-6)
        assert np.linalg.norm(by_file.vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (44_100, 2), (48_000, 8), (192_000, 1)])
def test_rates_and_channels(model: Encoder, rate_hz: int, channels: int) -> None:
    mono = tone_track(2, 6.0, rate_hz)
    vector = model.embed(np.stack([mono] * channels, axis=1), rate_hz)
    at_16k = model.embed(audio.resample(mono, rate_hz), RATE_HZ)
    assert float(vector @ at_16k) > 0.9999


@pytest.mark.parametrize(
    ("samples", "rate_hz", "cause"),
    [
        (np.zeros(0), 16_000, "too short"),
        (np.ones(1), 16_000, "too short"),
        (np.zeros(48_000), 16_000, "silent"),
        (np.full(48_000, 0.3), 16_000, "silent"),
        (np.full(48_000, np.nan), 16_000, "48000 of them are NaN"),
        (np.array([0.1, np.inf] * 24_000), 16_000, "24000 of them are NaN or infinite"),
        (np.zeros((2, 48_000)), 16_000, "neither"),
        (np.zeros((2, 3, 4)), 16_000, "neither"),
        (np.zeros(48_000), 0, "rate of 0 Hz"),
        (np.zeros(48_000), float("nan"), "rate of nan Hz"),
    ],
)
def test_unusable_samples(model: Encoder, samples: Any, rate_hz: float, cause: str) -> None:
    with pytest.raises(AudioError, match=cause):
        model.embed(samples, rate_hz)


def test_silent_slices_are_left_out(model: Encoder, tmp_path: Path) -> None:
    music = tone_track(7, 12.0)
    soundfile.write(tmp_path / "x.wav", np.concatenate([music, np.full(music.size, 0.2)]), RATE_HZ, "FLOAT")
    found = model.embed_file(tmp_path / "x.wav")
    assert found.n_slices == 4
    np.testing.assert_allclose(found.vector, model.embed(music, RATE_HZ, 4), atol=1e-3)


def test_a_header_that_announces_too_much_is_counted_out(
    model: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = tone_track(8, 12.0)
    soundfile.write(tmp_path / "x.wav", samples, RATE_HZ, "FLOAT")
    monkeypatch.setattr(audio, "probe", lambda path: audio.AudioInfo(60.0, RATE_HZ, 1, "WAV/FLOAT"))
    found = model.embed_file(tmp_path / "x.wav")
    assert found.duration_s == 12.0
    np.testing.assert_allclose(found.vector, model.embed(samples, RATE_HZ), atol=1e-6)


def test_missing_and_unusable_model_files(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    bare = onnx.load(write_tiny_model(tmp_path / "bare.onnx"))
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(write_tiny_model(tmp_path / "whole.onnx").read_bytes()[:3000])
    for name, cause in (
        ("none.onnx", "No such file"),
        ("text.onnx", "not an ONNX model"),
        ("cut.onnx", "not an ONNX model"),
        ("bare.onnx", "without nearfield's metadata"),
        ("", "directory"),
    ):
        with pytest.raises(ModelError, match=cause):
            load_model(tmp_path / name)
    with pytest.raises(ModelError, match="no-such-name"):
        load_model("no-such-name")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ({"format": 2}, "model format is 2, this version reads 1"),
        ({"mel": DEFAULT.as_dict() | {"octaves": 3}}, "octaves"),
        ({"mel": DEFAULT.as_dict() | {"n_mels": 64}}, "log-mels"),
        ({"slice_frames": 200}, "log-mels"),
        ({"dimensions": 33}, r"announced are \(2, 33\)"),
    ],
)
def test_metadata_that_does_not_fit(said: dict[str, Any], cause: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=cause):
        load_model(write_tiny_model(tmp_path / "x.onnx", metadata=said))


def test_a_model_is_found_by_its_digest(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "x.onnx")
    digest = load_model(path).digest
    assert find_model(digest, str(path)).digest == digest
    write_tiny_model(path, seed=1)
    with pytest.raises(ModelError, match=f"{digest} is not there any more; name it with --model"):
        find_model(digest, str(path))


def test_integer_samples_are_scaled_by_their_range(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    sound = tone_track(3, 6.0)
    wanted = model.embed(sound, 16_000)
    as_ints = np.round(sound.clip(-1, 1) * 32767).astype(np.int16)
    assert float(model.embed(as_ints, 16_000) @ wanted) > 0.9999
