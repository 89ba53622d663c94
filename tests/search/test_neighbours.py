"""Lists from ranked vectors: artists and recordings."""

from __future__ import annotations

import numpy as np

from nearfield.data.track import Track
from nearfield.search.neighbours import Rules, folded, nearest, ranked, repeats, select

# cosines with (1, 0): 1, .995, .98, .9, .5, 0
ANGLES = np.arccos([1, 0.995, 0.98, 0.9, 0.5, 0])
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
TRACKS = tuple(
    Track(id=str(i), path=f"/m/{i}.ogg", artist=artist, title=title, duration_s=130.0 if i == 5 else 100.0 + 10 * i)
    for i, (artist, title) in enumerate(
        [("A", "One"), ("A", "Two"), ("a!", "Three"), ("B", "One (live)"), ("", ""), ("b", "ONE")]
    )
)


def paths(rules: Rules, own: tuple[int, ...] = (), k: int = 6) -> list[int]:
    return [int(n.track.id) for n in nearest(VECTORS[0], VECTORS, TRACKS, k, rules, own)]


def test_plain_list_leaves_out_only_the_query() -> None:
    found = nearest(VECTORS[0], VECTORS, TRACKS, 3, Rules(), own=(0,))
    assert [(n.rank, n.path) for n in found] == [(1, "/m/1.ogg"), (2, "/m/2.ogg"), (3, "/m/3.ogg")]
    np.testing.assert_allclose([n.similarity for n in found], [0.995, 0.98, 0.9], atol=1e-6)


def test_artists_are_limited_unknown_ones_are_not() -> None:
    assert paths(Rules(max_per_artist=1)) == [0, 3, 4]
    assert paths(Rules(max_per_artist=2)) == [0, 1, 3, 4, 5]
    assert paths(Rules(max_per_artist=2), own=(0,)) == [1, 2, 3, 4, 5]


def test_listed_seeds_count_for_their_artists() -> None:
    order = ranked(VECTORS @ VECTORS[0])
    assert select(order, VECTORS, TRACKS, 6, Rules(max_per_artist=2), own=(0,), listed=(0,)) == [1, 3, 4, 5]


def test_the_same_artist_and_title_is_one_recording() -> None:
    assert paths(Rules(leave_out_duplicates=True)) == [0, 1, 2, 3, 4]  # 5 is 3 again, live or not


def test_the_same_name_at_another_length_is_another_recording() -> None:
    tracks = [
        Track(id=str(i), path=str(i), artist="X", title=f"Battle (Level {i})", duration_s=60.0 + 9 * i) for i in (0, 1)
    ]
    assert not repeats(1, [0], np.eye(2, dtype=np.float32), tracks, 0.985)


def test_alike_and_as_long_is_one_recording() -> None:
    tracks = [Track(id=str(i), path=str(i), duration_s=s) for i, s in enumerate([100.0, 101.9, 102.1, None])]
    vectors = np.array([[1, 0], [0.999, 0.0447], [0.999, 0.0447], [1, 0]], np.float32)
    assert repeats(1, [0], vectors, tracks, 0.985)
    assert not repeats(2, [0], vectors, tracks, 0.985)
    assert repeats(3, [0], vectors, tracks, 0.985)
    assert not repeats(1, [0], vectors, tracks, 0.9995)
    assert not repeats(1, [], vectors, tracks, 0.985)


def test_own_recordings_are_not_repeated() -> None:
    assert paths(Rules(leave_out_duplicates=True), own=(3,)) == [0, 1, 2, 4]


def test_folding() -> None:
    assert folded("Motörhead!") == folded("motorhead") == "motorhead"
    assert folded("!!!") == "!!!"
    assert folded("Sigur Rós") == "sigur ros"
    assert folded("") == ""
