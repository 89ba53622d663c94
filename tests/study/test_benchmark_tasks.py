"""The questions of a benchmark: planted labels are found, noise is at chance, and nothing asked was learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nearfield.data.sets.known import SETS
from nearfield.data.track import Track
from nearfield.errors import BenchError
from nearfield.sound.key import KEYS
from nearfield.study.benchmark.key import KeyTask
from nearfield.study.benchmark.labels import Label, codes, copies, shared
from nearfield.study.benchmark.plan import plan
from nearfield.study.benchmark.rules import CONSENSUS, KNOWN, rules_of
from nearfield.study.benchmark.task import Asked, Catalogue, Task
from nearfield.study.benchmark.tempo import TempoTask
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.fitting import Choice
from nearfield.study.tasks.learners import ProbeSettings
from nearfield.study.tasks.row import Row, rows_of
from nearfield.study.tasks.tempo_key import KeyAnswers

SMALL = ProbeSettings(
    linear_decays=(10.0, 0.1), hidden_decays=(1.0,), hidden_units=32, hidden_blocks=2, linear_blocks=4
)
FONTS = ("plain", "bright", "dark", "thin")


def real(n: int = 120, seed: int = 0) -> Catalogue:
    """Tracks by n / 4 artists with three genres and four tags, all of an artist alike in neither."""
    rng = np.random.default_rng(seed)
    tracks = [
        Track(
            f"t{i}",
            f"{i}.ogg",
            artist=f"artist {i % (n // 4)}",
            title=f"title {i}",
            genre=f"g{rng.integers(3)}",
            tags=tuple(t for t in "abcd" if rng.random() < 0.4),
        )
        for i in range(n)
    ]
    return Catalogue.of("real", tracks)


def grooves(n: int = 240, seed: int = 0) -> Catalogue:
    """Pieces of 12 styles, the last three held out, with tempo and key drawn apart from all else."""
    rng = np.random.default_rng(seed)
    tracks = []
    for i in range(n):
        style = i % 12
        split = "held-out" if style > 8 else "validation" if style == 8 else "train"
        tracks.append(
            Track(
                f"p{i}",
                f"{i}.flac",
                genre=f"style {style}",
                package=FONTS[(i // 12) % 4],
                tempo_bpm=float(2 ** rng.uniform(6, 7.5)),
                key=KEYS[int(rng.integers(24))],
                split=split,
                factors={"groove": f"groove {style}{i // 12 % 2}", "tune_seed": str(i)},
            )
        )
    return Catalogue.of("grooves", tracks)


def one_hot(labels: list[str], rng: np.random.Generator, noise: float = 0.05) -> Vectors:
    """(N, D) vectors in which the label is planted."""
    names = sorted(set(labels))
    hot = np.array([[name == label for name in names] for label in labels], np.float64)
    return np.asarray(hot + noise * rng.standard_normal(hot.shape), np.float32)


def task_of(catalogues: Mapping[str, Catalogue], name: str, folds: Path | None = None) -> Task:
    (task,) = plan(catalogues, folds, (name,), SMALL)
    return task


def figures(asked: Asked) -> dict[str, Row]:
    return {row.metric: row for row in rows_of("", asked.measures, asked.clusters, 0, 200)}


def ask(catalogue: Catalogue, name: str, vectors: Vectors) -> dict[str, Row]:
    return figures(task_of({catalogue.name: catalogue}, name).ask({catalogue.name: vectors}, 0))


def at_chance(rows: list[Row]) -> bool:
    """Whether figures of independent draws are on average within three standard errors of chance."""
    over = np.array([row.value - row.chance for row in rows])
    return bool(abs(over.mean()) <= 3 * over.std(ddof=1) / np.sqrt(len(over)))


def test_a_plain_catalogue_is_asked_what_its_labels_allow() -> None:
    names = [task.name for task in plan({"real": real()}, None)]
    assert names == [
        "retrieval/real/genre",
        "retrieval/real/tags",
        *(f"labelling/real/{label}/{depth}" for label in ("genre", "tags") for depth in ("linear", "hidden")),
    ]
    bare = Catalogue.of("bare", [replace(t, genre="", tags=()) for t in real().whole])
    assert plan({"bare": bare}, None) == ()
    with pytest.raises(BenchError, match="give catalogues with labels"):
        plan({"bare": bare}, None, ("*",))
    assert plan({}, None) == ()


def test_patterns_choose_and_a_pattern_that_fits_nothing_lists_the_names() -> None:
    both = {"real": real(), "grooves": grooves()}
    assert [t.name for t in plan(both, None, ("retrieval/real/*", "*/linear"))] == [
        "retrieval/real/genre",
        "retrieval/real/tags",
        "labelling/real/genre/linear",
        "labelling/real/tags/linear",
        "labelling/grooves/style/linear",
        "tempo/grooves/linear",
        "key/grooves/linear",
    ]
    with pytest.raises(BenchError, match="retrieval/reel/\\*: fits no task; choose among retrieval/real/genre, "):
        plan(both, None, ("key/*", "retrieval/reel/*"))
    with pytest.raises(BenchError, match="is the catalogue 'real'"):
        plan({"music": real()}, None)


def test_planted_labels_are_found_and_noise_is_at_chance() -> None:
    catalogue, rng = real(), np.random.default_rng(1)
    genres = [t.genre for t in catalogue.tracks]
    planted = one_hot(genres, rng)
    assert ask(catalogue, "retrieval/real/genre", planted)["mAP@R"].value > 0.98
    for depth in ("linear", "hidden"):
        assert ask(catalogue, f"labelling/real/genre/{depth}", planted)["accuracy"].value > 0.95
    tags = np.array([[t in track.tags for t in "abcd"] for track in catalogue.tracks], np.float32)
    found = ask(
        catalogue, "labelling/real/tags/linear", tags + 0.1 * rng.standard_normal(tags.shape).astype(np.float32)
    )
    assert found["ROC-AUC"].value > 0.98
    draws = [rng.standard_normal((120, 8)).astype(np.float32) for _ in range(8)]
    for name, metric in (
        ("retrieval/real/genre", "mAP@R"),
        ("retrieval/real/tags", "nDCG"),
        ("labelling/real/tags/linear", "ROC-AUC"),
    ):
        rows = [ask(catalogue, name, noise)[metric] for noise in draws]
        assert at_chance(rows)
        holding = sum(row.low <= row.chance <= row.high for row in rows)
        assert holding >= 5  # of 8: intervals are somewhat narrow (probes.py)


def test_knowing_the_artist_alone_gives_chance() -> None:
    rng = np.random.default_rng(2)
    tracks = [replace(t, genre=f"g{int(t.artist[7:]) % 3}") for t in real(240).whole]  # an artist has one genre
    catalogue = Catalogue.of("real", tracks)
    who = [int(t.artist[7:]) for t in tracks]
    draws = [rng.standard_normal((60, 16)).astype(np.float32)[who] for _ in range(12)]
    found = [ask(catalogue, "retrieval/real/genre", vectors) for vectors in draws]
    for metric in (
        "precision@1",
        "precision@10",
        "R-precision",
    ):  # mAP@R gains by artists standing in a row, of any genre
        assert at_chance([rows[metric] for rows in found])
    answers = [ask(catalogue, "labelling/real/genre/linear", vectors)["accuracy"].value for vectors in draws]
    assert 0.25 < np.mean(answers) < 0.4
    unfiltered = Catalogue.of("real", [replace(t, artist="") for t in tracks])
    assert ask(unfiltered, "retrieval/real/genre", draws[0])["precision@1"].value == 1


def test_copies_are_never_candidates_and_a_hash_of_file_times_is_none() -> None:
    twins = [Track("a", "a", artist="X", title="Song"), Track("b", "b", artist="x", title="song"), Track("c", "c")]
    assert [g.tolist() for g in copies(twins)] == [[-1, -1, -1], [1, 1, -1]]
    hashed = [replace(t, artist="", content_hash=h) for t, h in zip(twins, ("md5:1", "md5:1", "stat:5-6"), strict=True)]
    assert copies(hashed)[0].tolist()[:2] == [1, 1]
    assert copies([replace(t, content_hash="stat:5-6") for t in twins])[0].tolist() == [-1, -1, -1]
    pieces = [Track(f"{i}", f"{i}", genre="g", content_hash=f"md5:{i // 2}") for i in range(4)]
    asked = task_of({"real": Catalogue.of("real", pieces)}, "retrieval/real/genre").ask(
        {"real": np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)}, 0
    )
    assert figures(asked)["precision@1"].value == 1  # the copy would be nearest, and of the genre as well
    alone = Catalogue.of("real", pieces[:2])
    with pytest.raises(BenchError, match="no track has another of its label"):
        task_of({"real": alone}, "retrieval/real/genre").ask({"real": np.eye(2, dtype=np.float32)}, 0)


def test_what_groups_a_track_is_the_first_that_is_known() -> None:
    tracks = [
        Track("a", "a", artist=" Ä ", album="B"),
        Track("b", "b", artist="ä"),
        Track("c", "c", album="B"),
        Track("d", "d"),
    ]
    assert shared(tracks, ("artist", "album")) == ("artist ä", "artist ä", "album b", "")
    assert codes(shared(tracks, ("artist", "album")))[[0, 1, 3]].tolist() == [2, 2, -1]


def emotify() -> Catalogue:
    """Forty tracks whose second emotion is felt by 0.3, 0.2999 or 0.5 of the listeners; one without answers."""
    rules = rules_of("emotify").retrieval[1].label
    shares = [dict.fromkeys(rules.of, "0.1") | {rules.of[1]: ("0.3", "0.2999", "0.5", "0.1")[i % 4]} for i in range(40)]
    tracks = [
        Track(f"e{i}", f"e{i}", artist=f"a{i // 2}", genre=f"g{i % 2}", factors=s | {rules.of[0]: f"0.{i % 5 + 1}"})
        for i, s in enumerate(shares)
    ]
    return Catalogue.of("emotify", [*tracks, Track("none", "none", artist="z", genre="g0")])


def test_emotions_count_from_three_tenths_of_the_listeners() -> None:
    catalogue = emotify()
    label = rules_of("emotify").retrieval[1].label
    assert label.at_least == CONSENSUS == 0.3
    held = label.held(catalogue.tracks)
    assert [label.of[1] in h for h in held[:4]] == [True, False, True, False]
    assert held[-1] == frozenset()
    task = task_of({"emotify": catalogue}, "retrieval/emotify/emotion")
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((41, 4)).astype(np.float32)
    empty = sum(not h for h in held)
    assert f"{empty} tracks without a label neither ask nor answer" in task.ask({"emotify": noise}, 0).notes
    truth = np.nan_to_num(label.values(catalogue.tracks)).astype(np.float32)
    tasks = {t.name: t for t in plan({"emotify": catalogue}, None, ("labelling/emotify/emotion*/linear",), SMALL)}
    flags, numbers = (figures(t.ask({"emotify": truth}, 0)) for t in tasks.values())
    assert (
        flags["ROC-AUC"].n == numbers["R2"].n == 40
    )  # without any emotion above the threshold a track is asked all the same
    assert numbers["R2"].value > 0.9


def test_folds_are_of_the_whole_manifest_kept_and_read_again(tmp_path: Path) -> None:
    catalogue, rng = real(), np.random.default_rng(3)
    vectors = rng.standard_normal((120, 6)).astype(np.float32)
    first = figures(
        task_of({"real": catalogue}, "labelling/real/genre/linear", tmp_path / "f").ask({"real": vectors}, 0)
    )
    path = tmp_path / "f" / "real-genre.json"
    kept = json.loads(path.read_text())["folds"]
    assert set(kept) == {t.id for t in catalogue.whole}
    assert first == figures(task_of({"real": catalogue}, "labelling/real/genre/linear").ask({"real": vectors}, 0))

    part = Catalogue.of("real", catalogue.whole, [t.id for t in catalogue.whole[::3]])
    asked = task_of({"real": part}, "labelling/real/genre/linear", tmp_path / "f").ask({"real": vectors[::3]}, 0)
    assert asked.measures[0].n == 40
    assert "80 tracks without a vector of every embedding left out" in asked.notes
    assert json.loads(path.read_text())["folds"] == kept  # whichever tracks an embedding lacks

    turned = json.loads(path.read_text())
    turned["folds"] = {i: (f + 1) % 5 for i, f in turned["folds"].items()}
    path.write_text(json.dumps(turned))
    task = task_of({"real": catalogue}, "labelling/real/genre/linear", tmp_path / "f")
    assert task.whole_folds().fold.tolist() == [(kept[t.id] + 1) % 5 for t in catalogue.whole]  # type: ignore[attr-defined]
    other = Catalogue.of("real", catalogue.whole[1:])
    with pytest.raises(BenchError, match="made of other tracks or groups"):
        task_of({"real": other}, "labelling/real/genre/linear", tmp_path / "f").ask({"real": vectors[1:]}, 0)


def test_a_published_split_is_used_as_it_is() -> None:
    sides = ("train", "validation", "held-out", "")
    tracks = [replace(t, split=sides[i // 30], artist=f"artist {i % 30}") for i, t in enumerate(real().whole)]
    catalogue, rng = Catalogue.of("gtzan", tracks), np.random.default_rng(4)
    vectors = one_hot([t.genre for t in tracks], rng)
    vectors[90:] = np.nan  # of no side: whoever looked at them would fail
    asked = task_of({"gtzan": catalogue}, "labelling/gtzan/genre/linear").ask({"gtzan": vectors}, 0)
    assert figures(asked)["accuracy"].n == 30
    assert figures(asked)["accuracy"].value == 1
    assert "by the manifest's own split: 60 tracks to learn from, 30 asked" in asked.notes
    assert "30 tracks asked share their artist with some that were learned from" in asked.notes


def test_artists_of_games_are_asked_within_their_package() -> None:
    packages = ("naev-data", "supertux-data", "other-data")
    tracks = [
        Track(
            f"{i}",
            f"{i}",
            artist=f"a{i % 4}",
            album=f"b{i // 6}",
            package=packages[i // 12],
            split=("train", "held-out")[i % 2],
        )
        for i in range(36)
    ]
    catalogue = Catalogue.of("games", tracks)
    package = one_hot([t.package for t in tracks], np.random.default_rng(5), 0)
    named = {t.name: t.ask({"games": package}, 0) for t in plan({"games": catalogue}, None, ("retrieval/*",))}
    row = figures(named["retrieval/games/artist"])["R-precision"]
    assert row.n == 12  # 6 of each of the two packages with several artists, held out
    assert row.chance == pytest.approx(2 / 5)  # of 5 others in the package 2 are of the artist
    assert figures(named["retrieval/games/artist-all"])["R-precision"].n == 24
    artist = one_hot([t.artist for t in tracks], np.random.default_rng(5))
    found = task_of({"games": catalogue}, "retrieval/games/artist").ask({"games": artist}, 0)
    assert figures(found)["mAP@R"].value == 1
    assert any("has heard" in note for note in named["retrieval/games/album-all"].notes)
    assert not any("has heard" in note for note in named["retrieval/games/album"].notes)


def test_styles_of_grooves_with_the_same_soundfont_barred() -> None:
    catalogue = grooves()
    rng = np.random.default_rng(6)
    style_and_font = [f"{t.genre} {t.package}" for t in catalogue.tracks]
    draws = [one_hot(style_and_font, rng) for _ in range(20)]
    easy = ask(catalogue, "retrieval/grooves/style", draws[0])["precision@1"]
    assert (easy.n, easy.value) == (60, 1)
    assert at_chance([ask(catalogue, "retrieval/grooves/style-other-soundfont", v)["mAP@R"] for v in draws])


def tempo_vectors(catalogue: Catalogue, rng: np.random.Generator) -> Vectors:
    """Bumps along log2 BPM."""
    octaves = np.log2([t.tempo_bpm or 100 for t in catalogue.tracks])
    bumps = np.exp(-0.5 * ((octaves[:, None] - np.linspace(5.8, 7.7, 24)) / 0.08) ** 2)
    return np.asarray(bumps + 0.01 * rng.standard_normal(bumps.shape), np.float32)


def test_tempo_is_learned_from_what_is_not_held_out_and_asked_elsewhere() -> None:
    rng = np.random.default_rng(7)
    songs = Catalogue.of("stepmania", [replace(t, split="", genre="") for t in grooves(36, 1).whole])
    both = {"stepmania": songs, "grooves": grooves()}
    vectors = {name: tempo_vectors(c, rng) for name, c in both.items()}
    assert plan({"stepmania": songs}, None, settings=SMALL) == ()  # nothing to learn from
    tasks = {t.name: t for t in plan(both, None, ("tempo/*",), SMALL)}
    assert list(tasks) == [f"tempo/{c}/{w}" for c in both for w in ("linear", "hidden", "neighbours")]
    for name, task in tasks.items():
        assert task.catalogues == (("grooves", "stepmania") if "stepmania" in name else ("grooves",))
        found = figures(task.ask(vectors, 0))
        assert found["Accuracy1"].n == (36 if "stepmania" in name else 60)
        assert found["Accuracy1"].value > (0.7 if "neighbours" in name else 0.85)
    with pytest.raises(BenchError, match="has no vectors"):
        tasks["tempo/stepmania/linear"].ask({"stepmania": vectors["stepmania"]}, 0)


def test_answers_of_estimators_have_the_same_figures() -> None:
    catalogues = {"grooves": grooves()}
    tempo, key = plan(catalogues, None, ("tempo/*/linear", "key/*/linear"), SMALL)
    assert isinstance(tempo, TempoTask)
    assert isinstance(key, KeyTask)
    exact = {t.id: t.tempo_bpm or 0 for t in catalogues["grooves"].tracks}
    asked = [t.id for t in tempo.exam.asked]
    assert figures(tempo.of_answers(exact))["Accuracy1"].value == 1
    doubled = figures(tempo.of_answers({i: 2 * exact[i] for i in asked[:30]} | {asked[30]: float("nan")}))
    assert (doubled["Accuracy1"].value, doubled["Accuracy2"].value) == (0, 0.5)
    assert "30 tracks without an answer, which are wrong" in tempo.of_answers(dict.fromkeys(asked[:30], 1.0)).notes
    keys = {t.id: t.key for t in key.exam.asked}
    assert figures(key.of_answers(keys))["exact"].value == 1
    relative = {i: KEYS[(KEYS.index(k) + 9) % 12 + 12] for i, k in keys.items() if k.endswith("major")}
    share = len(relative) / len(keys)
    assert figures(key.of_answers(relative))["MIREX weighted"].value == pytest.approx(0.3 * share)


def test_key_is_asked_of_sounds_styles_and_tunes_that_were_never_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = grooves()
    (task,) = plan({"grooves": catalogue}, None, ("key/*/linear",), SMALL)
    assert isinstance(task, KeyTask)
    assert sorted(t.id for t in task.exam.asked) == sorted(t.id for t in catalogue.tracks if t.split == "held-out")
    marked = np.arange(len(catalogue.tracks), dtype=np.float32)[:, None]  # a vector that says whose it is
    seen: list[tuple[set[int], set[int]]] = []

    def spy(learn: Vectors, keys: list[str], groups: np.ndarray, asked: Vectors, *rest: object) -> KeyAnswers:
        seen.append(({int(v) for v in learn[:, 0]}, {int(v) for v in asked[:, 0]}))
        assert keys == [catalogue.tracks[int(v)].key for v in learn[:, 0]]
        return KeyAnswers(tuple(catalogue.tracks[int(v)].key for v in asked[:, 0]), (), Choice(1.0, 0.0, False))

    monkeypatch.setattr("nearfield.study.benchmark.key.key_by_probe", spy)
    assert figures(task.ask({"grooves": marked}, 0))["exact"].value == 1
    assert len(seen) == len(FONTS)
    for learn, asked in seen:
        for what in ("package", "genre", "split"):
            learned, wanted = ({getattr(catalogue.tracks[i], what) for i in rows} for rows in (learn, asked))
            assert not learned & wanted
        assert {catalogue.tracks[i].split for i in learn} == {"train", "validation"}


def test_a_key_that_hides_in_the_sound_is_not_found() -> None:
    tracks = [replace(t, key=KEYS[FONTS.index(t.package) * 6]) for t in grooves().whole]  # one key a soundfont
    catalogue, rng = Catalogue.of("grooves", tracks), np.random.default_rng(8)
    leak = one_hot([t.package for t in tracks], rng)
    assert ask(catalogue, "key/grooves/linear", leak)["exact"].value == 0
    planted = one_hot([t.key for t in grooves().whole], rng)
    assert ask(grooves(), "key/grooves/linear", planted)["exact"].value > 0.9


def test_band_is_divided_by_artist_and_its_key_by_instruments_and_style() -> None:
    base = grooves(200).whole
    tracks = [
        replace(
            t,
            split="",
            package="",
            artist=f"band {i // 4}",
            genre=f"s{i // 4 % 7}",
            factors={"instruments": f"i{i // 4 % 5}"},
        )
        for i, t in enumerate(base)
    ]
    tempo, key = plan({"band": Catalogue.of("band", tracks)}, None, ("tempo/*/linear", "key/*/linear"), SMALL)
    assert isinstance(tempo, TempoTask)
    assert isinstance(key, KeyTask)
    held = {t.artist for t in tempo.exam.asked}
    assert held
    assert not held & {t.artist for t in tempo.exam.learned}
    assert {t.artist for t in key.exam.asked} == held
    for part in key.exam.rounds:
        learned, asked = key.exam.lessons(part), [tracks[row] for row in part.asked]
        assert not {t.genre for t in learned} & {t.genre for t in asked}
        assert not {t.factors["instruments"] for t in learned} & {t.factors["instruments"] for t in asked}
    assert "the manifest names no split: held out are artists by a fixed hash of their names" in tempo.exam.notes
    elsewhere = Catalogue.of(
        "giantsteps-key", [replace(t, artist="", split="", tempo_bpm=None) for t in grooves(48, 2).whole]
    )
    (asked_key,) = plan(
        {"band": Catalogue.of("band", tracks), "grooves": grooves(), "giantsteps-key": elsewhere},
        None,
        ("key/giantsteps-key/hidden",),
    )
    assert asked_key.catalogues == ("band", "grooves", "giantsteps-key")


def test_notes_of_nsynth_are_grouped_by_instrument() -> None:
    tracks = [
        Track(f"n{i}", f"{i}.wav", tags=("bright",), split=("train", "held-out")[i // 6 % 2], content_hash="stat:1-1")
        for i in range(24)
    ]
    facts = [
        {"instrument": f"i{i // 3}", "instrument_family": f"f{i // 3 % 2}", "pitch": str(60 + i % 3)} for i in range(24)
    ]
    catalogue = Catalogue.of("nsynth", [replace(t, factors=f) for t, f in zip(tracks, facts, strict=True)])
    names = [t.name.removeprefix("retrieval/nsynth/") for t in plan({"nsynth": catalogue}, None, ("retrieval/*",))]
    assert names == ["instrument-family", "pitch", "qualities"]
    pitch = one_hot([f["pitch"] for f in facts], np.random.default_rng(0))
    found = task_of({"nsynth": catalogue}, "retrieval/nsynth/pitch").ask({"nsynth": pitch}, 0)
    assert figures(found)["mAP@R"].value == 1
    assert (figures(found)["mAP@R"].n, len(set(found.clusters.tolist()))) == (12, 4)
    assert figures(found)["R-precision"].chance == pytest.approx(1 / 3)  # of 9 notes by other instruments, 3
    assert ask(catalogue, "labelling/nsynth/pitch/linear", pitch)["accuracy"].value == 1


def test_every_known_name_is_a_corpus_or_a_published_set() -> None:
    assert set(KNOWN) <= {"games", "grooves", "band", *SETS}


def test_what_does_not_fit_is_an_error() -> None:
    assert np.isnan(Label("numbers", ("arousal",)).values([Track("a", "a", factors={"arousal": "x"})])).all()
    with pytest.raises(BenchError, match="is none of its tracks"):
        Catalogue.of("real", real().whole, ["t0", "elsewhere"])
    with pytest.raises(BenchError, match=r"vectors of shape \(3, 2\)"):
        real().vectors({"real": np.zeros((3, 2), np.float32)})
