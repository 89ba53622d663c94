"""The embeddings that a learned one stands beside: made by hand, by libraries, by random weights, by another interpreter."""

from __future__ import annotations

import builtins
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import tone_track
from nearfield.catalogue.encoder import load_model
from nearfield.cli.untrained import write_untrained
from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import AudioError, AuditError, ModelError
from nearfield.study.embedding import Reading, baselines, bliss, chroma_tempogram, open_embedding
from nearfield.study.embedding.heard import excerpts_of_samples
from nearfield.study.embedding.musicnn import NO_INTERPRETER, Musicnn, patch
from nearfield.study.handmade import log_mel_statistics

RATE_HZ = 16_000

# answers as the worker does: 200 numbers that say the loudness, and how often it was asked; it obeys loud sounds
FAKE = """\
import base64, json, os, sys
import numpy as np
print(json.dumps({"ready": True, "dimensions": 200}), flush=True)
for asked, line in enumerate(sys.stdin):
    question = json.loads(line)
    x = np.frombuffer(base64.b64decode(question["samples"]), "<f4").reshape(question["shape"])
    loud = float(np.abs(x).max())
    if loud > 0.9:
        sys.exit("no more")
    if loud > 0.8:
        print(json.dumps({"error": "ValueError: too loud"}), flush=True)
        continue
    v = np.full((len(x), 100 if loud > 0.7 else 200), loud, "<f4")
    v[:, 0] = asked
    print(json.dumps({"shape": v.shape, "vectors": base64.b64encode(v.tobytes()).decode()}), flush=True)
"""


