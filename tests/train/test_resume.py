"""A run that is killed at any moment goes on as if it had not been; what a run leaves in its folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nearfield.data.melstore import MelStore
from nearfield.model.checkpoint import load_checkpoint
from nearfield.train.keep import RunFolder
from nearfield.train.loop import train
from nearfield.train.watch import Watch, Watched
from train.cases import LONG, RUN, environment


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def tensors(checkpoint: Path) -> dict[str, Tensor]:
    found = load_checkpoint(checkpoint)
    return {**found.embedder.state_dict(), **found.extra}


def test_a_run_killed_three_times_goes_on_as_if_it_had_not_been(store: MelStore, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    train(LONG, store, straight)
    for place, written, kept in (("reported 2", 2, 0), ("reported 5", 5, 3), ("saved 9", 9, 9)):
        command = [sys.executable, "-m", "train.killed", store.path, killed, place]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert [line["step"] for line in lines(killed)] == list(range(written))
        last = killed / "last.safetensors"
        assert (load_checkpoint(last).provenance["step"] if last.exists() else 0) == kept
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "loss": 1.0}\n{"step": 10, "los')  # as if killed in the middle of a line
    train(LONG, store, killed)
    one, other = lines(straight), lines(killed)
    assert [line["step"] for line in other] == list(range(LONG.steps))
    assert max(abs(a["loss"] - b["loss"]) for a, b in zip(one, other, strict=True)) <= 1e-6
    sessions = load_checkpoint(killed / "last.safetensors").provenance["sessions"]
    assert [s["first_step"] for s in sessions] == [0, 3, 9]  # the first had left no checkpoint: it never was
    first, again = tensors(straight / "last.safetensors"), tensors(killed / "last.safetensors")
    assert first.keys() == again.keys()
    assert any(k.startswith("trained.") for k in first)
    assert max(float((first[k] - again[k]).abs().max()) for k in first) <= 1e-6


def test_the_last_checkpoints_are_kept_by_step(store: MelStore, tmp_path: Path) -> None:
    config = replace(RUN, steps=4, keep_checkpoints=2, checkpoint_every_s=1e-9)
    train(config, store, tmp_path)
    assert [p.name for p in sorted(tmp_path.glob("*.safetensors"))] == [
        "best.safetensors",
        "last.safetensors",
        "step-000003.safetensors",
        "step-000004.safetensors",
    ]
    assert not list(tmp_path.glob("*.part"))
    assert os.path.samefile(tmp_path / "last.safetensors", tmp_path / "step-000004.safetensors")
    assert load_checkpoint(tmp_path / "step-000003.safetensors").provenance["step"] == 3


def test_a_copy_is_kept_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("nearfield.train.keep.save_checkpoint", lambda path, *_: path.write_bytes(b"weights"))
    monkeypatch.setattr(os, "link", refused)
    folder = RunFolder(tmp_path, 2)
    folder.save(None, {"step": 7}, {})  # type: ignore[arg-type]
    assert (tmp_path / "step-000007.safetensors").read_bytes() == b"weights"


def test_the_best_is_kept_over_a_stop_and_whitened_at_the_end(
    store: MelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recalls = iter([0.2, 0.7, 0.6, 0.7, 0.5, 0.9])
    monkeypatch.setattr(Watch, "look", lambda *_: Watched(next(recalls), 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    config = replace(RUN, steps=5, watch_every_s=1e-9)
    train(config, store, tmp_path, stop_after=2)
    best = load_checkpoint(tmp_path / "best.safetensors")
    assert (best.provenance["step"], best.provenance["recall_at_1"]) == (2, 0.7)
    assert not best.extra
    train(config, store, tmp_path)
    again = load_checkpoint(tmp_path / "best.safetensors")
    assert (again.provenance["step"], again.provenance["recall_at_1"]) == (2, 0.7)
    for name, parameter in best.embedder.named_parameters():
        assert torch.equal(parameter, again.embedder.get_parameter(name))
    assert float((again.embedder.whitener - best.embedder.whitener).abs().max()) > 0.1
    seen = [line["watched"]["synthetic"]["recall_at_1"] for line in lines(tmp_path)]
    assert seen == [0.2, 0.7, 0.6, 0.7, 0.5]
    assert lines(tmp_path)[-1]["whitened"]["synthetic"]["recall_at_1"] == 0.9


def test_what_a_run_was_made_with_stands_beside_it(store: MelStore, tmp_path: Path) -> None:
    train(replace(RUN, steps=1), store, tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["train"] == json.loads(json.dumps(asdict(replace(RUN, steps=1))))
    assert (run["corpus"], run["corpus_hash"], run["first_step"]) == ("synthetic", store.digest(), 0)
    assert run["environment"]["torch"] == torch.__version__
    assert run["environment"]["processes"] == 1
    assert run["environment"]["threads"] == torch.get_num_threads()
