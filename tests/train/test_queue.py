"""A queue of trainings: what is finished is skipped, what was killed goes on, and one that fails stops no other."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from nearfield.cli import main
from nearfield.config import read_run, read_study
from nearfield.data.melstore import MelStore
from nearfield.errors import ConfigError, ModelError
from nearfield.model.checkpoint import load_checkpoint
from nearfield.train.claim import Claim, holder
from nearfield.train.loop import train
from nearfield.train.overview import overview
from nearfield.train.plan import Planned, StudyConfig
from nearfield.train.process import detach
from nearfield.train.queue import Outcome, Queued, Work, claim_path, read_failures, work_through
from nearfield.train.standing import standing
from train.cases import LONG, environment

REPO = Path(__file__).parents[2]
VARIANT = """\
steps = 12
batch_pairs = 4
warmup_steps = 2
bf16 = false
validation_share = 0.2
ema_decay = 0.9
optimiser = "lars"
checkpoint_every_s = 1e-9

[model.encoder]
slice_frames = 100
channels = [8, 16]
blocks = [1, 1]
slow_dimensions = 12
fast_bands = 4
fast_dimensions = 8
texture_dimensions = 0

[model.projector]
hidden = [16]
dimensions = 8

[augment.time_stretch]
min_ratio = 0.8
max_ratio = 1.25

[augment.equalise]

[augment.mix]
probability = 0.5
"""
STUDY = """\
# a study
stores = ["{store}"]
runs = "{runs}"

queue = ["a-0", "b-0"]
"""


@pytest.fixture
def work(store: MelStore, tmp_path: Path) -> Work:
    """Of two runs that are alike."""
    study, runs = tmp_path / "study", tmp_path / "runs"
    study.mkdir()
    for variant in ("a", "b"):
        (study / f"{variant}.toml").write_text(VARIANT)
    (study / "study.toml").write_text(STUDY.format(store=store.path, runs=runs))
    planned = read_study(study).planned
    queue = [Queued(run, LONG, study / f"{run.variant}.toml", runs / run.name) for run in planned]
    return Work(study, runs, (store.path,), tuple(queue))


def here(work: Work, run: Queued) -> list[str]:
    """Trained in this process, which is quick; what is left to the queue's is to do nothing."""
    train(run.config, MelStore(work.stores[0]), run.out)
    return [sys.executable, "-c", ""]


def through(work: Work) -> Outcome:
    return work_through(work, lambda line: None, lambda run: here(work, run))


def tensors(checkpoint: Path) -> dict[str, Tensor]:
    found = load_checkpoint(checkpoint)
    return {**found.embedder.state_dict(), **found.extra}


def words(*given: object) -> list[str]:
    return [sys.executable, "-m", "nearfield.cli", *map(str, given)]


