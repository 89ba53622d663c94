"""Embeddings opened, asked and written down: who is asked what, on which tracks, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from nearfield.cli import bench
from nearfield.data.manifest import Manifest
from nearfield.data.track import Track
from nearfield.errors import BenchError, NearfieldError
from nearfield.study.benchmark.answers import answers_in, digest_of, key_of
from nearfield.study.benchmark.estimators import Estimator
from nearfield.study.benchmark.files import Line, Source, joined, lines_of, read_lines, write_table
from nearfield.study.benchmark.lessons import Exam
from nearfield.study.benchmark.opening import Contender, Field, catalogue_of, open_field
from nearfield.study.benchmark.run import CHANCE, Table, run
from nearfield.study.benchmark.show import figure
from nearfield.study.benchmark.task import Asked, Catalogue
from nearfield.study.embedding import Reading
from nearfield.study.embedding.baselines import BASELINES
from nearfield.study.metrics import Vectors
from nearfield.study.tasks.row import Measure
from nearfield.study.tasks.scores import mean_of

NOBODY = Exam(Catalogue("a", (), ()), {}, (), ())
SOURCE = Source("nearfield bench x", "abc1234", "2026-01-31")


def manifest(name: str, n: int) -> Manifest:
    return Manifest(name, Path("nowhere"), tuple(Track(id=f"{name}-{i}", path=f"{i}.wav") for i in range(n)))


def vectors_file(path: Path, ids: list[str], vectors: np.ndarray) -> str:
    np.savez(path, ids=np.array(ids), vectors=vectors.astype(np.float32))
    return str(path)


@dataclass
class FirstColumn:
    """The mean of the first column of every catalogue, and of how often it is asked."""

    name: str = "toy/first"
    catalogues: tuple[str, ...] = ("a",)
    settings: Mapping[str, object] = field(default_factory=dict)
    label: str = "tempo"
    exam: Exam = NOBODY
    times: list[str] = field(default_factory=list)

    def ask(self, vectors: Mapping[str, Vectors], seed: int) -> Asked:
        self.times.append(f"{seed}")
        values = np.concatenate([vectors[c][:, 0] for c in self.catalogues]).astype(np.float64)
        if (values < 0).any():
            raise BenchError("toy", "a value below 0", "none")
        return self._of(values)

    def of_answers(self, answers: Mapping[str, float | str]) -> Asked:
        return self._of(np.array([float(answers.get(f"a-{i}", 0)) for i in range(4)]))

    def _of(self, values: np.ndarray) -> Asked:
        return Asked((Measure("mean", mean_of(values), 0.25, len(values)),), np.arange(len(values)), ("one note",))


def opened(tmp_path: Path, **columns: list[float]) -> tuple[Field, dict[str, Manifest]]:
    manifests = {"a": manifest("a", 4)}
    contenders = []
    for name, column in columns.items():
        rows = np.array([column, [1, 2, 3, 4]]).T
        file = vectors_file(tmp_path / f"{name}.npz", [f"a-{i}" for i in range(len(rows))], rows)
        contenders.append(Contender(name, file))
    return open_field(contenders, manifests, lambda model, catalogue: Reading()), manifests


def test_everyone_is_asked_and_the_first_is_compared(tmp_path: Path) -> None:
    field, manifests = opened(tmp_path, x=[1, 1, 1, 1], y=[0, 0, 1, 1])
    with answers_in(None) as answers:
        table = run(field, manifests, [FirstColumn()], answers, 3, rounds=50)
    found = {(s.model, s.against): s.row for s in table.scores}
    assert found["x", ""].value == 1.0
    assert found["y", ""].value == 0.5
    assert found["y", ""].low < 0.5 < found["y", ""].high
    assert found["x", "y"].value == 0.5
    assert found[CHANCE, ""].value == found[CHANCE, ""].low == found[CHANCE, ""].high == 0.25
    assert [(a.task, a.notes) for a in table.accounts] == [("toy/first", ("one note",))]
    assert {s.row.seed for s in table.scores} == {3}


def test_a_question_that_fails_for_one_is_listed_and_the_others_go_on(tmp_path: Path) -> None:
    field, manifests = opened(tmp_path, x=[1, 1, 1, 1], bad=[-1, 1, 1, 1], y=[0, 0, 0, 0])
    with answers_in(None) as answers:
        table = run(field, manifests, [FirstColumn()], answers, 0, rounds=10)
    assert {s.model for s in table.scores} == {"x", "y", CHANCE}
    assert table.failed == (("toy/first (bad)", "toy: a value below 0"),)
    assert {s.against for s in table.scores} == {"", "y"}
    with answers_in(None) as answers:
        last_first = replace(field, opened=field.opened[::-1][1:])  # bad, then x
        table = run(last_first, manifests, [FirstColumn()], answers, 0, rounds=10)
    assert {s.against for s in table.scores} == {""}  # nothing to compare x with


def test_estimators_answer_only_tasks_of_their_label(tmp_path: Path) -> None:
    field, manifests = opened(tmp_path, x=[1, 1, 1, 1])
    tempo = Estimator("ear", "tempo", {"a": {"a-0": 1.0, "a-1": 1.0}})
    key = Estimator("nose", "key", {"a": {"a-0": "C major"}})
    with answers_in(None) as answers:
        table = run(field, manifests, [FirstColumn()], answers, 0, estimators=(tempo, key), rounds=10)
    found = {s.model: s.row.value for s in table.scores}
    assert found["ear"] == 0.5
    assert "nose" not in found


def test_answers_are_kept_and_asked_anew_only_when_something_changed(tmp_path: Path) -> None:
    field, manifests = opened(tmp_path, x=[1, 1, 1, 1], y=[0, 0, 1, 1])
    task, kept = FirstColumn(), tmp_path / "kept" / "answers.journal"

    def scores(field: Field, task: FirstColumn, seed: int = 0) -> Table:
        with answers_in(kept) as answers:
            return run(field, manifests, [task], answers, seed, rounds=20)

    first = scores(field, task)
    assert len(task.times) == 2
    assert scores(field, task) == first  # and how long it took to find them, too
    assert len(task.times) == 2
    scores(field, task, seed=1)
    assert len(task.times) == 4
    scores(field, replace(task, settings={"k": 3}))
    assert len(task.times) == 6
    other, _ = opened(tmp_path, x=[1, 1, 1, 1], y=[0, 1, 1, 1])
    scores(other, task)
    assert len(task.times) == 8  # y for itself; x once more, for the difference
    with open(kept, "ab") as file:
        file.write(b"torn")  # as a kill leaves it
    assert scores(field, task).scores == first.scores
    assert len(task.times) == 8


def test_only_tracks_that_everyone_has_are_judged_and_the_others_are_listed(tmp_path: Path) -> None:
    manifests = {"a": manifest("a", 5)}
    whole = vectors_file(tmp_path / "w.npz", [f"a-{i}" for i in (4, 3, 2, 1, 0)], np.array([[4, 3, 2, 1, 9]]).T)
    part = vectors_file(tmp_path / "p.npz", ["a-1", "a-3", "a-2", "a-4"], np.array([[1, 2, np.nan, 5]]).T)
    field = open_field([Contender("w", whole), Contender("p", part)], manifests, lambda m, c: Reading())
    assert field.judged["a"] == ("a-1", "a-3", "a-4")
    assert field.vectors(field.opened[0], "a").ravel().tolist() == [1.0, 3.0, 4.0]
    assert field.vectors(field.opened[1], "a").ravel().tolist() == [1.0, 2.0, 5.0]
    assert field.lacking["a"] == {
        "a-0": "p: has no vector",
        "a-2": "p: its vector has numbers that are not finite",
    }


def test_a_baseline_that_cannot_be_had_is_listed_but_a_model_is_an_error(tmp_path: Path) -> None:
    manifests = {"a": manifest("a", 3), "b": manifest("b", 3)}
    ids = [f"a-{i}" for i in range(3)]
    here = vectors_file(tmp_path / "a.npz", ids, np.ones((3, 1)))
    missing = Contender("gone", str(tmp_path / "gone.npz"))
    found = open_field([Contender("x", here), replace(missing, baseline=True)], manifests, lambda m, c: Reading())
    assert [(a.model, a.catalogue) for a in found.absent] == [("x", "b"), ("gone", "a"), ("gone", "b")]
    assert list(found.opened[0].embeddings) == ["a"]
    assert found.judged["b"] == ()
    with pytest.raises(NearfieldError, match=r"gone\.npz"):
        open_field([Contender("x", here), missing], manifests, lambda m, c: Reading())
    with pytest.raises(BenchError, match="two are called 'x'"):
        open_field([Contender("x", here), Contender("x", here)], manifests, lambda m, c: Reading())


def test_a_place_for_the_catalogues_name(tmp_path: Path) -> None:
    manifests = {"a": manifest("a", 3), "b": manifest("b", 3)}
    for name in manifests:
        vectors_file(tmp_path / f"{name}.npz", [f"{name}-{i}" for i in range(3)], np.eye(3))
    found = open_field([Contender.of(f"m={tmp_path}/{{catalogue}}.npz")], manifests, lambda m, c: Reading())
    assert set(found.opened[0].embeddings) == {"a", "b"}
    assert found.opened[0].name == "m"


def test_catalogues_are_named() -> None:
    assert catalogue_of("games=corpora/games/manifest.parquet") == ("games", Path("corpora/games/manifest.parquet"))
    for bad in ("manifest.parquet", "=x", "a b=x", "../a=x"):
        with pytest.raises(BenchError, match="is no catalogue"):
            catalogue_of(bad)


def test_keys_depend_on_numbers_and_shape() -> None:
    one = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert key_of("t", one) == key_of("t", one.copy())
    assert len({key_of("t", one), key_of("u", one), key_of("t", one + 1), key_of("t", one.reshape(3, 2))}) == 4
    assert digest_of(one) == digest_of(one.astype(np.float64))  # type: ignore[arg-type]


def test_rows_are_written_joined_and_read(tmp_path: Path) -> None:
    field, manifests = opened(tmp_path, x=[1, 1, 1, 1], y=[0, 0, 1, 1])
    with answers_in(None) as answers:
        table = run(field, manifests, [FirstColumn()], answers, 0, rounds=20)
        later = run(field, manifests, [FirstColumn(name="toy/later")], answers, 0, rounds=20)
    out = tmp_path / "results"
    write_table(later, field, out, SOURCE, 1.0)
    write_table(table, field, out, replace(SOURCE, commit="def5678"), 2.0)
    rows = json.loads((out / "bench.json").read_text())
    assert {r["task"] for r in rows} == {"toy/first", "toy/later"}
    assert [r["commit"] for r in rows if r["task"] == "toy/first"] == ["def5678"] * 3
    assert [r["commit"] for r in rows if r["task"] == "toy/later"] == ["abc1234"] * 3
    wanted = {"model", "task", "metric", "value", "low", "high", "n", "seed", "command", "commit"}
    assert all(wanted <= row.keys() for row in rows)
    assert [(r["model"], r["against"]) for r in json.loads((out / "bench_differences.json").read_text())] == [
        ("x", "y")
    ] * 2
    about = json.loads((out / "bench_about.json").read_text())
    assert about["models"]["x"]["a"]["tracks"] == 4
    assert about["tasks"]["toy/first"]["notes"] == ["one note"]
    assert about["last"]["seconds"] == 2.0
    before = (out / "bench.json").read_bytes()
    write_table(table, field, out, replace(SOURCE, commit="def5678"), 2.0)
    assert (out / "bench.json").read_bytes() == before
    for text in ("[]", "{"):
        (out / "bench_about.json").write_text(text)
        with pytest.raises(BenchError, match=r"bench_about\.json"):
            write_table(table, field, out, replace(SOURCE, commit="0000000"), 2.0)
        assert (out / "bench.json").read_bytes() == before


def test_a_new_row_replaces_only_its_own() -> None:
    old = Line("x", "t", "m", 1.0, 0.0, 2.0, 4, 0, "c", "1", "d")
    other = replace(old, model="y")
    new = replace(old, value=3.0)
    assert joined([old, other], [new]) == [new, other]


def test_nan_is_none(tmp_path: Path) -> None:
    field, manifests = opened(tmp_path, x=[1, 1, 1, 1])
    with answers_in(None) as answers:
        table = run(field, manifests, [FirstColumn()], answers, 0, rounds=20)
    score = replace(table.scores[0], row=replace(table.scores[0].row, low=float("nan"), high=float("nan")))
    (line,) = lines_of([score], SOURCE)
    assert (line.value, line.low, line.high) == (1.0, None, None)


def test_an_interval_without_width_is_shown_and_chance_has_none() -> None:
    line = Line("x", "t", "m", 1.0, 1.0, 1.0, 4, 0, "c", "1", "d")
    assert figure(line) == "1.000 [1.000, 1.000]"
    assert figure(replace(line, model=CHANCE)) == "1.000"
    assert figure(replace(line, value=None)) == "-"


def test_the_commands_baselines_are_all_there_are() -> None:
    assert set(bench.BASELINES) == {*BASELINES, "untrained", "musicnn"}


def test_a_file_of_something_else_is_an_error(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.json") == []
    for text in ("{}", "[1]", '[{"model": "x"}]', "[", '[{"surplus": 1}]'):
        (tmp_path / "bench.json").write_text(text)
        with pytest.raises(BenchError, match=r"bench\.json"):
            read_lines(tmp_path / "bench.json")
