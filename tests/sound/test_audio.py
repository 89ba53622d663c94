"""Decoding: whole, streamed and by seeking must be the same sound, and bad files must say what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from nearfield.errors import AudioError
from nearfield.sound import audio

FORMATS = {
    "a.wav": {},
    "a.flac": {},
    "a.ogg": {},
    "a.mp3": {},
    "a.opus": {"format": "OGG", "subtype": "OPUS"},
    "a.aiff": {},
}


def chirp(seconds: float, rate_hz: int) -> npt.NDArray[np.float32]:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * (200 + 40 * time) * time)).astype(np.float32)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_decodes_and_seeks(tmp_path: Path, name: str) -> None:
    rate_hz = 48_000 if name.endswith("opus") else 44_100
    left = chirp(9, rate_hz)
    soundfile.write(tmp_path / name, np.stack([left, left], axis=1), rate_hz, **FORMATS[name])
    whole = audio.load(tmp_path / name)
    assert whole.dtype == np.float32
    assert whole.size == pytest.approx(9 * 16_000, abs=16)
    excerpt = audio.load(tmp_path / name, start_s=4.3, duration_s=3.0)
    assert excerpt.size == 48_000
    begin = round(4.3 * 16_000)
    assert np.abs(excerpt - whole[begin : begin + 48_000]).max() < 2e-6
    info = audio.probe(tmp_path / name)
    assert (info.rate_hz, info.channels) == (rate_hz, 2)
    assert info.duration_s == pytest.approx(9, abs=0.001)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 44_100, 96_000, 192_000])
def test_any_rate_becomes_16_khz_with_the_pitch_kept(tmp_path: Path, name: str, rate_hz: int) -> None:
    time = np.arange(2 * rate_hz) / rate_hz
    soundfile.write(tmp_path / name, 0.5 * np.sin(2 * np.pi * 1000 * time), rate_hz, subtype="PCM_24")
    samples = audio.load(tmp_path / name)
    assert abs(samples.size - 32_000) <= 1
    spectrum = np.abs(np.fft.rfft(samples[:32_000] * np.hanning(len(samples[:32_000]))))
    assert np.argmax(spectrum) / 2 == pytest.approx(1000, abs=0.5)
    assert np.sqrt(np.mean(samples[2000:-2000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    sound = np.random.default_rng(channels).uniform(-0.5, 0.5, (16_000, channels)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", sound, 16_000, subtype="FLOAT")
    assert np.abs(audio.load(tmp_path / "x.wav") - sound.mean(axis=1)).max() < 1e-6


def test_several_excerpts_from_one_opening_and_past_the_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", chirp(5, 16_000), 16_000, subtype="FLOAT")
    whole = audio.load(tmp_path / "x.wav")
    spans: list[tuple[float, float | None]] = [(0.0, 1.0), (3.5, 1.0), (4.5, 3.0), (2.0, None), (9.0, 1.0)]
    parts = audio.load_excerpts(tmp_path / "x.wav", spans)
    assert [p.size for p in parts] == [16_000, 16_000, 8000, 48_000, 0]
    assert np.array_equal(parts[1], whole[56_000:72_000])


def test_a_three_hour_file_streams_in_small_blocks(tmp_path: Path) -> None:
    second = chirp(1, 8000)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 8000, 1) as file:
        minute = np.tile(second, 60)
        for _ in range(180):
            file.write(minute)
    blocks = [b.size for b in audio.stream(tmp_path / "long.flac")]
    assert sum(blocks) == 3 * 3600 * 16_000
    assert max(blocks) <= 21 * 16_000


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.wma", "wmav2")])
def test_wider_formats_through_pyav(tmp_path: Path, name: str, codec: str) -> None:
    av = pytest.importorskip("av", reason="the [formats] extra is not installed")
    sound = chirp(9, 44_100)
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=44_100)
        stream.layout, stream.bit_rate = "mono", 128_000
        frame = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
        frame.rate, frame.pts = 44_100, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    whole = audio.load(tmp_path / name)
    assert whole.size == pytest.approx(9 * 16_000, abs=4000)  # encoders pad both ends
    excerpt = audio.load(tmp_path / name, start_s=4.3, duration_s=3.0)
    begin = round(4.3 * 16_000)
    slack = 40  # wma tells time in milliseconds
    inner = excerpt[slack:-slack]
    errors = [np.abs(inner - whole[begin + d :][slack:][: inner.size]).max() for d in range(-slack, slack)]
    assert min(errors) < 0.02
    assert abs(int(np.argmin(errors)) - slack) <= (1 if codec == "aac" else slack)


def test_names_that_are_not_utf_8_or_hold_a_newline(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/b\xff\n.wav"
    soundfile.write(name, np.full(1600, 0.1, np.float32), 16_000)
    assert audio.load(os.fsdecode(name)).size == 1600
    with pytest.raises(AudioError) as caught:
        audio.load(os.fsdecode(name) + "x")
    assert "b\\xff\\n.wavx" in str(caught.value)


def bad_files(folder: Path) -> dict[str, str]:
    """Files that cannot be used, with a word that the error must hold."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 160_000).astype(np.float32)
    soundfile.write(folder / "whole.flac", sound, 16_000)
    (folder / "truncated.flac").write_bytes((folder / "whole.flac").read_bytes()[:100_000])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.mp3").write_bytes(b"this is only text, " * 50)
    for value, name in ((np.nan, "nan.wav"), (np.inf, "inf.wav"), (-np.inf, "minus.wav")):
        spoilt = sound.copy()
        spoilt[70_000] = value
        soundfile.write(folder / name, spoilt, 16_000, subtype="FLOAT")
    header_only = (folder / "whole.flac").read_bytes()[:60]
    (folder / "header.flac").write_bytes(header_only)
    (folder / "folder.wav").mkdir()
    return {
        "truncated.flac": "decoding failed",
        "empty.wav": "empty",
        "text.mp3": "not a sound file",
        "nan.wav": "NaN or infinite",
        "inf.wav": "NaN or infinite",
        "minus.wav": "NaN or infinite",
        "header.flac": "header.flac",
        "folder.wav": "is a folder",
        "missing.wav": "No such file",
    }


