"""The command line, in this process: exit codes, what stands on which stream, JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import nearfield
from conftest import RATE_HZ, tone_track
from nearfield.catalogue import embed
from nearfield.cli import main
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.track import Track


@pytest.fixture
def indexed(library: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The space of the library, made by the command."""
    assert (
        main(
            [
                "index",
                str(library),
                "--space",
                str(tmp_path / "S"),
                "--model",
                str(tiny_model),
                "--workers",
                "0",
            ]
        )
        == 0
    )
    out, err = capsys.readouterr()
    assert out.startswith(f"6 tracks in {tmp_path / 'S'}: 6 added (")
    assert err == ""
    return tmp_path / "S"


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nearfield {nearfield.__version__}\n"
    for words in (
        [],
        ["index"],
        ["similar"],
        ["playlist"],
        ["space"],
        ["space", "info"],
        ["space", "export"],
    ):
        with pytest.raises(SystemExit) as left:
            main([*words, "--help"])
        assert left.value.code == 0
        assert "usage: nearfield" in capsys.readouterr().out


def test_help_imports_no_room() -> None:
    program = (
        "import sys; from nearfield.cli import commands; "
        "print([m for m in ('numpy', 'pyarrow', 'onnxruntime', 'soundfile', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["index"],
        ["index", ".", "--workers", "many"],
        ["index", ".", "--slices", "some"],
        ["similar", "x", "-k", "few"],
        ["similar", "x", "--nonsense"],
        ["space", "export", "S"],
    ],
)
def test_usage_errors_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["index", "none"], "{here}/none: no such folder; name an existing folder of music"),
        (
            ["similar", "x", "--space", "none"],
            "none: no such folder; make one with 'nearfield index FOLDER --space ...'",
        ),
        (["similar", "x", "-k", "0"], "-k: is 0; take 1 or more"),
        (
            ["import-mule", "none", "out"],
            "none: cannot be read (No such file or directory); name the published file, model.keras",
        ),
        (["playlist", "--space", "none"], "playlist: no seed was given; name at least one track"),
        (
            ["space", "info", "none"],
            "none: no such folder; make one with 'nearfield index FOLDER --space ...'",
        ),
    ],
)
def test_errors_are_one_line_and_exit_2(
    words: list[str],
    message: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--model", str(tiny_model)] if words[0] == "index" else words) == 2
    assert capsys.readouterr() == ("", f"nearfield: {message.format(here=tmp_path)}\n")


def test_index_json_and_failures(
    indexed: Path, library: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(22):
        (library / f"bad{n:02}.mp3").write_text("text")
    words = ["index", str(library), "--space", str(indexed), "--model", str(tiny_model), "--workers", "0"]
    assert main([*words, "--json"]) == 1
    said = printed(capsys)
    assert (said["unchanged"], said["added"], said["n_tracks"], len(said["failures"])) == (6, 0, 6, 22)
    assert said["failures"][0]["path"] == str(library / "bad00.mp3")
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "6 unchanged" in out
    assert err.count("\n") == 22  # a heading, twenty files, and how many more
    assert err.splitlines()[0] == "22 failed:"
    assert err.splitlines()[-1] == "  and 2 more; all of them: nearfield space info --json"


def test_index_a_manifest(library: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tracks are read whatever their files are called, under the manifest's names; nothing else is."""
    (library / "a.wav").rename(library / "a")
    tracks = (Track("one", "a", title="First"), Track("two", "more/f.ogg"))
    write_manifest(Manifest("m", library, tracks), tmp_path / "m.parquet")
    words = ["--space", str(tmp_path / "S"), "--model", str(tiny_model), "--workers", "0"]
    assert main(["index", str(tmp_path / "m.parquet"), *words, "--json"]) == 0
    said = printed(capsys)
    assert (said["added"], said["n_tracks"]) == (2, 2)
    space = nearfield.open_space(tmp_path / "S")
    assert sorted((t.path, t.name) for t in space.tracks) == [
        (str(library / "a"), "First"),
        (str(library / "more/f.ogg"), "f.ogg"),
    ]
    assert main(["index", str(tmp_path / "none.parquet"), *words]) == 2
    assert "none.parquet: no such file; make one with" in capsys.readouterr().err
    (tmp_path / "text.parquet").write_text("text")
    assert main(["index", str(tmp_path / "text.parquet"), *words]) == 2
    assert "text.parquet: not a readable Parquet file" in capsys.readouterr().err


def test_interrupted_exits_130(
    library: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = embed.TrackReader.__call__

    def stop(self: embed.TrackReader, task: Any) -> Any:
        if task.path.endswith("d.wav"):
            raise KeyboardInterrupt
        return read(self, task)

    monkeypatch.setattr(embed.TrackReader, "__call__", stop)
    words = [
        "index",
        str(library),
        "--space",
        str(tmp_path / "S"),
        "--model",
        str(tiny_model),
        "--workers",
        "0",
    ]
    assert main(words) == 130
    said = "nearfield: interrupted; 3 tracks are in the space, the same command goes on from there\n"
    assert capsys.readouterr() == ("", said)


def test_similar(indexed: Path, library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["similar", "c.ogg", "--space", str(indexed), "-k", "3"]
    assert main(words) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["1", "2", "3"]
    assert main([*words, "--json"]) == 0
    said = printed(capsys)
    assert said["query"]["path"] == str(library / "c.ogg")
    assert [n["path"] for n in said["neighbours"]] == [line[3] for line in lines]
    assert [f"{n['similarity']:.4f}" for n in said["neighbours"]] == [line[1] for line in lines]
    assert said["neighbours"][0]["uri"] == "file://" + said["neighbours"][0]["path"]


def test_similar_to_a_file_outside(
    indexed: Path, library: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = str(shutil.copy(library / "b.flac", tmp_path / "outside.flac"))
    for more in ([], ["--model", str(tiny_model)]):
        assert main(["similar", outside, "--space", str(indexed), "-k", "1", "--json", *more]) == 0
        said = printed(capsys)
        assert said["neighbours"][0]["path"] == str(library / "b.flac")
        assert said["neighbours"][0]["similarity"] == pytest.approx(1, abs=1e-6)


def test_playlist(indexed: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lists.m3u8"
    words = [
        "playlist",
        "a.wav",
        str(library / "more" / "f.ogg"),
        "--space",
        str(indexed),
        "-n",
        "4",
        "-o",
        str(out),
    ]
    assert main(words) == 0
    assert capsys.readouterr().out == f"4 tracks in {out}\n"
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[:5] == ["#EXTM3U", "#EXTINF:12,a.wav", "music/a.wav", "#EXTINF:12,f.ogg", "music/more/f.ogg"]
    assert len(lines) == 9
    assert main([*words, "--absolute", "--json"]) == 0
    said = printed(capsys)
    assert [t["path"] for t in said["seeds"]] == [str(library / "a.wav"), str(library / "more/f.ogg")]
    assert len(said["tracks"]) == 2
    assert out.read_text(encoding="utf-8").splitlines()[2] == str(library / "a.wav")
    assert main([*words, "--without-seeds", "--blend", "all"]) == 0
    assert "music/a.wav" not in out.read_text(encoding="utf-8")


def test_space_info_and_export(
    indexed: Path,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["space", "info", str(indexed)]) == 0
    out = capsys.readouterr().out
    assert "(current)" in out
    assert "tracks     6, 32 dimensions, 8 slices a track" in out
    assert f"music      {library}" in out
    assert main(["space", "export", str(indexed), "-o", str(tmp_path / "x.npz")]) == 0
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["vectors"].shape == (6, 32)
    capsys.readouterr()
    monkeypatch.setenv("NEARFIELD_SPACE", str(indexed))
    assert main(["space", "info", "--json"]) == 0
    (said,) = printed(capsys)["spaces"]
    assert (said["current"], said["n_tracks"], said["problem"]) == (True, 6, "")
    (indexed / said["id"] / said["vectors"]["name"]).unlink()
    assert main(["space", "info"]) == 2
    assert "damaged" in capsys.readouterr().out


def test_a_real_process(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The command as installed, with workers, and a three-channel file at 48 kHz among the others."""
    sound = np.stack([tone_track(9, 5.0, 3 * RATE_HZ)] * 3, axis=1)
    soundfile.write(library / "wide.wav", sound, 3 * RATE_HZ)
    command = [sys.executable, "-m", "nearfield.cli", "index", library, "--space", tmp_path / "S", "--json"]
    done = subprocess.run(
        [*map(str, command), "--model", str(tiny_model), "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["added"] == 7
