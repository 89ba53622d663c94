"""Bad input: an error or a listed failure that names file, cause and remedy; nothing already indexed is lost.

==============================================  ================================================================
mutated real files, through index and prepare   here
empty, truncated, text named .mp3, one sample   sound/test_audio, data/test_scan, catalogue/test_index; together here
silence, DC                                     catalogue/test_slices, catalogue/test_encoder, data/test_melstore, here
NaN, infinite                                   sound/test_audio, catalogue/test_encoder; beyond all measure: here
1 to 8 channels, 8 to 192 kHz                   sound/test_audio, catalogue/test_encoder; as vectors: here
three hours                                     sound/test_audio (blocks); peak memory of index: here
unreadable folders and files                    here, without root's rights
newlines and bytes that are not UTF-8 in names  data/test_scan, catalogue/test_index; from index to playlist: here
a space cut short, altered or incomplete        catalogue/test_space (every step); mended by the command: here
a space of another version                      catalogue/test_space; by the command: here
a full disk                                     catalogue/test_space, data/test_melstore (injected); a real one: here
processes that crash or hang                    test_pool, catalogue/test_index
==============================================  ================================================================
"""

from __future__ import annotations

import importlib.util
import json
import math
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile

from conftest import RATE_HZ, tone_track, write_tiny_model
from nearfield import pool
from nearfield.catalogue.encoder import load_model
from nearfield.catalogue.space import Space, open_space
from nearfield.cli import main
from nearfield.data.manifest import Manifest, read_manifest, write_manifest
from nearfield.data.melstore import MelStore
from nearfield.data.prepare import track_frames
from nearfield.data.track import Track
from nearfield.errors import AudioError, ManifestError, readable
from nearfield.sound import audio
from oracles import mutants

SEED = 20_26
MUTANTS = 540
LONGEST_S = 20.0  # a healthy file of this size takes 0.02 s
NOBODY = 65_534

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: its exit code, standard output and standard error."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([os.fspath(w) for w in words])
        return (code, *capsys.readouterr())

    return call


def is_told(text: str) -> bool:
    """One line that can be printed, and says something."""
    return len(text) > 5 and text.isprintable() and text == text.strip()


def check_failures(failures: Sequence[Mapping[str, str]]) -> None:
    for failure in failures:
        assert sorted(failure) == ["cause", "path", "remedy"]
        assert all(map(is_told, failure.values())), failure
        assert "unexpected" not in failure["cause"], failure  # a hole in what decoders are known to raise


def check_error(code: int, err: str, subject: str | Path, *words: str) -> None:
    """Exit code 2 and one line: what, why; what to do."""
    assert code == 2
    assert err.startswith(f"nearfield: {subject}"), err
    assert err.count("\n") == 1, err
    assert "; " in err, err
    for word in words:
        assert word in err


def check_progress(err: str) -> None:
    for line in err.splitlines():
        assert re.fullmatch(r"nearfield: \d+ of \d+ tracks, .*", line), line


def vectors(space: Space) -> dict[str, bytes]:
    return {t.path: v.tobytes() for t, v in zip(space.tracks, space.vectors, strict=True)}


# mutated files


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of mutated files of every format: `MUTANTS` or a few more, the same ones each time."""
    healthy, folder = tmp_path_factory.mktemp("healthy"), tmp_path_factory.mktemp("spoilt")
    kinds = mutants.KINDS + (mutants.AV_KINDS if importlib.util.find_spec("av") else ())
    sound = mutants.music(4.0)
    paths = [healthy / f"{n:02}-{k.rate_hz}x{k.channels}.{k.suffix}" for n, k in enumerate(kinds)]
    for path, kind in zip(paths, kinds, strict=True):
        mutants.write(path, kind, sound)
    rounds = math.ceil(MUTANTS / (len(kinds) * len(mutants.MUTATIONS)))
    for name, content in mutants.mutants(paths, rounds, np.random.default_rng(SEED)):
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file may take longer than `LONGEST_S`; one that does is told so."""
    monkeypatch.setattr(pool, "patience_s", lambda size_bytes: LONGEST_S)