def test_bad_files_name_the_file_the_cause_and_the_remedy(tmp_path: Path) -> None:
    for name, words in bad_files(tmp_path).items():
        with pytest.raises(AudioError) as caught:
            audio.load(tmp_path / name)
        assert name in caught.value.subject
        assert words in str(caught.value), str(caught.value)
        assert len(caught.value.remedy) > 10


def test_one_nan_in_an_excerpt_is_found_and_outside_it_is_not(tmp_path: Path) -> None:
    bad_files(tmp_path)
    assert audio.load(tmp_path / "nan.wav", start_s=0.0, duration_s=2.0).size == 32_000
    with pytest.raises(AudioError, match="1 samples are NaN"):
        audio.load(tmp_path / "nan.wav", start_s=4.0, duration_s=2.0)


def test_resample_takes_frames_by_channels() -> None:
    stereo = np.stack([np.full(8000, 0.2), np.full(8000, 0.4)], axis=1)
    out = audio.resample(stereo, 8000)
    assert out.shape == (16_000,)
    assert out[4000:12_000].mean() == pytest.approx(0.3, abs=1e-4)


def test_mp3_blocks_join_without_a_seam(tmp_path: Path) -> None:
    left = chirp(50, 44_100)
    soundfile.write(tmp_path / "long.mp3", np.stack([left, left], axis=1), 44_100)
    at_once, _ = soundfile.read(tmp_path / "long.mp3", dtype="float32")
    streamed = np.concatenate(list(audio.stream(tmp_path / "long.mp3", 44_100)))
    assert streamed.size == at_once.shape[0]
    assert np.abs(streamed - at_once.mean(axis=1)).max() < 1e-6


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 44_056])
def test_an_excerpt_is_cut_to_the_sample_at_any_rate(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "x.wav", chirp(9, rate_hz), rate_hz, subtype="FLOAT")
    whole = audio.load(tmp_path / "x.wav")
    for start_s in (0.01, 0.5, 1.23, 3.3333, 5.017):
        begin = round(start_s * 16_000)
        excerpt = audio.load(tmp_path / "x.wav", start_s=start_s, duration_s=2.0)
        assert np.abs(excerpt - whole[begin : begin + 32_000]).max() < 1e-5


def test_channels_kept_apart_are_those_that_are_averaged(tmp_path: Path) -> None:
    both = np.stack([chirp(5, 44_100), 0.5 * chirp(5, 44_100)[::-1]], axis=1)
    soundfile.write(tmp_path / "x.wav", both, 44_100, subtype="FLOAT")
    apart = audio.load_channels(tmp_path / "x.wav", 16_000, 1.5, 2.0)
    assert apart.shape == (32_000, 2)
    assert np.abs(apart.mean(axis=1) - audio.load(tmp_path / "x.wav", 16_000, 1.5, 2.0)).max() < 1e-6
    assert audio.load_channels(tmp_path / "x.wav", 16_000, 9.0, 1.0).shape == (0, 2)
