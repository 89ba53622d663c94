"""The shipped model on real recordings it never saw. They may not be redistributed: without them these tests are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

import nearfield
from nearfield.catalogue.embed import index_folder
from nearfield.sound import audio

SHARED = Path(os.environ.get("NEARFIELD_SHARED", Path(__file__).parents[2] / "shared"))
SONGS = SHARED / "data" / "stepmania" / "audio"

pytestmark = pytest.mark.skipif(not SONGS.is_dir(), reason=f"the labelled recordings are not at {SONGS}")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """First halves of twenty songs as FLAC, and second halves in a folder of their own."""
    folder = tmp_path_factory.mktemp("real")
    for side in ("first", "second"):
        (folder / side).mkdir()
    for song in sorted(SONGS.glob("*.opus"))[:20]:
        samples = audio.load(song)
        middle = samples.size // 2
        soundfile.write(folder / "first" / f"{song.stem}.flac", samples[:middle], 16_000)
        soundfile.write(folder / "second" / f"{song.stem}.flac", samples[middle:], 16_000)
    return folder


def test_second_halves_find_first_halves(music: Path, tmp_path: Path) -> None:
    result = index_folder(music / "first", tmp_path / "space", workers=0)
    assert (result.added, result.failures) == (20, ())
    space = nearfield.open_space(tmp_path / "space")
    assert np.allclose(np.linalg.norm(space.vectors, axis=1), 1, atol=1e-5)
    model = nearfield.load_model()
    ranks = []
    for half in sorted((music / "second").iterdir()):
        found = space.neighbours(half, k=20, model=model)
        ranks.append(next(n.rank for n in found if Path(n.path).name == half.name))
    assert len(ranks) == 20
    assert sum(r == 1 for r in ranks) >= 14
    assert max(ranks) <= 10


def test_opus_is_indexed_by_seeking_as_by_reading_it_whole(tmp_path: Path) -> None:
    song = sorted(SONGS.glob("*.opus"))[0]
    model = nearfield.load_model()
    by_seeking = model.embed_file(song, 8).vector
    whole = model.embed(audio.load(song), 16_000, slices=8)
    # the times of this song's pages go back by 10 ms twice, so that two of its slices lie a frame apart
    assert float(by_seeking @ whole) > 0.99
