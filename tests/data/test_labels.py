"""A CSV of labels over a scanned folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from conftest import tone_track
from nearfield.cli import main
from nearfield.data.labels import label_tracks
from nearfield.data.manifest import Manifest, read_manifest
from nearfield.data.track import Track
from nearfield.errors import ManifestError


def labelled(folder: Path, text: str, columns: tuple[str, ...] = (), **track: object) -> Track:
    table = folder / "labels.csv"
    table.write_text(text, encoding="utf-8-sig")
    known = Track("one", "audio/one.opus", **track)  # type: ignore[arg-type]
    found = label_tracks(Manifest("m", folder, (known,)), table, columns)
    assert found.failures == ()
    return found.manifest.tracks[0]


def test_columns_named_like_a_tracks_fields_are_taken(tmp_path: Path) -> None:
    text = "file,genre,artist,bpm,key,year,mood,id3\naudio/one.opus,rock,Ännie,127.5,8A,1999,sad; calm ;sad,Other\n"
    track = labelled(tmp_path, text, ("mood",), title="kept", genre="as the file says")
    assert (track.genre, track.artist, track.tempo_bpm, track.key, track.year) == (
        "rock",
        "Ännie",
        127.5,
        "A minor",
        1999,
    )
    assert track.tags == ("sad", "calm")
    assert track.title == "kept"
    assert track.factors == {"id3": "Other"}


def test_an_empty_cell_leaves_what_was_known(tmp_path: Path) -> None:
    text = "path,genre,bpm,key,year,tags\naudio/one.opus,,abc,?,,\n"
    track = labelled(tmp_path, text, ("tags",), genre="jazz", tempo_bpm=90.0, key="C major", year=1960, tags=("old",))
    assert (track.genre, track.tempo_bpm, track.key, track.year, track.tags) == (
        "jazz",
        90.0,
        "C major",
        1960,
        ("old",),
    )


def test_rows_and_tracks_that_do_not_meet_are_listed(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,genre\ngone.wav,rock\nb.wav,pop\n")
    manifest = Manifest("m", tmp_path, (Track("a", "a.wav"), Track("b", "b.wav")))
    found = label_tracks(manifest, tmp_path / "labels.csv")
    assert [t.genre for t in found.manifest] == ["", "pop"]
    assert [(Path(f.path).name, f.cause) for f in found.failures] == [
        ("a.wav", f"has no row in {tmp_path / 'labels.csv'}"),
        ("gone.wav", "is named in the table but not there"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,genre\na,b\n", "has none of the columns file, path"),
        ("file,mood\na.wav,b\na.wav,c\n", "names 'a.wav' twice"),
        ("file,genre\na.wav,b\n", "has no column 'mood'; its columns are file, genre"),
        ("", "has none of the columns"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        label_tracks(Manifest("m", tmp_path, (Track("a", "a.wav"),)), tmp_path / "labels.csv", ("mood",))


def test_a_table_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00file")
    for name in ("labels.csv", "none.csv"):
        with pytest.raises(ManifestError, match=r"cannot be read .*; give a CSV file in UTF-8"):
            label_tracks(Manifest("m", tmp_path, (Track("a", "a.wav"),)), tmp_path / name)


def test_the_command_writes_the_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "music").mkdir()
    soundfile.write(tmp_path / "music" / "a.wav", tone_track(0, 2.0), 22_050)
    (tmp_path / "music" / "labels.csv").write_text("file,genre,mood\na.wav,folk,calm\n")
    out = tmp_path / "m.parquet"
    words = [
        "corpus",
        "scan",
        str(tmp_path / "music"),
        "-o",
        str(out),
        "--labels",
        str(tmp_path / "music" / "labels.csv"),
    ]
    assert main([*words, "--tags", "mood"]) == 0
    assert "1 tracks" in capsys.readouterr().out
    assert [(t.genre, t.tags) for t in read_manifest(out)] == [("folk", ("calm",))]