def waited_for(path: Path, seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return path.exists()


def test_the_variant_of_these_tests_is_that_of_the_others(work: Work) -> None:
    assert read_run(work.study / "a.toml") == LONG


def test_a_run_that_is_killed_stops_no_other_and_goes_on_as_if_it_had_not_been(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    told: list[str] = []

    def killed(run: Queued) -> list[str]:
        if run.planned.variant == "b":
            return here(work, run)
        return [sys.executable, "-m", "train.killed", str(work.stores[0]), str(run.out), "reported 8"]

    outcome = work_through(work, told.append, killed)
    assert (outcome.made, outcome.skipped, outcome.interrupted) == (1, 0, False)
    (failure,) = outcome.failures
    assert (failure.path, failure.cause) == ("a-0", "its process was ended by SIGKILL")
    assert told == ["a-0, 1 of 2", f"a-0 failed: {failure.cause}", "b-0, 2 of 2", "b-0 is finished"]
    first, second = overview(work).runs
    assert (first.state, first.step, first.cause) == ("failed", 8, failure.cause)
    assert (second.state, second.step, second.seconds_left) == ("finished", 12, 0.0)

    again = through(work)
    assert (again.made, again.skipped, again.failures) == (1, 1, ())
    assert load_checkpoint(work.queue[0].out / "last.safetensors").provenance["sessions"][1]["first_step"] == 6
    one, other = (tensors(run.out / "last.safetensors") for run in work.queue)
    assert max(float((one[k] - other[k]).abs().max()) for k in other) <= 1e-6
    assert read_failures(work.runs) == {}
    assert through(work) == Outcome(0, 2, (), False)


def test_a_run_of_other_settings_fails_with_what_differs(work: Work) -> None:
    first = work.queue[0]
    train(replace(LONG, steps=2, learning_rate=0.5), MelStore(work.stores[0]), first.out)
    before = (first.out / "last.safetensors").read_bytes()
    outcome = through(work)
    (failure,) = outcome.failures
    cause = "was trained with another train.steps (2, not 12) and train.learning_rate (0.5, not 0.001)"
    assert (failure.path, failure.cause, outcome.made) == ("a-0", cause, 1)
    assert (first.out / "last.safetensors").read_bytes() == before
    assert not (work.study / "runs" / "a-0.json").exists()
    assert standing(first.out, first.config).cause == cause


def test_a_run_in_other_hands_fails_and_a_queue_in_other_hands_is_refused(work: Work) -> None:
    first = work.queue[0]
    with Claim(first.out / "lock"):
        assert standing(first.out, first.config).state == "running"
        with pytest.raises(ModelError, match=rf"process {os.getpid()}, .* is at work there; wait until"):
            here(work, first)
    assert standing(first.out, first.config).state == "waiting"
    with Claim(claim_path(work.runs)):
        assert overview(work).process == os.getpid()
        with pytest.raises(ModelError, match=r"is at work there"):
            through(work)
        with pytest.raises(ModelError, match=rf"process {os.getpid()} is at work there"):
            detach(words("study", "run", work.study), work.runs / "study.log", claim_path(work.runs))
    assert overview(work).process is None


def test_a_child_that_is_left_keeps_the_claim_of_its_parent(tmp_path: Path) -> None:
    with Claim(tmp_path / "pid") as claim:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[claim.fileno()])
        number = (tmp_path / "pid").read_text()
    (tmp_path / "pid").write_text(number)  # as a killed parent leaves it
    assert holder(tmp_path / "pid") == os.getpid()
    child.communicate(b"\n")
    assert holder(tmp_path / "pid") is None


def test_the_time_left_is_that_of_runs_like_it(work: Work) -> None:
    assert overview(work).seconds_left is None
    first = work.queue[0].out
    first.mkdir(parents=True)
    lines = [{"step": step, "loss": 2.0 - step, "seconds": 3.0 * (step + 1)} for step in range(4)]
    (first / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4')
    found = overview(work)
    assert [(r.step, r.steps, r.loss, r.state, r.seconds_left) for r in found.runs] == [
        (4, 12, -1.0, "waiting", 24.0),
        (0, 12, None, "waiting", 36.0),
    ]
    assert found.seconds_left == 60.0


def test_from_the_command_line_in_the_background_until_it_is_stopped(
    work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    file = work.study / "a.toml"
    file.write_text(VARIANT.replace("steps = 12", "steps = 100000", 1))
    study = str(work.study)
    assert main(["study", "run", study, "--background", "--threads", "1", "--only", "a-*"]) == 0
    number = int(re.match(r"process (\d+) writes to .*study\.log; to stop it: kill \1\n", capsys.readouterr().out)[1])  # type: ignore[index]
    assert waited_for(work.queue[0].out / "last.safetensors")
    assert main(["study", "run", study, "--background"]) == 2
    assert f"process {number} is at work there" in capsys.readouterr().err
    assert main(["study", "status", study, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["process"], [run["state"] for run in said["runs"]]) == (number, ["running", "waiting"])

    os.kill(number, signal.SIGTERM)
    assert os.WEXITSTATUS(os.waitpid(number, 0)[1]) == 130
    assert main(["study", "status", study]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["variant", "seed", "step", "loss", "state", "left"]
    step = int(re.match(r"a +0 +(\d+)/100000 +\d\.\d{3} +waiting +\d+:\d\d:\d\d$", table[1])[1])  # type: ignore[index]
    assert re.match(r"b +0 +0/12 +waiting", table[2])
    assert table[3].startswith("nobody is at it; all of it takes another")
    assert load_checkpoint(work.queue[0].out / "last.safetensors").provenance["step"] == step
    log = (work.runs / "study.log").read_text()
    assert f"nearfield: interrupted; the same command goes on from step {step} in " in log
    assert "0 made, 0 finished before, 0 failed" in log


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ("runs =", "run =", r"study\.toml, line 3: unknown key run; known here: stores, runs, queue"),
        ('"b-0"', "3", r"study\.toml, line 5: queue = 3 is not a str"),
        ('"b-0"', '"b"', r"study\.toml, line 5: .*a variant and a seed, got 'b'"),
        ('"b-0"', '"../b-0"', r"study\.toml, line 5: .*a variant and a seed, got '\.\./b-0'"),
        ('"b-0"', '"a-0"', r"study\.toml, line 5: .*a run twice, got 'a-0'"),
        ('"b-0"', '"c-0"', r"study\.toml, line 5: queue names 'c', but there is no c\.toml beside it"),
        ('["a-0", "b-0"]', "[]", r"study\.toml, line 5: .*at least one run"),
    ],
)
def test_what_is_wrong_in_a_study_is_named(work: Work, was: str, becomes: str, words: str) -> None:
    file = work.study / "study.toml"
    file.write_text(file.read_text().replace(was, becomes))
    with pytest.raises(ConfigError, match=words):
        read_study(work.study)


def test_a_pattern_that_fits_no_run_is_an_error(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "status", str(work.study), "--only", "c*"]) == 2
    assert capsys.readouterr().err == "nearfield: --only: no run of the study is named like 'c*'; its runs: a-0, b-0\n"


def test_the_command_of_a_run_is_that_which_anyone_would_write() -> None:
    study, config = Path("studies/paper"), replace(LONG, seed=2)
    run = Queued(Planned("ts-ps", 2), config, study / "ts-ps.toml", Path("runs/paper/ts-ps-2"))
    work = Work(study, Path("runs/paper"), (Path("games.store"), Path("grooves.store")), (run,), threads=1)
    line = "train studies/paper/ts-ps.toml games.store runs/paper/ts-ps-2 --also grooves.store --seed 2 --threads 1"
    assert work.train(run)[3:] == line.split()


def test_the_study_of_the_paper_is_as_it_was_planned() -> None:
    study = read_study(REPO / "studies" / "paper")
    assert study == StudyConfig(("games.store", "grooves.store"), "runs/paper", study.queue)
    plain = read_run(REPO / "studies" / "paper" / "none.toml")
    main_five = ("none", "ts", "ps", "eq", "rrc")
    assert study.planned[:5] == tuple(Planned(variant, 0) for variant in main_five)
    assert study.planned[-10:] == tuple(Planned(variant, seed) for seed in (1, 2) for variant in main_five)
    assert {r.variant for r in study.planned} == {p.stem for p in (REPO / "studies" / "paper").glob("*.toml")} - {
        "study"
    }
    for variant in {run.variant for run in study.planned}:
        config = read_run(REPO / "studies" / "paper" / f"{variant}.toml")
        longer = variant.endswith(("-800", "-1600"))
        assert config.steps == (int(variant.rpartition("-")[2]) if longer else 400)
        assert replace(config, augment=plain.augment, steps=400, watch_every_steps=100) == plain
        assert (config.augment == plain.augment) == variant.startswith("none")
