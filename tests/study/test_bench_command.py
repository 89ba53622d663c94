"""`nearfield bench` from files to rows, on pieces rendered on the spot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nearfield.cli import main
from nearfield.data.band import write_library
from nearfield.data.manifest import Manifest, write_manifest


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """24 pieces by 12 artists, each of one of two styles that have nothing to do with the sound."""
    made = write_library(tmp_path_factory.mktemp("band"), 24, seed=0, duration_s=10.0, file_format="flac")
    pairs = [(f"artist {n // 2}", ("this", "that")[n // 2 % 2]) for n in range(24)]
    tracks = [replace(t, artist=who, genre=style) for t, (who, style) in zip(made, pairs, strict=True)]
    relabelled = replace(made, tracks=tuple(tracks))
    write_manifest(relabelled, made.root / "manifest.parquet")
    return relabelled


def planted(band: Manifest, path: Path, broken: str = "") -> str:
    """Vectors that say the style and nothing else."""
    styles = sorted({t.genre for t in band})
    vectors = np.stack([np.eye(len(styles), dtype=np.float32)[styles.index(t.genre)] for t in band])
    vectors[[t.id == broken for t in band]] = np.nan
    np.savez(path, ids=np.array([t.id for t in band]), vectors=vectors)
    return str(path)


def run(band: Manifest, out: Path, *words: str) -> int:
    catalogue = f"band={band.root / 'manifest.parquet'}"
    return main(["bench", *words, "--catalogue", catalogue, "-o", str(out), "--workers", "0"])


def test_a_table_with_baseline_chance_and_differences(band: Manifest, tmp_path: Path) -> None:
    model = f"styles={planted(band, tmp_path / 'v.npz')}"
    out, words = tmp_path / "results", ("--baselines", "mean-log-mel", "--tasks", "retrieval/*")
    assert run(band, out, model, *words) == 0
    rows = json.loads((out / "bench.json").read_text())
    found = {(r["model"], r["metric"]): r for r in rows if r["task"] == "retrieval/band/style"}
    assert {m for m, _ in found} == {"styles", "mean-log-mel", "chance"}
    assert found["styles", "R-precision"]["value"] == 1
    assert found["styles", "mAP@R"]["value"] == 1
    chance, baseline = found["chance", "R-precision"]["value"], found["mean-log-mel", "R-precision"]
    assert chance == pytest.approx(10 / 22, abs=1e-5)  # 10 of the 22 by others are of its style
    assert found["chance", "R-precision"]["low"] == chance
    assert 0 < baseline["value"] < 1
    assert baseline["low"] < baseline["value"] < baseline["high"]
    assert all(r["command"].startswith("nearfield") and str(tmp_path) not in r["command"] for r in rows)
    differences = json.loads((out / "bench_differences.json").read_text())
    (better,) = [r for r in differences if r["metric"] == "R-precision"]
    assert (better["model"], better["against"]) == ("styles", "mean-log-mel")
    assert better["value"] == pytest.approx(1 - baseline["value"], abs=1e-5)
    before = (out / "bench.json").read_bytes()
    assert run(band, out, model, *words) == 0  # again: nothing is heard or asked anew
    assert (out / "bench.json").read_bytes() == before


def test_probes_and_estimators_and_folds(band: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"styles={planted(band, tmp_path / 'v.npz')}"
    words = (model, "--baselines", "none", "--tasks", "labelling/*/linear", "tempo/*/neighbours", "--json")
    assert run(band, tmp_path / "results", *words) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    found = {(r["task"], r["model"], r["metric"]): r["value"] for r in rows if "against" not in r}
    assert found["labelling/band/style/linear", "styles", "accuracy"] == 1
    assert found["tempo/band/neighbours", "nearfield's estimator", "Accuracy2"] > 0.5
    assert ("tempo/band/neighbours", "librosa", "Accuracy1") in found
    folds = json.loads((tmp_path / "results" / "folds" / "band-style.json").read_text())
    assert folds["count"] == 5
    assert set(folds["folds"].values()) == set(range(5))


def test_who_and_what_is_missing_is_listed(band: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"styles={planted(band, tmp_path / 'v.npz', broken=band.tracks[3].id)}"
    words = (model, "--baselines", "musicnn", "--tasks", "retrieval/*")
    assert run(band, tmp_path / "results", *words) == 1
    said = capsys.readouterr().err
    assert "musicnn on band: musicnn: no vectors of it are kept" in said
    assert f"{band.tracks[3].id}: styles: its vector has numbers that are not finite" in said
    rows = json.loads((tmp_path / "results" / "bench.json").read_text())
    assert {r["n"] for r in rows} == {23}
    about = json.loads((tmp_path / "results" / "bench_about.json").read_text())
    assert [a["model"] for a in about["absent"]] == ["musicnn"]
    assert list(about["lacking"]["band"]) == [band.tracks[3].id]


HEAR = """
import numpy as np
sample_rate = 8000
def load_model(path): return None
def get_scene_embeddings(audio, model): return np.stack([audio.std(axis=1), np.abs(audio).max(axis=1)], axis=1)
"""


def test_a_module_a_model_and_a_space_are_asked_alike(band: Manifest, tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "ears.py").write_text(HEAR)
    space = tmp_path / "band.space"
    assert main(["index", str(band.root / "manifest.parquet"), "--space", str(space), "--model", str(tiny_model)]) == 0
    models = (str(tmp_path / "ears.py"), f"tiny={tiny_model}", f"space={space}")
    assert run(band, tmp_path / "results", *models, "--baselines", "none", "--tasks", "retrieval/*") == 0
    rows = json.loads((tmp_path / "results" / "bench.json").read_text())
    found = {r["model"]: r["value"] for r in rows if r["metric"] == "mAP@R"}
    assert found.keys() == {"ears", "tiny", "space", "chance"}
    assert found["tiny"] == found["space"] != found["ears"]  # one model, heard by the benchmark and before it
    about = json.loads((tmp_path / "results" / "bench_about.json").read_text())
    assert [about["models"][m]["band"]["dimensions"] for m in ("ears", "tiny", "space")] == [2, 32, 32]


def test_tasks_are_named_without_hearing(band: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(band, tmp_path / "results", "anything", "--list-tasks") == 0
    names = capsys.readouterr().out.splitlines()
    assert "retrieval/band/style" in names
    assert "key/band/hidden" in names
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mfcc", "--tasks", "nonsense/*"), "fits no task"),
        (("mfcc", "--baselines", "nonsense"), "is no baseline"),
        (("nonsense",), "is no embedding that is known"),
        (("x=mfcc", "x=mean-log-mel", "--baselines", "none"), "two are called 'x'"),
    ],
)
def test_bad_input(
    band: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(band, tmp_path / "results", *words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert (
        "hearing" not in told or "two are called" in told
    )  # what embeddings call themselves is known when they are open
