"""Folders of music: what is found, what the tags say, and what is passed over."""

from __future__ import annotations

import os
import string
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from nearfield.data.manifest import read_manifest, write_manifest
from nearfield.data.scan import (
    ScanProgress,
    find_audio,
    parse_key,
    parse_tempo,
    scan_folder,
    tags_of,
    track_ids,
)
from nearfield.data.track import KEY_PATTERN
from nearfield.errors import AudioError, CorpusError

RATE_HZ = 16_000
NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}


def write_sound(path: Path, seconds: float = 1.0, **tags: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".oga": "OGG", ".opus": "OGG", ".aif": "AIFF"}.get(path.suffix, path.suffix[1:].upper())
    samples = 0.1 * np.sin(np.arange(round(seconds * RATE_HZ)) * 0.2)
    subtype = "OPUS" if path.suffix == ".opus" else None
    with soundfile.SoundFile(os.fsencode(path), "w", RATE_HZ, 1, subtype, format=kind) as out:
        for name, value in tags.items():
            setattr(out, name, value)
        out.write(samples)
    return path


def id3(**frames: str) -> bytes:
    """An ID3v2.3 tag of text frames (UTF-16), to stand before an MP3."""
    body = b""
    for name, value in frames.items():
        text = b"\x01" + value.encode("utf-16")
        body += name.encode() + struct.pack(">IH", len(text), 0) + text
    size = bytes((len(body) >> s) & 0x7F for s in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + body


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "aif", "aiff", "oga", "opus", "caf"])
def test_each_format_is_read_with_its_duration(tmp_path: Path, extension: str) -> None:
    write_sound(tmp_path / f"a.{extension}", 1.5)
    (track,) = scan_folder(tmp_path).manifest
    assert track.duration_s == pytest.approx(1.5, abs=0.15)
    assert (track.id, track.path, track.package, track.licence) == (f"a.{extension}", f"a.{extension}", "", "")
    state = (tmp_path / f"a.{extension}").stat()
    assert track.content_hash == f"stat:{state.st_size}-{state.st_mtime_ns}"


@pytest.mark.parametrize("extension", ["flac", "ogg"])
def test_tags_are_read(tmp_path: Path, extension: str) -> None:
    path = write_sound(
        tmp_path / f"a.{extension}",
        title=" Mañana ",
        artist="Ünder",
        album="One",
        genre="Samba",
        date="2019-05-01",
    )
    tags = tags_of(path)
    assert (tags.title, tags.artist, tags.album, tags.genre, tags.year) == (
        "Mañana", "Ünder", "One", "Samba", 2019
    )  # fmt: skip


def test_tempo_and_key_are_read_from_mp3_tags(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "plain.mp3").read_bytes()
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(id3(TIT2="名前", TPE1="Someone", TBPM="128", TKEY="8A", TYER="1987") + sound)
    tags = tags_of(tagged)
    assert (tags.title, tags.artist, tags.tempo_bpm, tags.key, tags.year) == (
        "名前", "Someone", 128.0, "A minor", 1987
    )  # fmt: skip
    tagged.write_bytes(id3(TBPM="0", TKEY="off") + sound)
    assert (tags_of(tagged).tempo_bpm, tags_of(tagged).key) == (None, "")


def test_a_folder_is_walked_in_order_and_the_manifest_can_be_kept(tmp_path: Path) -> None:
    music = tmp_path / "music"
    for name in ("b/2.ogg", "b/1.WAV", "a.flac", "...And/x.wav", ".hidden/y.wav", "b/._1.wav", "notes.txt"):
        if name.endswith("txt"):
            (music / name).write_text("no music")
        else:
            write_sound(music / name)
    seen: list[ScanProgress] = []
    result = scan_folder(music, progress=seen.append)
    assert [t.id for t in result.manifest] == ["...And/x.wav", "a.flac", "b/1.WAV", "b/2.ogg"]
    assert (result.manifest.name, result.failures) == ("music", ())
    assert [(s.done, s.total) for s in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    write_manifest(result.manifest, tmp_path / "m.parquet")
    kept = read_manifest(tmp_path / "m.parquet")
    assert all(kept.locate(t).is_file() for t in kept)
    assert scan_folder(music).manifest.digest() == result.manifest.digest()


def test_odd_names_survive(tmp_path: Path) -> None:
    music = tmp_path / "music"
    names = [b"new\nline.wav", b"latin\xe9.wav", "日本 ü.ogg".encode(), b"  spaced .flac", b"quote\"'.wav"]
    for name in names:
        write_sound(music / os.fsdecode(name))
    result = scan_folder(music)
    assert result.failures == ()
    assert {os.fsencode(t.path) for t in result.manifest} == set(names)
    assert {t.id for t in result.manifest} >= {"new\\nline.wav", "latin\\xe9.wav"}
    write_manifest(result.manifest, tmp_path / "m.parquet")
    kept = read_manifest(tmp_path / "m.parquet")
    assert {os.fsencode(t.path) for t in kept} == set(names)
    assert all(kept.locate(t).is_file() for t in kept)


def test_ids_that_read_the_same_are_told_apart(tmp_path: Path) -> None:
    write_sound(tmp_path / "a\n.wav")
    write_sound(tmp_path / "a\\n.wav")
    assert sorted(t.id for t in scan_folder(tmp_path).manifest) == ["a\\n.wav", "a\\n.wav#2"]
    paths = [tmp_path / n for n in ("x\n", "x\\n", "x\\n#2")]
    assert track_ids(tmp_path, paths) == ["x\\n", "x\\n#3", "x\\n#2"]


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "m4a", "wma", "aac", "caf"])
@pytest.mark.parametrize("content", [b"", b"not music at all" * 100, bytes(5000)])
def test_what_is_no_sound_is_listed(tmp_path: Path, extension: str, content: bytes) -> None:
    write_sound(tmp_path / "good.wav")
    (tmp_path / f"bad.{extension}").write_bytes(content)
    result = scan_folder(tmp_path)
    assert [t.id for t in result.manifest] == ["good.wav"]
    assert [f.path for f in result.failures] == [f"bad.{extension}"]
    assert result.failures[0].cause
    assert result.failures[0].remedy
    with pytest.raises(AudioError):
        tags_of(tmp_path / f"bad.{extension}")


