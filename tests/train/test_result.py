"""What a study keeps of a run: weights in float16 that embed as the run's own, its figures, and a commit of both alone."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nearfield.data.melstore import MelStore
from nearfield.errors import ModelError
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.embedder import Embedder
from nearfield.model.half import largest_distance, save_half
from nearfield.train.committing import commit_files
from nearfield.train.loop import train
from nearfield.train.plan import Planned
from nearfield.train.result import digest, keep_result, result_files
from train.cases import RUN, TINY

CONFIG = replace(RUN, steps=90, batch_pairs=4, watch_every_steps=45)
PLANNED = Planned("a", 0)


@pytest.fixture(scope="module")
def out(store: MelStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(CONFIG, store, folder, provenance={"command": "nearfield train", "machine": "mine", "commit": "abc"})
    return folder


def test_the_weights_embed_as_those_of_the_run(out: Path, tmp_path: Path) -> None:
    assert keep_result(tmp_path, PLANNED, CONFIG, out)
    weights, _ = result_files(tmp_path, PLANNED)
    kept, own = load_checkpoint(weights), load_checkpoint(out / "last.safetensors")
    assert kept.embedder.projector is None
    assert not kept.extra
    assert 0 < largest_distance(own.embedder, kept.embedder) < 1e-5
    assert 0 < largest_distance(own.embedder, kept.embedder, seed=9) < 1e-5
    numbers = sum(v.numel() for v in kept.embedder.state_dict().values())
    assert 2 * numbers < weights.stat().st_size < 2 * numbers + 12_000
    assert kept.provenance.keys() == {"command", "commit", "corpus", "corpus_hash", "train", "step"}


def test_the_figures_are_those_of_the_run(out: Path, tmp_path: Path) -> None:
    keep_result(tmp_path, PLANNED, CONFIG, out)
    weights, file = result_files(tmp_path, PLANNED)
    found = json.loads(file.read_text())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert (found["variant"], found["seed"], found["steps"]) == ("a", 0, 90)
    assert found["validation"] == lines[-1]["watched"]
    assert found["whitened"] == lines[-1]["whitened"]
    assert [look["step"] for look in found["looks"]] == [45, 90]
    assert [point["step"] for point in found["curve"]] == list(range(3, 91, 3))
    assert found["curve"][1]["loss"] == pytest.approx(sum(line["loss"] for line in lines[3:6]) / 3, abs=1e-4)
    assert found["weights"]["bytes"] == weights.stat().st_size
    assert found["provenance"]["command"] == "nearfield train"
    assert "mine" not in file.read_text()


def test_what_is_there_is_left_and_what_is_of_another_run_is_replaced(out: Path, tmp_path: Path) -> None:
    assert keep_result(tmp_path, PLANNED, CONFIG, out)
    assert not keep_result(tmp_path, PLANNED, CONFIG, out)
    weights, file = result_files(tmp_path, PLANNED)
    file.write_text(file.read_text().replace('"abc"', '"abd"'))
    assert keep_result(tmp_path, PLANNED, CONFIG, out)
    weights.unlink()
    assert keep_result(tmp_path, PLANNED, CONFIG, out)
    assert not keep_result(tmp_path, PLANNED, CONFIG, out)


def test_seeds_of_one_variant_have_one_digest() -> None:
    assert digest(CONFIG) == digest(replace(CONFIG, seed=7)) != digest(replace(CONFIG, steps=91))


def test_weights_that_float16_does_not_hold_are_refused(tmp_path: Path) -> None:
    embedder = Embedder(TINY)
    with torch.no_grad():
        embedder.whitener *= 1e6
    with pytest.raises(ModelError, match=r"in float16 its embeddings are nan from those of its weights"):
        save_half(tmp_path / "half.safetensors", embedder, {})
    assert list(tmp_path.iterdir()) == []


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True).stdout


def test_the_files_are_committed_and_nothing_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in (*paths, tmp_path / "staged"):
        path.write_text("x")
    assert commit_files(paths, "Two") == "not committed: this is no git work tree"
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "staged")
    assert commit_files(paths, "Two") == "committed"
    assert git(tmp_path, "log", "--format=%s%b", "--name-only").split() == ["Two", "one", "two"]
    assert git(tmp_path, "status", "--short") == "A  staged\n"
    assert commit_files(paths, "Two") == "nothing to commit"
    (tmp_path / ".git" / "index.lock").touch()
    paths[0].write_text("y")
    assert commit_files(paths, "Two").startswith("not committed: fatal:")
