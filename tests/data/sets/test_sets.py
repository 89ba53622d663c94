"""Each set from a tiny invented copy of its layout: its labels, its split, and what is listed when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sets import layouts
from nearfield.cli import main
from nearfield.cli.corpora import SetName
from nearfield.data.manifest import read_manifest, write_manifest
from nearfield.data.scan import parse_tempo
from nearfield.data.sets.gather import SetResult
from nearfield.data.sets.known import SETS, read_set
from nearfield.data.sets.magnatagatune import TOP_50
from nearfield.data.track import Track
from nearfield.errors import CorpusError

MADE: dict[str, Callable[[Path], Path]] = {
    "acm-mirum": layouts.acm_mirum,
    "ballroom": layouts.ballroom,
    "emomusic": layouts.emomusic,
    "emotify": layouts.emotify,
    "fma": layouts.fma,
    "giantsteps-key": layouts.giantsteps,
    "giantsteps-tempo": layouts.giantsteps,
    "gtzan": layouts.gtzan,
    "hainsworth": layouts.hainsworth,
    "magnatagatune": layouts.magnatagatune,
    "mtg-jamendo": layouts.jamendo,
    "nsynth": layouts.nsynth,
}


def tracks_of(result: SetResult) -> dict[str, Track]:
    return {t.id: t for t in result.manifest}


def sound(root: Path, name: str, part: str | None = None) -> dict[str, Track]:
    """The tracks of a copy with nothing wrong in it."""
    result = read_set(name, MADE[name](root), part)
    assert result.failures == ()
    assert all((root / t.path).is_file() and t.content_hash.startswith("stat:") for t in result.manifest)
    return tracks_of(result)


def test_every_set_is_known_to_the_command_and_tried_here() -> None:
    assert set(get_args(SetName)) == set(SETS) == set(MADE)


def test_magnatagatune(tmp_path: Path) -> None:
    tracks = sound(tmp_path, "magnatagatune")
    assert [(t.tags, t.split) for t in tracks.values()] == [
        (("guitar", "no voice"), "train"),
        (("no voice",), "validation"),
        ((), "held-out"),
    ]
    assert (tracks["2"].path, tracks["2"].title, tracks["2"].artist) == ("mp3/0/a-1-30.mp3", "Title 2", "Artist 2")
    assert tracks["2"].licence == "CC BY-NC-SA 1.0"
    assert tracks_of(read_set("magnatagatune", tmp_path, "all"))["3"].tags == ("oboe", "no voice")
    assert len(TOP_50) == 50


def test_the_folder_says_the_side_of_a_magnatagatune_clip(tmp_path: Path) -> None:
    shards = "0123456789abcdef"
    rows = "".join(f"{n}\t1\t{shard}/x.mp3\n" for n, shard in enumerate(shards))
    layouts.text(tmp_path / "annotations_final.csv", "clip_id\tguitar\tmp3_path\n" + rows)
    layouts.text(tmp_path / "clip_info_final.csv", "clip_id\ttitle\tartist\talbum\n")
    for shard in shards:
        layouts.tone(tmp_path / shard / "x.mp3")
    splits = [t.split for t in read_set("magnatagatune", tmp_path).manifest]
    assert splits == ["train"] * 12 + ["validation"] + ["held-out"] * 3


def test_jamendo(tmp_path: Path) -> None:
    first, second, third = sound(tmp_path, "mtg-jamendo").values()
    assert (first.split, second.split, third.split) == ("train", "validation", "held-out")
    assert (first.title, first.artist, first.year, first.duration_s) == ('"The Quoted', "Band", 2004, 124.6)
    assert (second.artist, second.path) == ("artist_000020", "raw_30s/audio/82/382.low.mp3")
    assert second.tags == ("genre---rock", "instrument---voice")
    assert [t.licence for t in (first, second, third)] == [
        "Available under CC BY 3.0",
        "",
        "Available under CC BY-SA 3.0",
    ]


def test_gtzan(tmp_path: Path) -> None:
    tracks = sound(tmp_path, "gtzan")
    assert {t.id: (t.genre, t.split) for t in tracks.values()} == {
        "blues.00000": ("blues", "train"),
        "rock.00000": ("rock", "train"),
        "blues.00001": ("blues", "validation"),
        "rock.00002": ("rock", "held-out"),  # listed as .au, there as .wav
    }
    assert [t.tempo_bpm for t in tracks.values()] == [126.5, None, None, None]
    everything = read_set("gtzan", tmp_path, "all")
    assert [t.split for t in everything.manifest] == [""] * 6
    assert "no folder classical" in everything.notes


def test_giantsteps(tmp_path: Path) -> None:
    tempi = sound(tmp_path, "giantsteps-tempo")
    assert [(t.id, t.tempo_bpm, t.genre) for t in tempi.values()] == [
        ("28952", 126.5, "chill-out"),
        ("3041381", None, "chill-out"),  # 0.0: no tempo was found
    ]
    assert [t.tempo_bpm for t in read_set("giantsteps-tempo", tmp_path, "v1").manifest] == [127, 180]
    assert {t.id: t.key for t in sound(tmp_path, "giantsteps-key").values()} == {
        "28952": "Db major",
        "3041381": "E minor",
    }


def test_ballroom(tmp_path: Path) -> None:
    tracks = sound(tmp_path, "ballroom")
    assert {t.id: (t.genre, t.tempo_bpm) for t in tracks.values()} == {
        "Albums-Fire-08": ("ChaChaCha", pytest.approx(120)),
        "Media-1": ("Waltz", pytest.approx(120)),
    }
    assert read_set("ballroom", tmp_path).notes == ("1 excerpts left out that are copies of others",)
    assert "Albums-Fire-09" in tracks_of(read_set("ballroom", tmp_path, "all"))


# As the annotations' README has them, after Sturm: of each pair the first is kept.
PAIRS = (
    ("Albums-AnaBelen_Veneo-11", "Albums-Chrisanne2-12"),
    ("Albums-Fire-08", "Albums-Fire-09"),
    ("Albums-Latin_Jam2-05", "Albums-Latin_Jam2-13"),
    ("Albums-Secret_Garden-01", "Media-104705"),
    ("Albums-AnaBelen_Veneo-03", "Albums-AnaBelen_Veneo-15"),
    ("Albums-Ballroom_Magic-03", "Albums-Ballroom_Magic-18"),
    ("Albums-Latin_Jam-04", "Albums-Latin_Jam-13"),
    ("Albums-Latin_Jam-08", "Albums-Latin_Jam-14"),
    ("Albums-Latin_Jam-06", "Albums-Latin_Jam-15"),
    ("Albums-Latin_Jam2-02", "Albums-Latin_Jam2-14"),
    ("Albums-Latin_Jam2-07", "Albums-Latin_Jam2-15"),
    ("Albums-Latin_Jam3-02", "Media-103414"),
    ("Media-103402", "Media-103415"),
)


def test_of_each_pair_of_copies_in_ballroom_the_first_is_kept(tmp_path: Path) -> None:
    for pair in PAIRS:
        for stem in pair:
            layouts.tone(tmp_path / "ChaChaCha" / f"{stem}.wav")
            layouts.text(tmp_path / "beats" / f"{stem}.beats", "0.0 1\n0.5 2\n")
    assert set(tracks_of(read_set("ballroom", tmp_path))) == {first for first, _ in PAIRS}
    assert len(read_set("ballroom", tmp_path, "all").manifest) == 26


@pytest.mark.parametrize("beats", ["0.5 1\n", "0.5 1\nx 2\n1.5 3\n", "1.0 1\n0.5 2\n", ""])
def test_ballroom_beats_that_give_no_tempo(tmp_path: Path, beats: str) -> None:
    layouts.ballroom(tmp_path)
    (tmp_path / "BallroomAnnotations-master" / "Media-1.beats").write_text(beats)
    result = read_set("ballroom", tmp_path)
    assert [f.cause for f in result.failures] == ["does not hold two or more beats in rising order"]
    assert [t.id for t in result.manifest] == ["Albums-Fire-08"]


def test_fma(tmp_path: Path) -> None:
    (small,) = sound(tmp_path, "fma").values()
    assert (small.title, small.artist, small.album, small.genre) == ("Food", "AWOL", "One", "Hip-Hop")
    assert (small.tags, small.year, small.licence) == (("Hip-Hop", "Pop"), 2009, "CC BY-NC")
    assert (small.duration_s, small.path) == (None, "fma_small/000/000002.mp3")
    large = read_set("fma", tmp_path, "large").manifest
    assert [(t.id, t.split) for t in large] == [("2", "train"), ("5", "validation"), ("140000", "held-out")]
    assert [t.title for t in large][1] == "Two\nlines, quoted"
    (tmp_path / "fma_large").rename(tmp_path / "fma_full")
    assert [t.duration_s for t in read_set("fma", tmp_path, "full").manifest] == [168, 237, 206]


def test_emomusic(tmp_path: Path) -> None:
    first, second = sound(tmp_path, "emomusic").values()
    assert (first.title, first.artist, first.genre, first.split) == ("A, title", "The Artist", "Blues", "train")
    assert first.factors == {"arousal": "3.1", "valence": "3.0"}
    assert second.split == "held-out"


def test_nsynth(tmp_path: Path) -> None:
    first, second = sound(tmp_path, "nsynth").values()
    assert first.factors == {
        "instrument_family": "bass",
        "instrument_source": "synthetic",
        "instrument": "bass_synthetic_033",
        "pitch": "22",
        "velocity": "50",
    }
    assert (first.tags, first.split, second.split) == (("dark",), "train", "held-out")
    assert read_set("nsynth", tmp_path).notes == ("nsynth-valid is not there",)


def test_nsynth_notes_that_are_broken(tmp_path: Path) -> None:
    layouts.nsynth(tmp_path)
    listed = tmp_path / "nsynth-train" / "examples.json"
    lacking = layouts.nsynth_note()
    del lacking["pitch"]
    notes = {"a": lacking, "b": 3, "c": layouts.nsynth_note(qualities_str="dark")}
    listed.write_text(json.dumps(notes))
    assert [f.cause for f in read_set("nsynth", tmp_path).failures] == [
        "has no 'pitch'",
        "is not an object",
        "its qualities_str are not a list of texts",
    ]
    for text in ("[]", "{"):
        listed.write_text(text)
        with pytest.raises(CorpusError, match=r"examples.json: .*; unpack the archive again"):
            read_set("nsynth", tmp_path)


@pytest.mark.parametrize(("name", "tempi"), [("acm-mirum", [126.5, 98]), ("hainsworth", [120.2, 88])])
def test_lists_of_tempi(tmp_path: Path, name: str, tempi: list[float]) -> None:
    assert [t.tempo_bpm for t in sound(tmp_path, name).values()] == tempi


def test_emotify(tmp_path: Path) -> None:
    first, second = sound(tmp_path, "emotify").values()
    assert (first.id, first.genre, second.path) == ("001", "classical", "emotifymusic/rock/100.mp3")
    assert first.duration_s == pytest.approx(1.5, abs=0.1)
    assert (first.factors["tension"], first.factors["nostalgia"], first.factors["power"]) == (
        "1.0000",
        "0.6667",
        "0.0000",
    )
    assert (first.factors["emotion_top"], first.factors["listeners"]) == ("tension", "3")
    (tmp_path / "emotifymusic" / "rock" / "100.mp3").rename(tmp_path / "emotifymusic" / "rock" / "200.mp3")
    assert tracks_of(read_set("emotify", tmp_path))["200"].path == "emotifymusic/rock/200.mp3"


# set -> (a table, a row that is put at its end, what is said of it)
BROKEN_ROWS = {
    "acm-mirum": ("acm_mirum_tempos.mf", "x.wav\tfast\n", "is 'x.wav\\tfast'"),
    "emomusic": ("annotations/songs_info.csv", "4,short\n", "has 2 cells, 8 are due"),
    "emotify": ("data.csv", "401,jazz" + ",0" * 15 + "\n", "track id and genre are '401' and 'jazz'"),
    "fma": ("fma_metadata/tracks.csv", "x" + "," * 10 + "\n", "track_id, subset and split are 'x', '' and ''"),
    "giantsteps-key": ("annotations/key/28952.LOFI.key", "H major", "holds 'H major'"),
    "giantsteps-tempo": ("annotations_v2/tempo/7.LOFI.bpm", "fast", "holds 'fast'"),
    "gtzan": ("train_filtered.txt", "17\n", "names '17', where genre/file is due"),
    "hainsworth": ("hains_tempos.mf", "\t120\n", "is '120'"),
    "magnatagatune": ("annotations_final.csv", '9\t1\t0\t2\t"0/a-1-30.mp3"\n', "'no voice' is '2', neither 0 nor 1"),
    "mtg-jamendo": ("data/splits/split-0/autotagging_top50tags-test.tsv", "a\tb\tc\td\te\trock\n", "DURATION is 'e'"),
}


@pytest.mark.parametrize("name", BROKEN_ROWS)
def test_a_broken_row_is_listed_and_costs_only_itself(tmp_path: Path, name: str) -> None:
    before = len(read_set(name, MADE[name](tmp_path)).manifest)
    table, row, cause = BROKEN_ROWS[name]
    with (tmp_path / table).open("a") as file:
        file.write(row)
    result = read_set(name, tmp_path)
    assert len(result.manifest) == before
    (failure,) = result.failures
    assert cause in failure.cause
    assert Path(table).name in failure.path


def test_an_open_quote_ends_with_its_line(tmp_path: Path) -> None:
    table = layouts.magnatagatune(tmp_path) / "annotations_final.csv"
    lines = table.read_text().splitlines()
    lines[1] = '"2\t1\t0\t1\t0/a-1-30.mp3'
    table.write_text("\n".join(lines) + "\n")
    result = read_set("magnatagatune", tmp_path)
    assert [(f.path, f.cause) for f in result.failures] == [("annotations_final.csv:2", "has 1 cells, 5 are due")]
    assert list(tracks_of(result)) == ["3", "4"]


TABLES = {
    "emomusic": "annotations/static_annotations.csv",
    "emotify": "data.csv",
    "fma": "fma_metadata/tracks.csv",
    "hainsworth": "hains_tempos.mf",
    "magnatagatune": "annotations_final.csv",
    "mtg-jamendo": "data/splits/split-0/autotagging_top50tags-test.tsv",
}


@pytest.mark.parametrize("name", TABLES)
def test_garbage_after_the_rows_costs_none_of_them(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = MADE[name](tmp_path_factory.mktemp("set"))
    table = root / TABLES[name]
    rows, before = table.read_bytes(), list(tracks_of(read_set(name, root)))

    @given(st.one_of(st.binary(max_size=60), st.text('"\t,\n\r\0 01x./', max_size=60).map(str.encode)))
    @settings(max_examples=60, deadline=None, derandomize=True)
    def garbage(tail: bytes) -> None:
        table.write_bytes(rows + tail)
        assert list(tracks_of(read_set(name, root)))[: len(before)] == before

    garbage()


def test_a_cell_too_long_for_a_table_is_one_broken_row(tmp_path: Path) -> None:
    for name, table in (("fma", TABLES["fma"]), ("magnatagatune", TABLES["magnatagatune"])):
        root = MADE[name](tmp_path / name)
        with (root / table).open("a") as file:
            file.write("x" * 200_000 + "\n" + "y\n")
        causes = [f.cause for f in read_set(name, root).failures]
        assert causes[0].startswith("field larger than field limit")
        assert len(causes) == 2
        assert causes[1].startswith("has 1 cells")


@pytest.mark.parametrize("name", MADE)
def test_audio_that_is_absent_or_empty_is_listed(tmp_path: Path, name: str) -> None:
    whole = read_set(name, MADE[name](tmp_path)).manifest
    kept = [t for t in whole if t.id != whole.tracks[0].id]
    if not kept:  # fma's small part has one track
        whole = read_set(name, tmp_path, "large").manifest
        kept = list(whole.tracks[1:])
    part = "large" if name == "fma" else None
    first = whole.locate(whole.tracks[0])
    first.write_bytes(b"")
    result = read_set(name, tmp_path, part)
    assert [t.id for t in result.manifest] == [t.id for t in kept]
    assert [f.cause for f in result.failures] == ["is empty"]
    first.unlink()
    result = read_set(name, tmp_path, part)
    assert [t.id for t in result.manifest] == [t.id for t in kept]
    assert [f.cause for f in result.failures] in (
        ["is named by the labels but not there"],
        ["has no audio of its name"],
    )


@pytest.mark.parametrize("name", MADE)
def test_another_layout_says_what_was_looked_for_and_where(tmp_path: Path, name: str) -> None:
    layouts.tone(tmp_path / "music" / "a.wav")
    with pytest.raises(CorpusError, match=r"holds no .*: looked for \S+.*; see docs/datasets.md") as caught:
        read_set(name, tmp_path)
    assert caught.value.subject == str(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        read_set(name, tmp_path / "none")


def test_a_table_without_its_columns_names_them(tmp_path: Path) -> None:
    layouts.emomusic(tmp_path)
    layouts.text(tmp_path / "annotations" / "songs_info.csv", "id,Artist\n2,A\n")
    with pytest.raises(CorpusError, match=r"songs_info.csv: has no column 'song_id'; its columns are id, Artist"):
        read_set("emomusic", tmp_path)


def test_a_set_of_which_nothing_is_left(tmp_path: Path) -> None:
    layouts.text(tmp_path / "hains_tempos.mf", "a.wav\t120\n")
    with pytest.raises(CorpusError, match=r"no track of hainsworth could be kept \(the first of 1: a.wav is named"):
        read_set("hainsworth", tmp_path)


def test_unknown_sets_and_parts(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="set 'msd': is not known; name one of acm-mirum"):
        read_set("msd", tmp_path)
    with pytest.raises(CorpusError, match="set fma: has no part 'tiny'; name one of small, medium, large, full"):
        read_set("fma", tmp_path, "tiny")


def test_an_id_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    table = layouts.hainsworth(tmp_path) / "hains_tempos.mf"
    table.write_text("001.wav\t120\nx/001.wav\t90\n")
    result = read_set("hainsworth", tmp_path)
    assert [t.tempo_bpm for t in result.manifest] == [120]
    assert [f.cause for f in result.failures] == ["id '001' occurs more than once"]


@pytest.mark.parametrize("name", MADE)
def test_the_manifest_survives_being_written(tmp_path: Path, name: str) -> None:
    manifest = read_set(name, MADE[name](tmp_path / "set")).manifest
    write_manifest(manifest, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").tracks == manifest.tracks


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out" / "m.parquet"
    folder = layouts.gtzan(tmp_path / "gtzan")
    assert main(["corpus", "set", "gtzan", str(folder), "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["tracks"], said["splits"]) == (4, {"train": 2, "validation": 1, "held-out": 1})
    assert said["failures"] == []
    (folder / "genres" / "blues" / "blues.00001.wav").unlink()
    assert main(["corpus", "set", "gtzan", str(folder), "-o", str(out)]) == 1
    shown = capsys.readouterr()
    assert "3 tracks" in shown.out
    assert "genres/blues/blues.00001.wav: is named by the labels but not there" in shown.err
    assert len(read_manifest(out)) == 3
    assert main(["corpus", "set", "gtzan", str(tmp_path / "gtzan" / "genres" / "rock")]) == 2
    assert "looked for blues, */blues, */*/blues" in capsys.readouterr().err


def test_tempo_annotations_are_held_to_the_manifests_bounds() -> None:
    assert (parse_tempo("0.0"), parse_tempo("19"), parse_tempo("400")) == (None, None, 400)
