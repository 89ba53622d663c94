"""Playlists: what is chosen, and how it is written."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest

from nearfield.data.track import Track
from nearfield.errors import SpaceError
from nearfield.search.neighbours import Rules
from nearfield.search.playlist import entry, make_playlist, write_m3u8

VECTORS = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8], [0.96, 0.28], [-1, 0]], np.float32)
TRACKS = tuple(
    Track(id=str(i), path=f"/m/{i}.ogg", artist="XYXXYX"[i], title=f"t{i}", duration_s=60.0 * (i + 1)) for i in range(6)
)


def ids(made: object) -> list[str]:
    return [t.id for t in made.tracks]  # type: ignore[attr-defined]


def test_one_seed() -> None:
    made = make_playlist(VECTORS[:1], VECTORS, TRACKS, 4, own=[0], rules=Rules())
    assert ids(made) == ["0", "4", "2", "3"]
    assert [n.rank for n in made.chosen] == [1, 2, 3]
    assert made.chosen[0].similarity == pytest.approx(0.96)


def test_two_seeds_at_most_two_an_artist() -> None:
    made = make_playlist(VECTORS[:2], VECTORS, TRACKS, 6, own=[0, 1])
    assert ids(made) == ["0", "1", "2", "4"]  # X: 0, 2; Y: 1, 4
    assert ids(make_playlist(VECTORS[:2], VECTORS, TRACKS, 2, own=[0, 1], seeds_first=False)) == ["2", "3"]


def test_blend_all_is_near_each_seed() -> None:
    seeds = np.array([[1, 0]] * 4 + [[0, 1]], np.float32)  # the mean leans to the first
    assert ids(make_playlist(seeds, VECTORS, TRACKS, 1, rules=Rules())) == ["4"]
    assert ids(make_playlist(seeds, VECTORS, TRACKS, 1, rules=Rules(), blend="all")) == ["2"]


def test_seeds_that_cancel_out_and_none() -> None:
    with pytest.raises(SpaceError, match="opposites"):
        make_playlist(VECTORS[[0, 5]], VECTORS, TRACKS, 3)
    assert len(make_playlist(VECTORS[[0, 5]], VECTORS, TRACKS, 3, blend="all").tracks) == 3
    with pytest.raises(SpaceError, match="no seed"):
        make_playlist(VECTORS[:0], VECTORS, TRACKS, 3)


def test_repeated_seeds_stand_once() -> None:
    assert ids(make_playlist(VECTORS[[0, 0]], VECTORS, TRACKS, 2, own=[0, 0], rules=Rules())) == ["0", "4"]


def test_written_relative_and_absolute(tmp_path: Path) -> None:
    music = tmp_path / "music"
    tracks = [
        Track(id="1", path=str(music / "Füße" / "1.ogg"), artist="Ä", title="Ö", duration_s=59.6),
        Track(id="2", path=str(music / "2.ogg")),
    ]
    out = tmp_path / "lists" / "x.m3u8"
    out.parent.mkdir()
    write_m3u8(tracks, out)
    text = out.read_bytes().decode("utf-8")
    assert text == "#EXTM3U\n#EXTINF:60,Ä - Ö\n../music/Füße/1.ogg\n#EXTINF:-1,2.ogg\n../music/2.ogg\n"
    write_m3u8(tracks, out, absolute=True)
    assert out.read_text(encoding="utf-8").splitlines()[2] == str(music / "Füße" / "1.ogg")
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("name", ["new\nline.ogg", "latin\udce4.ogg", "#hash.ogg", "end ", "tab\t.ogg", "a\u2028b"])
def test_names_that_cannot_stand_in_a_line(name: str, tmp_path: Path) -> None:
    path = os.path.join(tmp_path, name)
    for folder in (tmp_path, None):
        line = entry(path, folder)
        if folder is None and name == "#hash.ogg":
            assert line == path  # an absolute path does not begin with it
            continue
        assert line.startswith("file:///")
        assert line.isascii()
        assert unquote_to_bytes(line.removeprefix("file://")) == os.fsencode(path)


def test_titles_stay_on_their_line(tmp_path: Path) -> None:
    out = tmp_path / "x.m3u8"
    write_m3u8([Track(id="1", path=str(tmp_path / "a.ogg"), artist="A\nB", title="C\udcff", duration_s=1)], out)
    assert out.read_text(encoding="utf-8").splitlines()[1] == "#EXTINF:1,A\\nB - C\\xff"


def test_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="cannot be written"):
        write_m3u8([], tmp_path / "none" / "x.m3u8")
    (tmp_path / "folder.m3u8").mkdir()
    with pytest.raises(SpaceError, match="cannot be written"):
        write_m3u8([], tmp_path / "folder.m3u8")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.m3u8"]