def check_all_answered(files: Sequence[Path], good: set[str], failures: Sequence[Mapping[str, str]]) -> None:
    failed = [f["path"] for f in failures]
    assert len(failed) == len(set(failed))
    assert good.isdisjoint(failed)
    assert good.union(failed) == {str(p) for p in files}
    assert not [f for f in failures if "did not end within" in f["cause"]]
    assert len(good) > len(files) / 4  # the mutations leave some files usable, and not too many
    assert len(failed) > len(files) / 4
    assert multiprocessing.active_children() == []


def test_mutated_files_are_indexed_or_listed(
    spoilt: Path, tiny_model: Path, tmp_path: Path, run: Run, impatient: None
) -> None:
    files = sorted(spoilt.iterdir())
    assert len(files) >= 500
    words = ("index", spoilt, "--space", tmp_path / "S", "--model", tiny_model, "--workers", "2", "--json")
    code, out, err = run(*words)
    assert code == 1
    check_progress(err)
    said = json.loads(out)
    check_failures(said["failures"])
    space = open_space(tmp_path / "S")
    check_all_answered(files, set(space.ids), said["failures"])
    assert np.isfinite(space.vectors).all()
    assert np.abs(np.linalg.norm(space.vectors.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert all(t.duration_s is not None and 0 < t.duration_s < 1000 for t in space.tracks)
    assert all(len(space.neighbours(np.array(v), 3)) == 3 for v in space.vectors[:50])
    again = json.loads(run(*words[:-2], "0", "--json")[1])  # in this process, where every warning is an error
    assert (again["unchanged"], again["added"], again["failures"]) == (len(space), 0, said["failures"])


def test_mutated_files_are_prepared_or_listed(spoilt: Path, tmp_path: Path, run: Run, impatient: None) -> None:
    files = sorted(spoilt.iterdir())
    tracks = tuple(Track(p.name, p.name) for p in files)
    write_manifest(Manifest("spoilt", spoilt, tracks), tmp_path / "m.parquet")
    code, out, err = run("prepare", tmp_path / "m.parquet", tmp_path / "store", "--workers", "2", "--json")
    assert code == 1
    check_progress(err)
    said = json.loads(out)
    check_failures(said["failures"])
    store = MelStore(tmp_path / "store")
    check_all_answered(files, {str(spoilt / t.path) for t in store.tracks}, said["failures"])
    assert said["prepared"] == len(store)
    assert store.verify() == []
    assert all(np.isfinite(store.frames(n)).all() for n in range(len(store)))


def test_mutated_files_raise_nothing_else(spoilt: Path) -> None:
    """In this process, where every warning is an error: a sample of them, whole and by seeking."""
    told = []
    for path in sorted(spoilt.iterdir())[::5]:
        for read in (audio.load, lambda p: audio.load_excerpts(p, [(0.5, 1.0), (2.5, 3.0)])):
            try:
                read(path)
            except AudioError as error:
                told.append(error)
    assert len(told) > 60
    assert all(is_told(e.subject) and is_told(e.cause) and is_told(e.remedy) for e in told)


def test_spoilt_manifests_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_manifest(Manifest("m", tmp_path, tuple(Track(f"t{n}", f"{n}.wav", title="Ü") for n in range(4))), path)
    whole, generator = path.read_bytes(), np.random.default_rng(SEED)
    told = []
    for n in range(600):
        spoil = mutants.MUTATIONS[n % 7]
        path.write_bytes(spoil(whole, whole, generator))
        try:
            read_manifest(path)
        except ManifestError as error:
            told.append(error)
    assert len(told) > 400
    assert all(e.subject == str(path) and e.cause and is_told(e.remedy) for e in told)


# sound that is no music, and sound in odd shapes


def odd_sounds() -> dict[str, tuple[Any, int, str]]:
    """Samples, rate and what the failure says; an empty text: it is embedded."""
    tone, far = tone_track(0, 4.0), 2.0 * 10**12
    out_of_measure = np.where(np.arange(tone.size) % 1000 == 0, far, tone)
    opposite = np.stack([np.where(tone > 0.5, np.inf, tone), np.where(tone > 0.5, -np.inf, tone)], axis=1)
    return {
        "silence.wav": (np.zeros(4 * RATE_HZ), RATE_HZ, "silent"),
        "dc.wav": (np.full(4 * RATE_HZ, 0.5), RATE_HZ, "silent"),
        "nan.wav": (np.where(tone > 0.5, np.nan, tone), RATE_HZ, "NaN or infinite"),
        "inf.wav": (np.where(tone > 0.5, np.inf, tone), RATE_HZ, "NaN or infinite"),
        "opposite.wav": (opposite, RATE_HZ, "NaN or infinite"),
        "far.wav": (out_of_measure, RATE_HZ, "samples are NaN or infinite, or above 1e+10 times"),
        "one.wav": (tone[:1], RATE_HZ, "too short (0.00 s)"),
        "one-of-8.wav": (np.ones((1, 8)), 192_000, "too short (0.00 s)"),
        "none.wav": (tone[:0], RATE_HZ, "the header says 0 frames"),
        "loud.wav": (tone * 2.0**31, RATE_HZ, ""),  # 32-bit numbers never divided by full scale
        "offset.wav": (tone + 0.5, RATE_HZ, ""),
    }


def test_odd_sounds_are_listed_or_embedded(tiny_model: Path, tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    sounds = odd_sounds()
    for name, (samples, rate_hz, _) in sounds.items():
        soundfile.write(folder / name, samples, rate_hz, subtype="FLOAT")
    soundfile.write(folder / "whole.flac", tone_track(1, 30.0), RATE_HZ)
    (folder / "cut.flac").write_bytes((folder / "whole.flac").read_bytes()[:200_000])
    (folder / "empty.ogg").touch()
    (folder / "text.mp3").write_text("not music\n" * 500)
    expected = {name: words for name, (_, _, words) in sounds.items() if words}
    expected |= {"cut.flac": "decoding failed", "empty.ogg": "0 bytes", "text.mp3": "not a sound file"}

    words = ("index", folder, "--space", tmp_path / "S", "--model", tiny_model, "--workers", "0", "--json")
    code, out, _ = run(*words)
    assert code == 1
    failures = json.loads(out)["failures"]
    check_failures(failures)
    assert {Path(f["path"]).name for f in failures} == set(expected)
    assert not [f for f in failures if expected[Path(f["path"]).name] not in f["cause"]]
    assert [Path(p).name for p in open_space(tmp_path / "S").ids] == ["loud.wav", "offset.wav", "whole.flac"]
    for name in set(expected) - {"one-of-8.wav"}:
        with pytest.raises(AudioError):
            track_frames(str(folder / name))
    with pytest.raises(AudioError, match="64 samples"):
        track_frames(str(folder / "far.wav"))
    for name in ("loud.wav", "offset.wav"):
        assert np.isfinite(track_frames(str(folder / name))).all()


def test_exit_codes_of_index(tiny_model: Path, tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    words = ("index", folder, "--space", tmp_path / "S", "--model", tiny_model, "--workers", "0")
    check_error(*run(*words)[::2], folder, "no sound files found")
    (folder / "bad.mp3").write_text("text")
    check_error(*run(*words)[::2], folder, "none of its 1 sound files can be read", "not a sound file")
    soundfile.write(folder / "good.wav", tone_track(0, 3.0), RATE_HZ)
    assert run(*words)[0] == 1
    (folder / "bad.mp3").unlink()
    assert run(*words)[0] == 0


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000, 192_000])
def test_channels_and_rates_give_the_vector_of_the_music(rate_hz: int, tiny_model: Path, tmp_path: Path) -> None:
    model, sound = load_model(tiny_model, threads=1), mutants.music(4.0, seed=3)
    sound = audio.resample(audio.resample(sound, RATE_HZ, 7_000), 7_000)  # what every one of the rates can hold
    wanted = model.embed(sound, RATE_HZ)
    for channels in range(1, 9):
        wide = np.repeat(audio.resample(sound, RATE_HZ, rate_hz)[:, None], channels, axis=1)
        soundfile.write(tmp_path / "x.wav", wide, rate_hz, subtype="FLOAT")
        found = model.embed_file(tmp_path / "x.wav")
        assert float(found.vector @ wanted) > 0.999, channels
        assert found.duration_s == pytest.approx(4.0, abs=0.001)


def test_a_flac_that_does_not_tell_its_length(tiny_model: Path, tmp_path: Path) -> None:
    """As programs leave it that encode into a pipe: no seeking, so it is read from front to end."""
    soundfile.write(tmp_path / "whole.flac", tone_track(2, 25.0), RATE_HZ)
    data = bytearray((tmp_path / "whole.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "piped.flac").write_bytes(data)
    model = load_model(tiny_model, threads=1)
    whole, piped = model.embed_file(tmp_path / "whole.flac"), model.embed_file(tmp_path / "piped.flac")
    assert (piped.n_slices, piped.duration_s) == (whole.n_slices, whole.duration_s) == (8, 25.0)
    assert np.array_equal(piped.vector, whole.vector)
    assert np.array_equal(audio.load(tmp_path / "piped.flac"), audio.load(tmp_path / "whole.flac"))


def test_a_rate_that_cannot_be(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone_track(0, 2.0), RATE_HZ)
    data = (tmp_path / "x.wav").read_bytes()
    for rate_hz in (0, 1, 999, 1_000_001, 2**31 - 1):
        (tmp_path / "x.wav").write_bytes(data[:24] + rate_hz.to_bytes(4, "little") + data[28:])
        with pytest.raises(AudioError, match=r"not a sound file|the header says"):
            audio.probe(tmp_path / "x.wav")


_PEAK_OF_INDEX = """
import re, sys
from nearfield.cli import main
if __name__ == "__main__":
    code = main(["index", *sys.argv[1:], "--workers", "0", "--json"])
    with open("/proc/self/status") as status:  # of this program alone; getrusage counts what came before it
        print(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1], file=sys.stderr)
    sys.exit(code)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")
def test_three_hours_are_indexed_in_little_memory(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    minute = np.concatenate([tone_track(0, 20.0, 8_000), np.zeros(40 * 8_000, np.float32)])
    with soundfile.SoundFile(tmp_path / "music" / "long.flac", "w", 8_000, 1) as file:
        for _ in range(180):
            file.write(minute)
    command = [sys.executable, "-c", _PEAK_OF_INDEX, tmp_path / "music", "--space", tmp_path / "S", "--model"]
    done = subprocess.run([*command, tiny_model], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["added"] == 1
    assert open_space(tmp_path / "S").tracks[0].duration_s == 10_800.0
    assert int(done.stderr) / 1024 < 400  # MiB; the imports alone take 110


# folders and names

_WITHOUT_RIGHTS = """
import os, shutil, sys
from nearfield.cli import main
place, model, nobody = sys.argv[1], sys.argv[2], int(sys.argv[3])
words = ["index", place + "/music", "--space", place + "/S", "--model", model, "--workers", "0", "--json"]
if main(words) or main(words):  # as we are; this imports all that is needed, which others may not be allowed to read
    sys.exit(3)
os.rename(place + "/music/b/2.wav", place + "/music/b/moved.wav")
for path in ("music/a", "music/c/3.wav"):
    os.chmod(os.path.join(place, path), 0)
if os.geteuid() == 0:
    for folder, folders, files in os.walk(place):
        for name in [folder, *(os.path.join(folder, f) for f in files)]:
            os.chown(name, nobody, nobody)
    os.setgroups([])
    os.setgid(nobody)
    os.setuid(nobody)
sys.exit(main([*words, "--prune"]))
"""


def test_folders_and_files_without_permission(tiny_model: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:  # pytest's own folders: others may pass through, and no more
        parent.chmod(parent.stat().st_mode | 0o111)
    for n, name in enumerate(("a/1.wav", "b/2.wav", "c/3.wav", "d/4.wav")):
        (tmp_path / "music" / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / "music" / name, tone_track(n, 3.0), RATE_HZ)
    shutil.copy(tiny_model, tmp_path / "model.onnx")
    words = [sys.executable, "-c", _WITHOUT_RIGHTS, tmp_path, tmp_path / "model.onnx", str(NOBODY)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    finally:
        (tmp_path / "music/a").chmod(0o755)
        (tmp_path / "music/c/3.wav").chmod(0o644)
    assert (done.returncode, done.stderr) == (1, "")
    first, _, second = map(json.loads, done.stdout.replace("\n}\n{", "\n}\n\0{").split("\0"))
    assert first["added"] == 4
    check_failures(second["failures"])
    assert [(f["path"], f["cause"]) for f in second["failures"]] == [(str(tmp_path / "music/a"), "Permission denied")]
    assert (second["n_tracks"], second["unchanged"], second["moved"], second["removed"]) == (4, 2, 1, 0)
    kept = {os.path.relpath(p, tmp_path / "music") for p in open_space(tmp_path / "S").ids}
    assert kept == {"a/1.wav", "b/moved.wav", "c/3.wav", "d/4.wav"}  # --prune takes only what is surely gone


ODD_NAMES = (
    b"new\nline.wav",
    b"latin\xe4\xff.wav",
    b"#EXTM3U.wav",
    b" space .wav",
    b"100%25.wav",
    b"quote\"'`$x.wav",
    b"back\\slash.wav",
    b"file:x.wav",
    b"carriage\r.wav",
    "Füße 日本 \u2028 \u202e.wav".encode(),
    b"-k.wav",
    b"[red]x.wav",
)


def test_odd_names_from_index_to_playlist(tiny_model: Path, tmp_path: Path, run: Run) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xffsic\n"))
    folder.mkdir()
    names = [os.fsdecode(n) for n in ODD_NAMES]
    for seed, name in enumerate(names):
        with open(folder / name, "wb") as file:
            soundfile.write(file, tone_track(seed, 3.0 + 3 * seed), RATE_HZ, format="WAV")  # lengths apart: no repeats
    space = ("--space", folder / "a space: of music")
    assert run("index", folder, *space, "--model", tiny_model, "--workers", "2")[0] == 0
    for query in names:
        code, out, err = run("similar", folder / query, *space, "-k", "99", "--json")
        assert (code, err) == (0, "")
        said = json.loads(out)
        assert said["query"]["path"].isprintable()
        found = {_from_uri(n["uri"]) for n in said["neighbours"]}
        assert found == {os.fsencode(folder / n) for n in names if n != query}
        assert all((n["path"].isprintable() and n["path"].isascii()) or "日本" in n["path"] for n in said["neighbours"])
        assert run("similar", folder / query, *space)[1].count("\n") == len(names) - 1
    for out_file in (tmp_path / "list.m3u8", folder / "inside.m3u8"):
        for more in ((), ("--absolute",)):
            assert run("playlist", folder / names[0], *space, "-n", "99", "-o", out_file, *more)[0] == 0
            assert _entries_of(out_file) == {os.fsencode(folder / n) for n in names}
    assert run("space", "export", space[1], "-o", folder / "x.parquet")[0] == 0
    assert run("corpus", "scan", folder, "-o", folder / "m.parquet")[0] == 0
    assert run("prepare", folder / "m.parquet", folder / "store", "--workers", "0")[0] == 0
    assert len(MelStore(folder / "store")) == len(names)
    missing = folder / "none" / "x.m3u8"
    code, _, err = run("playlist", folder / names[0], *space, "-o", missing)
    check_error(code, err, readable(missing), "No such file or directory", "make its folder first")


def test_the_home_folder_is_where_it_always_is(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """A shell leaves the tilde in `--space=~/S` alone; it is not the name of a folder either."""
    soundfile.write(tmp_path / "x.wav", tone_track(0, 3.0), RATE_HZ)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run("index", ".", "--space=~/S", "--model", tiny_model, "--workers", "0")[0] == 0
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["S"]
    assert not (tmp_path / "~").exists()
    code, out, err = run("similar", "x.wav", "--space=~/S")
    assert (code, out, err) == (0, "", "nearfield: no other track of this space fits\n")
    assert run("space", "info", "~/S")[0] == 0


def _from_uri(uri: str) -> bytes:
    assert uri.startswith("file:///")
    return unquote_to_bytes(uri.removeprefix("file://"))


def _entries_of(playlist: Path) -> set[bytes]:
    """What a player makes of a playlist: every entry as the absolute path of a file that is there."""
    found = []
    for line in playlist.read_bytes().decode("utf-8").split("\n")[:-1]:
        assert line.isprintable()
        if not line.startswith("#"):
            path = _from_uri(line) if line.startswith("file://") else os.fsencode(playlist.parent / line)
            assert os.path.isfile(path)
            found.append(os.path.normpath(path))
    assert len(found) == len(set(found))
    return set(found)


# spaces that are not as they were written


@pytest.fixture
def two_spaces(tiny_model: Path, tmp_path: Path, run: Run) -> tuple[Path, Path]:
    """A folder of three tracks, and a folder with two spaces of them; that of the tiny model is the current one."""
    folder, place = tmp_path / "music", tmp_path / "S"
    folder.mkdir()
    for n in range(3):
        soundfile.write(folder / f"{n}.wav", tone_track(n, 3.0), RATE_HZ)
    for model in (write_tiny_model(tmp_path / "other.onnx", seed=1), tiny_model):
        assert run("index", folder, "--space", place, "--model", model, "--workers", "0")[0] == 0
    return folder, place


def damages(whole: bytes) -> Iterator[bytes | None]:
    """Cut short, altered in one bit, with garbage at the end, gone."""
    generator = np.random.default_rng(SEED)
    for size in (0, 1, len(whole) // 2, len(whole) - 2):  # JSON lives without its last line break
        yield whole[:size]
    for at in generator.integers(0, len(whole), 10):
        yield whole[:at] + bytes([whole[at] ^ (1 << int(generator.integers(0, 8)))]) + whole[at + 1 :]
    yield whole + b"\0"
    yield None


@pytest.mark.parametrize("name", ["space.json", "meta.json", "tracks-1.parquet", "vectors-1.f32"])
def test_a_damaged_space_is_told_and_mended(
    name: str, two_spaces: tuple[Path, Path], tiny_model: Path, tmp_path: Path, run: Run
) -> None:
    folder, place = two_spaces
    before, current = vectors(open_space(place)), open_space(place).meta.id
    (other,) = (p for p in place.iterdir() if p.is_dir() and p.name != current)
    other_before = {p.name: p.read_bytes() for p in other.iterdir()}
    intact = shutil.copytree(place / current, tmp_path / "intact")
    path = place / name if name == "space.json" else place / current / name
    whole = path.read_bytes()
    for content in damages(whole):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        code, out, err = run("similar", "0.wav", "--space", place)
        assert out == ""
        if content is None and name.endswith("json"):  # what is not there can only be named by its folder
            check_error(code, err, path.parent, "'nearfield index")
        else:
            check_error(code, err, path, "run 'nearfield index'")
        code, out, err = run("index", folder, "--space", place, "--model", tiny_model, "--workers", "0")
        anew = name != "space.json" and (content is not None or name != "meta.json")
        assert (code, err.count("built anew"), "3 unchanged" in out) == (0, anew, name == "space.json")
        assert vectors(open_space(place)) == before
        assert {p.name: p.read_bytes() for p in other.iterdir()} == other_before
        shutil.rmtree(place / current)  # as it was, for the next damage
        shutil.copytree(intact, place / current)


def test_a_space_of_another_version_is_told_and_left_alone(
    two_spaces: tuple[Path, Path], tiny_model: Path, run: Run
) -> None:
    folder, place = two_spaces
    path = place / open_space(place).meta.id / "meta.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 7, "news": True, "blake2b": "0" * 32}))
    left = {p: p.read_bytes() for p in place.rglob("*") if p.is_file() and p.name != "lock"}
    for words in (("similar", "0.wav"), ("playlist", "0.wav"), ("index", folder, "--model", tiny_model)):
        code, _, err = run(*words, "--space", place)
        check_error(code, err, path, "format is 7, this version reads 1", "open it with the nearfield that wrote it")
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file() and p.name != "lock"} == left


# a full disk

_ON_A_SMALL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
from nearfield.catalogue.space import open_space
from nearfield.cli import main
from nearfield.data.melstore import MelStore

music, more, model, disk = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
index = ["--space", disk + "/S", "--model", model, "--workers", "0"]
said = []

def leave(n_bytes):
    Path(disk, "filler").unlink(missing_ok=True)
    if n_bytes is not None:
        state = os.statvfs(disk)
        Path(disk, "filler").write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - n_bytes)))

def run(what, *words):
    read, write = os.pipe()
    kept = os.dup(2)
    os.dup2(write, 2)
    code = main(list(words))
    sys.stderr.flush()
    os.dup2(kept, 2), os.close(kept), os.close(write)
    with os.fdopen(read) as errors:
        said.append({"what": what, "code": code, "err": errors.read()})

run("room", "index", music, *index)
first = {i: v.tobytes() for i, v in zip(open_space(disk + "/S").ids, open_space(disk + "/S").vectors)}
for free in range(0, 28 * 1024, 4096):
    leave(free)
    run("index", "index", more, *index)
    now = open_space(disk + "/S")
    kept = {i: v.tobytes() for i, v in zip(now.ids, now.vectors)}
    said[-1]["kept"] = all(kept[i] == v for i, v in first.items())
    said[-1]["tracks"] = len(now)
leave(None)
run("room", "index", more, *index)
said[-1]["tracks"] = len(open_space(disk + "/S"))
for name in ("x.npz", "x.parquet", "x.m3u8"):
    out = Path(disk, name)
    words = ["playlist", "0.wav", "-o", str(out), "--space", disk + "/S"]
    if name != "x.m3u8":
        words = ["space", "export", disk + "/S", "-o", str(out)]
    run("room", *words)
    before = out.read_bytes()
    leave(0)
    run(name, *words)
    said[-1]["kept"] = out.read_bytes() == before
    said[-1]["parts"] = len(list(Path(disk).glob("*.part")))
    leave(None)
run("room", "corpus", "scan", music, "-o", disk + "/m.parquet")
for free in (0, 8192, 180_000):
    leave(free)
    run("prepare", "prepare", disk + "/m.parquet", disk + "/store", "--workers", "0")
    run("scan", "corpus", "scan", music, "-o", disk + "/n.parquet")
leave(None)
run("room", "prepare", disk + "/m.parquet", disk + "/store", "--workers", "0")
store = MelStore(Path(disk, "store"))
said[-1]["tracks"], said[-1]["bad"] = len(store), len(store.verify())
print("SAID", json.dumps(said))
"""


def test_a_full_disk(tiny_model: Path, tmp_path: Path) -> None:
    """A real one, of 1 MB: what was there stays and opens, the error says what to do, and with room it goes on."""
    disk, music, more = (tmp_path / n for n in ("disk", "music", "more"))
    for folder in (disk, music, more):
        folder.mkdir()
    own = ["unshare", "-m"]  # the disk is seen by that process alone, and goes with it
    try:
        subprocess.run([*own, "mount", "-t", "tmpfs", "tmpfs", disk], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    for n in range(8):
        soundfile.write((music if n < 4 else more) / f"{n}.wav", tone_track(n, 3.0), RATE_HZ)
    command = [*own, sys.executable, "-c", _ON_A_SMALL_DISK, music, more, tiny_model, disk]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.split("SAID ")[1])
    assert [s for s in said if s["what"] == "room" and (s["code"], s["err"]) not in ((0, ""), (0, TAKEN_UP))] == []
    assert [s["tracks"] for s in said if s["what"] == "room" and "tracks" in s] == [8, 4]
    assert said[-1]["bad"] == 0
    full = [s for s in said if s["what"] != "room" and s["code"] != 0]
    counts = {what: sum(s["what"] == what for s in full) for what in ("index", "prepare", "scan", "x.npz", "x.m3u8")}
    assert counts["index"] >= 4
    assert counts["prepare"] == 3
    assert counts["scan"] >= 2
    for s in full:
        check_error(s["code"], s["err"].removeprefix(TAKEN_UP), disk, "No space left on device", "free space")
    for s in said:
        assert s.get("kept", True), s
        assert s.get("parts", 0) == 0, s
        assert s["what"] != "index" or s["tracks"] == (4 if s["code"] else 8), s
    assert [s["code"] for s in said if s["what"].startswith("x.")] == [2, 2, 2]


TAKEN_UP = "nearfield: took up 4 tracks of an indexing that was interrupted\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", ["similar 0.wav", "similar 0.wav --json", "playlist 0.wav", "space info"])
def test_standard_output_on_a_full_disk(words: str, two_spaces: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "nearfield.cli", *words.split()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "NEARFIELD_SPACE": str(two_spaces[1])},
        )
    check_error(done.returncode, done.stderr, "standard output", "No space left on device")