def interpreter(folder: Path, text: str = FAKE) -> str:
    """A program that runs the text whatever it is told to run."""
    (folder / "fake.py").write_text(text)
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/fake.py"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def tone(seconds: float, loud: float, hz: float = 440.0) -> np.ndarray:
    return (loud * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def catalogue(folder: Path, **louds: float) -> Manifest:
    for name, loud in louds.items():
        soundfile.write(folder / f"{name}.wav", tone(3.5, loud), RATE_HZ, subtype="FLOAT")
    return Manifest("fake", folder, tuple(Track(id=name, path=f"{name}.wav") for name in louds))


def test_log_mel_statistics_are_mean_and_deviation_of_each_band() -> None:
    log_mels = np.random.default_rng(0).normal(size=(3, 4, 7)).astype(np.float32)
    found = log_mel_statistics(log_mels)
    for s in range(3):
        for m in range(4):
            values = [float(v) for v in log_mels[s, m]]
            mean = sum(values) / 7
            assert found[s, m] == pytest.approx(mean, abs=1e-6)
            assert found[s, 4 + m] == pytest.approx((sum((v - mean) ** 2 for v in values) / 7) ** 0.5, abs=1e-6)


def test_chroma_hears_the_chord_and_the_tempogram_the_clicks() -> None:
    seconds, bpm = 3.2, 120
    chord = sum(tone(seconds, 0.2, hz) for hz in (261.63, 329.63, 392.0))
    clicks = np.zeros_like(chord)
    for start in np.arange(0, seconds, 60 / bpm):
        clicks[int(start * RATE_HZ) :][:400] += np.random.default_rng(0).normal(size=400)[
            : len(clicks) - int(start * RATE_HZ)
        ]
    harmony = chroma_tempogram.statistics(excerpts_of_samples(chord, RATE_HZ, baselines.CUTTER), baselines.CUTTER)
    assert set(np.argsort(-harmony[0, :12])[:3]) == {0, 4, 7}  # C, E, G
    rhythm = chroma_tempogram.statistics(excerpts_of_samples(clicks, RATE_HZ, baselines.CUTTER), baselines.CUTTER)
    tempi = dict(zip(chroma_tempogram.TEMPI_BPM.round(), rhythm[0, 24:], strict=True))
    assert tempi[120] > 0.4
    assert tempi[120] > 3 * abs(tempi[min(tempi, key=lambda t: abs(t - 160))])
    assert rhythm.shape == (1, 12 + 12 + 49)


def test_bliss_is_that_of_the_library(tmp_path: Path) -> None:
    import bliss_audio

    rng = np.random.default_rng(0)
    sound = (0.3 * rng.normal(size=22_050 * 4)).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", sound, 22_050, subtype="FLOAT")
    wanted = bliss_audio.Song(str(tmp_path / "noise.wav")).analysis
    np.testing.assert_allclose(bliss.of_file(str(tmp_path / "noise.wav")), wanted, atol=1e-5)
    np.testing.assert_allclose(bliss.of_samples(sound, 22_050), wanted, atol=1e-5)
    with pytest.raises(AudioError, match="too short"):
        bliss.of_samples(sound[:1000], 22_050)
    with pytest.raises(AudioError, match="silent"):
        bliss.of_samples(np.zeros(22_050 * 2), 22_050)


@pytest.mark.parametrize(("name", "library"), [("bliss", "bliss_audio"), ("chroma-tempogram", "librosa")])
def test_a_missing_library_is_named(name: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(asked: str, *rest: object, **more: object) -> object:
        if asked.split(".")[0] == library:
            raise ImportError(f"No module named {asked!r}")
        return real(asked, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(AuditError, match=r"cannot be imported.*nearfield\[bench\]"):
        open_embedding(name, catalogue(tmp_path, a=0.1, b=0.2, c=0.3))


def test_untrained_is_the_shipped_architecture_and_its_seed_decides(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        write_untrained(tmp_path / f"{name}.onnx", seed)
    sound = tone(3.5, 0.3) + np.random.default_rng(0).normal(scale=0.1, size=int(3.5 * RATE_HZ)).astype(np.float32)
    shipped = load_model().embed(sound, RATE_HZ)
    one, again, other = (
        load_model(str(tmp_path / f"{n}.onnx")).embed(sound, RATE_HZ) for n in ("one", "again", "other")
    )
    assert one.shape == shipped.shape
    np.testing.assert_array_equal(one, again)
    assert one @ other < 0.99
    assert one @ shipped < 0.9


def test_untrained_by_name_is_written_once(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    times: list[int] = []

    def write(out: Path, seed: int) -> None:
        times.append(seed)
        write_untrained(out, seed)

    manifest, how = catalogue(tmp_path, a=0.1, b=0.2, c=0.3), Reading(tmp_path / "kept", workers=0, untrained=write)
    first = open_embedding("untrained:7", manifest, how)
    assert first.name == "untrained:7"
    np.testing.assert_array_equal(open_embedding("untrained:7", manifest, how).vectors, first.vectors)
    assert times == [7]
    with pytest.raises(AuditError, match="made with torch"):
        open_embedding("untrained", manifest, Reading(tmp_path / "kept", workers=0))


def test_musicnn_is_heard_by_its_interpreter_and_kept(tmp_path: Path) -> None:
    manifest = catalogue(tmp_path, a=0.1, b=0.2, c=0.4)
    how = Reading(tmp_path / "kept")
    found = open_embedding(f"musicnn:{interpreter(tmp_path)}", manifest, how)
    assert found.vectors.shape == (3, 200)
    np.testing.assert_allclose(found.vectors[:, 1], [0.1, 0.2, 0.4], atol=0.02)
    again = open_embedding("musicnn", manifest, how)  # no interpreter: all is kept
    np.testing.assert_array_equal(again.vectors, found.vectors)
    assert again.embed is None
    more = catalogue(tmp_path, a=0.1, b=0.2, c=0.4, d=0.3)
    with pytest.raises(AuditError, match=f"1 tracks.*{NO_INTERPRETER.split()[-1]}|no interpreter is named"):
        open_embedding("musicnn", more, how)
    with pytest.raises(AuditError, match="no vectors of it are kept"):
        open_embedding("musicnn", manifest, Reading(tmp_path / "empty"))


def test_what_musicnn_cannot_hear_is_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    manifest = catalogue(tmp_path, a=0.1, refused=0.85, b=0.2, dies=0.95, c=0.4, narrow=0.75, d=0.3)
    found = open_embedding(f"musicnn:{interpreter(tmp_path)}", manifest, Reading(tmp_path / "kept"))
    assert found.ids == ("a", "b", "c", "d")
    causes = {row.id: row.cause for row in found.left_out}
    assert "too loud" in causes["refused"]
    assert "no more" in causes["dies"]
    assert "shape [" in causes["narrow"]
    assert found.vectors[:, 0].tolist() == [0, 2, 0, 0]  # asked of one worker, then of the next ones


def test_an_interpreter_without_musicnn_is_an_error(tmp_path: Path) -> None:
    manifest = catalogue(tmp_path, a=0.1, b=0.2, c=0.4)
    with pytest.raises(ModelError, match="cannot run musicnn"):
        open_embedding(f"musicnn:{sys.executable}", manifest, Reading(tmp_path / "kept"))
    with pytest.raises(ModelError, match="cannot be run"):
        open_embedding(f"musicnn:{tmp_path}/nowhere", manifest, Reading(tmp_path / "kept"))


EXTRACTOR = """
import json, sys
import numpy as np
from musicnn.extractor import extractor
rows = [extractor(path, model="MSD_musicnn", input_length=3)[2]["penultimate"][0] for path in sys.argv[1:]]
print("ANSWER" + json.dumps(np.asarray(rows, float).tolist()))
"""


@pytest.mark.skipif(
    "NEARFIELD_MUSICNN" not in os.environ, reason="needs an interpreter with musicnn, in NEARFIELD_MUSICNN"
)
def test_quiet_sound_is_as_musicnn_hears_it_and_loud_sound_stays_apart(tmp_path: Path) -> None:
    """Of 3 s, so that the one slice is the extractor's one patch. Its float16 overflows on loud sound: all is alike there."""
    python, paths = os.environ["NEARFIELD_MUSICNN"], []
    for seed in range(3):
        sound = tone_track(seed, 3.0) / np.abs(tone_track(seed, 3.0)).max()
        for name, made in (("quiet", 0.02 * sound), ("loud", np.tanh(6 * sound))):
            paths.append(str(tmp_path / f"{name}{seed}.wav"))
            soundfile.write(paths[-1], made, RATE_HZ, subtype="FLOAT")
    model = Musicnn(python)
    ours = np.stack([model.of_file(path) for path in paths])
    model.close()
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1"}
    said = subprocess.run(
        [python, "-c", EXTRACTOR, *paths], capture_output=True, text=True, env=environment, check=True
    ).stdout
    theirs = np.array(json.loads(said.split("ANSWER")[1]))
    np.testing.assert_allclose(ours[::2], theirs[::2], atol=2e-3)  # float16 has 11 bits; values are up to about 2
    assert np.ptp(theirs[1::2], axis=0).max() == 0  # the trap
    assert min(np.abs(ours[a] - ours[b]).max() for a, b in ((1, 3), (1, 5), (3, 5))) > 0.1


def test_a_patch_is_what_lies_under_187_frames() -> None:
    samples = np.random.default_rng(0).normal(scale=0.1, size=RATE_HZ * 10).astype(np.float32)
    excerpts = excerpts_of_samples(samples, RATE_HZ, baselines.CUTTER)
    for excerpt in excerpts[1:2]:
        found = patch(excerpt)
        assert len(found) == 186 * 256 + 512
        where = np.flatnonzero(samples == found[1000])[0] - 1000
        np.testing.assert_array_equal(found, samples[where : where + len(found)])
    assert Musicnn("").python == ""
