"""Tiny invented copies of published sets, in their layouts: short tones, and labels that are made up."""

from __future__ import annotations

import json
from pathlib import Path

import soundfile

from conftest import tone_track


def tone(path: Path) -> Path:
    """A quarter of a second of sound (as WAV, whatever the name says: loaders do not decode)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone_track(len(path.name), 0.25), 16_000, format="WAV")
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def magnatagatune(root: Path) -> Path:
    clips = ("0/a-1-30.mp3", "c/b-1-30.mp3", "f/c-1-30.mp3")
    marks = ("1\t0\t1", "0\t1\t1", "0\t0\t0")
    rows = [f'"{n}"\t{m}\t"{clip}"' for n, (clip, m) in enumerate(zip(clips, marks, strict=True), 2)]
    text(
        root / "annotations_final.csv", "\n".join(['"clip_id"\t"guitar"\t"oboe"\t"no voice"\t"mp3_path"', *rows]) + "\n"
    )
    info = [f'{n}\t1\t"Title {n}"\t"Artist {n}"\t"Album"\t"{clip}"' for n, clip in enumerate(clips, 2)]
    header = '"clip_id"\t"track_number"\t"title"\t"artist"\t"album"\t"mp3_path"'
    text(root / "clip_info_final.csv", "\n".join([header, *info]) + "\n")
    for clip in clips:
        tone(root / "mp3" / clip)
    return root


def jamendo(root: Path) -> Path:
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
    rows = {
        "train": "track_0000214\tartist_000014\talbum_000031\t14/214.mp3\t124.6\tgenre---punkrock\n",
        "validation": "track_0000382\tartist_000020\talbum_000046\t82/382.mp3\t211.1\tgenre---rock\tinstrument---voice\n",
        "test": "track_0000759\tartist_000103\talbum_000124\t59/759.mp3\t379.8\tmood/theme---happy\n",
    }
    for split, row in rows.items():
        text(root / "data" / "splits" / "split-0" / f"autotagging_top50tags-{split}.tsv", header + row)
    meta = "TRACK_ID\tARTIST_ID\tALBUM_ID\tTRACK_NAME\tARTIST_NAME\tALBUM_NAME\tRELEASEDATE\tURL\n"
    named = 'track_0000214\tartist_000014\talbum_000031\t"The Quoted\tBand\tRecord\t2004-12-31\thttp://x\n'
    text(root / "data" / "raw.meta.tsv", meta + named)
    terms = "14/214.mp3\nThe Quoted by Band\nAvailable under CC BY 3.0\n\n59/759.mp3\nX by Y\nAvailable under CC BY-SA 3.0\n"
    text(root / "audio_licenses.txt", terms)
    tone(root / "raw_30s" / "audio" / "14" / "214.mp3")
    tone(root / "raw_30s" / "audio" / "82" / "382.low.mp3")
    tone(root / "raw_30s" / "audio" / "59" / "759.mp3")
    return root


def gtzan(root: Path) -> Path:
    for genre in ("blues", "rock"):
        for n in range(3):
            tone(root / "genres" / genre / f"{genre}.0000{n}.wav")
    text(root / "train_filtered.txt", "blues/blues.00000.wav\nrock/rock.00000.wav\n")
    text(root / "valid_filtered.txt", "blues/blues.00001.wav\n")
    text(root / "test_filtered.txt", "rock/rock.00002.au\n")
    text(root / "gtzan_tempo_beat-main" / "tempo" / "gtzan_blues_00000.bpm", "126.5\n")
    return root


def giantsteps(root: Path) -> Path:
    for n, v1, v2, key in ((28952, "127", "126.5", "Db major"), (3041381, "180", "0.0", "E minor")):
        tone(root / "audio" / f"{n}.LOFI.mp3")
        text(root / "annotations" / "tempo" / f"{n}.LOFI.bpm", v1)
        text(root / "annotations_v2" / "tempo" / f"{n}.LOFI.bpm", v2)
        text(root / "annotations" / "key" / f"00{n}.LOFI.key", key + "\n")
        text(root / "annotations" / "genre" / f"{n}.LOFI.genre", "chill-out")
    return root


def ballroom(root: Path) -> Path:
    for dance, stem, form in (
        ("ChaChaCha", "Albums-Fire-08", "{t:.3f} {p}"),
        ("Samba", "Albums-Fire-09", "{t:.3f} {p}"),
        ("Waltz", "Media-1", "{t:.9f}\t1.{p}"),
    ):
        tone(root / "BallroomData" / dance / f"{stem}.wav")
        beats = [form.format(t=0.2 + 0.5 * n, p=n % 4 + 1) for n in range(9)]
        text(root / "BallroomAnnotations-master" / f"{stem}.beats", "\n".join(beats) + "\n")
    return root


def fma(root: Path) -> Path:
    columns = (
        ("set", "split", "training", "validation", "test"),
        ("set", "subset", "small", "medium", "large"),
        ("track", "title", "Food", '"Two\nlines, quoted"', "Third"),
        ("artist", "name", "AWOL", "B", "C"),
        ("album", "title", "One", "Two", "Three"),
        ("album", "date_released", "2009-01-05 00:00:00", "", "1999-06-01 00:00:00"),
        ("track", "genre_top", "Hip-Hop", "Rock", ""),
        ("track", "license", "CC BY-NC", "CC BY", "CC0"),
        ("track", "genres_all", '"[21, 10]"', "[12]", "[]"),
        ("track", "duration", "168", "237", "206"),
    )
    ids = ("", "", "2", "5", "140000")
    lines = [",".join([ids[n], *(column[n] for column in columns)]) for n in range(5)]
    lines.insert(2, "track_id" + "," * len(columns))
    text(root / "fma_metadata" / "tracks.csv", "\n".join(lines) + "\n")
    genres = "genre_id,#tracks,parent,title,top_level\n21,9,0,Hip-Hop,21\n10,9,0,Pop,10\n12,9,0,Rock,12\n"
    text(root / "fma_metadata" / "genres.csv", genres)
    for size, names in {"small": ("000/000002",), "large": ("000/000002", "000/000005", "140/140000")}.items():
        for name in names:
            tone(root / f"fma_{size}" / f"{name}.mp3")
    return root


def emomusic(root: Path) -> Path:
    header = "song_id,file_name,Artist,Song title,start of the segment (min.sec),end of the segment (min.sec),Genre"
    rows = ('2,2.mp3,"The Artist\t","A, title",2.54,3.39,Blues,development', "3,3.mp3,Other,B,0.1,0.55,Rock,evaluation")
    text(root / "annotations" / "songs_info.csv", "\n".join([f"{header},Mediaeval 2013 set", *rows]) + "\n")
    labels = "song_id,mean_arousal,std_arousal,mean_valence,std_valence\n2,3.1,0.99,3.0,0.67\n3,3.5,1.84,3.3,1.70\n"
    text(root / "annotations" / "static_annotations.csv", labels)
    for n in (2, 3):
        tone(root / "clips_45seconds" / f"{n}.mp3")
    return root


def nsynth_note(**changed: object) -> dict[str, object]:
    facts: dict[str, object] = {
        "note_str": "bass_synthetic_033-022-050",
        "pitch": 22,
        "velocity": 50,
        "sample_rate": 16000,
        "qualities": [0, 1],
        "qualities_str": ["dark"],
        "instrument_str": "bass_synthetic_033",
        "instrument_family_str": "bass",
        "instrument_source_str": "synthetic",
    }
    return facts | changed


def nsynth(root: Path) -> Path:
    for split, note in (("train", "bass_synthetic_033-022-050"), ("test", "flute_acoustic_002-077-100")):
        folder = root / f"nsynth-{split}"
        text(folder / "examples.json", json.dumps({note: nsynth_note(note_str=note)}))
        tone(folder / "audio" / f"{note}.wav")
    return root


def acm_mirum(root: Path) -> Path:
    lines = "MARSYAS_DATADIR/acm_mirum_tempo/104186.clip.wav\t126.5\nC:\\music\\105009.clip.wav\t98\n"
    text(root / "acm_mirum_tempos.mf", lines)
    for name in ("104186.clip.mp3", "105009.clip.wav"):
        tone(root / "audio" / name)
    return root


def hainsworth(root: Path) -> Path:
    text(root / "hains_tempos.mf", "hains/001.wav\t120.2\nhains/002.wav\t88\n")
    for n in ("001", "002"):
        tone(root / "wavs" / f"{n}.wav")
    return root


def emotify(root: Path) -> Path:
    header = (
        "track id, genre, amazement, solemnity, tenderness, nostalgia, calmness, power, joyful_activation, tension,"
        " sadness, mood, liked, disliked, age, gender, mother tongue"
    )
    rows = (
        "1,classical,0,1,0,0,0,0,1,1,0,3,1,0,21,1,English",
        "1,classical,0,0,0,1,0,0,0,1,0,3,0,1,41,1,Dutch",
        "1,classical,0,0,0,1,0,0,0,1,0,3,0,1,41,1,Dutch",
        "200,rock,1,0,0,0,0,0,0,0,0,3,0,1,41,1,Dutch",
    )
    text(root / "data.csv", "\n".join([header, *rows]) + "\n")
    for name in ("classical/1.mp3", "rock/100.mp3"):
        path = root / "emotifymusic" / name
        path.parent.mkdir(parents=True)
        soundfile.write(path, tone_track(1, 1.5, 22_050), 22_050, format="MP3")
    return root
