"""Which track is meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nearfield.data.track import Track
from nearfield.errors import SpaceError
from nearfield.search.resolve import find

TRACKS = (
    Track(id="one", path="/m/album/01 First.ogg", artist="Anna", title="First"),
    Track(id="two", path="/m/album/02 Second.ogg", artist="Anna", title="Second"),
    Track(id="three", path="/m/other/02 Second.ogg", artist="Bert", title="Second Thoughts"),
    Track(id="four", path="/m/odd\udcff\n.ogg"),
)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("/m/album/01 First.ogg", 0),
        ("/m/other/../album/01 First.ogg", 0),
        ("three", 2),
        ("01 First.ogg", 0),
        ("album/02 Second.ogg", 1),
        ("anna - second", 1),
        ("Second", 1),
        ("thoughts", 2),
        ("BERT", 2),
        ("/m/odd\udcff\n.ogg", 3),
    ],
)
def test_finds(query: str, index: int) -> None:
    assert find(TRACKS, query) == index


def test_several_are_listed() -> None:
    with pytest.raises(SpaceError, match=r"fits 2 tracks: /m/album/02 Second.ogg, /m/other/02 Second.ogg"):
        find(TRACKS, "02 Second.ogg")
    many = [Track(id=str(i), path=f"/m/song {i}.ogg") for i in range(9)]
    with pytest.raises(SpaceError, match=r"fits 9 tracks: .*song 4.ogg and 4 more"):
        find(many, "song")


def test_none_is_an_error_with_a_guess() -> None:
    with pytest.raises(SpaceError, match="did you mean 'anna - first'"):
        find(TRACKS, "ana frst")
    with pytest.raises(SpaceError, match="no track"):
        find(TRACKS, "")
    with pytest.raises(SpaceError, match="no track"):
        find((), "x")


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside, link = tmp_path / "in.ogg", tmp_path / "First.ogg", tmp_path / "link.ogg"
    inside.touch()
    outside.touch()
    link.symlink_to(inside)
    tracks = (*TRACKS, Track(id="in", path=os.path.realpath(inside)))
    monkeypatch.chdir(tmp_path)
    assert find(tracks, "in.ogg") == 4
    assert find(tracks, "./in.ogg") == 4
    assert find(tracks, "link.ogg") == 4
    assert find(tracks, "First.ogg") is None  # a file outside the space comes before a part of a name