def test_broken_tags_do_not_matter_when_the_sound_opens(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "plain.mp3").read_bytes()
    frame = b"TIT2" + struct.pack(">IH", 2**31, 0xFFFF) + b"\x07rubbish"
    (tmp_path / "broken.mp3").write_bytes(b"ID3\x03\x00\xff\x00\x00\x00" + bytes([len(frame)]) + frame + sound)
    assert tags_of(tmp_path / "broken.mp3").duration_s > 0.9


def test_an_exploding_tag_reader_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise RecursionError

    path = write_sound(tmp_path / "a.wav", 2.0)
    monkeypatch.setattr("tinytag.TinyTag.get", explode)
    assert tags_of(path).duration_s == 2.0


def test_links_are_followed_once(tmp_path: Path) -> None:
    music, elsewhere = tmp_path / "music", tmp_path / "elsewhere"
    write_sound(music / "real/a.wav")
    write_sound(elsewhere / "b.wav")
    write_sound(elsewhere / "c.wav")
    (music / "real/loop").symlink_to(music)
    (music / "again.wav").symlink_to(music / "real/a.wav")
    (music / "early").symlink_to(music / "real")
    (music / "other").symlink_to(elsewhere)
    (music / "single.wav").symlink_to(elsewhere / "c.wav")
    (music / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (music / "self.wav").symlink_to(music / "self.wav")
    found = find_audio(music)
    assert [p.relative_to(music).as_posix() for p in found.paths] == [
        "other/b.wav",
        "other/c.wav",
        "real/a.wav",
    ]
    assert sorted(Path(f.path).name for f in found.failures) == ["gone.wav", "self.wav"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_listed(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav")
    write_sound(tmp_path / "locked/b.wav")
    (tmp_path / "locked").chmod(0)
    try:
        result = scan_folder(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o755)
    assert [t.id for t in result.manifest] == ["a.wav"]
    assert [(Path(f.path).name, f.cause) for f in result.failures] == [("locked", "Permission denied")]


def test_a_folder_that_cannot_be_listed_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sound(tmp_path / "a.wav")
    (tmp_path / "locked").mkdir()
    real = os.listdir

    def listdir(path: os.PathLike[str]) -> list[str]:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    result = scan_folder(tmp_path)
    assert len(result.manifest) == 1
    assert [(Path(f.path).name, f.cause) for f in result.failures] == [("locked", "Permission denied")]


def test_no_music_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no audio files found; name a folder with"):
        scan_folder(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        scan_folder(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="is not a folder"):
        find_audio(write_sound(tmp_path / "a.wav"))
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no audio file can be read \(1 failed"):
        scan_folder(tmp_path)


@pytest.mark.parametrize("number", range(1, 13))
def test_camelot_and_open_key_are_the_circle_of_fifths(number: int) -> None:
    for suffix, mode, tonic in (("A", "minor", 9), ("B", "major", 0)):
        key = parse_key(f"{number}{suffix}")
        name, _, found_mode = key.partition(" ")
        assert KEY_PATTERN.match(key)
        assert found_mode == mode
        assert NOTES.index(FLATS.get(name, name)) == (tonic + 7 * (number - 8)) % 12
        assert parse_key(f"{number:02d}{suffix.lower()}") == key
    assert parse_key(f"{number}m") == parse_key(f"{(number + 6) % 12 + 1}A")
    assert parse_key(f"{number}d") == parse_key(f"{(number + 6) % 12 + 1}B")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Am", "A minor"), ("F#m", "F# minor"), ("C", "C major"), ("Bb", "Bb major"),
        ("bbm", "Bb minor"),
        ("E♭ Major", "Eb major"), ("C♯ min", "C# minor"), ("Gmaj", "G major"), ("AM", "A major"),
        ("d minor", "D minor"), ("A-flat minor", "Ab minor"), ("D sharp min", "D# minor"),
        (" Em ", "E minor"),
        ("8A", "A minor"), ("8B", "C major"), ("1m", "A minor"), ("1d", "C major"), ("12A", "C# minor"),
        ("", ""), ("o", ""), ("H", ""), ("13A", ""), ("0A", ""), ("a", ""), ("All", ""), ("C dorian", ""),
        ("Amaze", ""),
    ],
)  # fmt: skip
def test_keys(text: str, key: str) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize(
    ("text", "tempo_bpm"),
    [
        ("128", 128.0), ("127,98", 127.98), ("174.00 BPM", 174.0), ("20", 20.0), ("400", 400.0),
        ("19.9", None),
        ("401", None), ("0", None), ("nan", None), ("inf", None), ("", None), ("fast", None),
        ("120-130", None),
    ],
)  # fmt: skip
def test_tempos(text: str, tempo_bpm: float | None) -> None:
    assert parse_tempo(text) == tempo_bpm


@given(st.text(alphabet=string.printable + "♯♭é", max_size=12))
def test_any_text_gives_a_key_or_nothing(text: str) -> None:
    key = parse_key(text)
    assert key == "" or KEY_PATTERN.match(key)
    tempo_bpm = parse_tempo(text)
    assert tempo_bpm is None or 20 <= tempo_bpm <= 400
