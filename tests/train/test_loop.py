"""Training: it learns, it resumes exactly, it refuses what cannot work."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.test_checkpoint import SMALL
from nearfield.augment.colour import Colour
from nearfield.augment.equalise import Equalise
from nearfield.augment.gain import Gain
from nearfield.augment.mask import Mask
from nearfield.augment.mix import Mix
from nearfield.augment.pitch_shift import PitchShift, pitch_shift
from nearfield.augment.random_resized_crop import RandomResizedCrop
from nearfield.augment.time_stretch import TimeStretch
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import MelStore, StoreWriter
from nearfield.data.track import Track
from nearfield.errors import ModelError
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.embedder import Embedder
from nearfield.study.halves import cut_halves
from nearfield.train.feed import Augment, views
from nearfield.train.log import StepReport
from nearfield.train.loop import hidden_part, train
from nearfield.train.optimise import weight_groups
from nearfield.train.schedule import learning_rate
from nearfield.train.settings import TrainConfig
from nearfield.train.watch import slice_embedding, stretch_shifts, transpose_shifts
from nearfield.train.whiten import fit_whitening, whitening

CONFIG = TrainConfig(
    model=SMALL,
    augment=Augment(TimeStretch(0.8, 1.25), PitchShift(), Equalise(), mix=Mix()),
    steps=6,
    batch_pairs=8,
    warmup_steps=2,
    learning_rate=3e-3,
    bf16=False,
    watch_every_s=1e9,
    validation_share=0.2,
)


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in metrics(out)]


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_views_are_changed_by_every_step_and_only_by_those_asked_for() -> None:
    source = torch.from_numpy(np.random.default_rng(0).uniform(0, 5, (8, 420, 96)).astype(np.float32))
    steps: dict[str, object] = {
        "time_stretch": TimeStretch(),
        "pitch_shift": PitchShift(),
        "equalise": Equalise(),
        "gain": Gain(),
        "mix": Mix(),
        "colour": Colour(),
        "random_resized_crop": RandomResizedCrop(),
        "mask": Mask(),
    }
    assert list(steps) == [f.name for f in fields(Augment)]
    together = views(source, Augment(**steps), 300, SMALL.mel, 3, 5)  # type: ignore[arg-type]
    assert together.shape == (8, 96, 300)
    assert bool(torch.isfinite(together).all())
    assert torch.equal(together, views(source, Augment(**steps), 300, SMALL.mel, 3, 5))  # type: ignore[arg-type]
    plain = source[:, 60:360].transpose(1, 2)
    for name, step in steps.items():
        alone = views(
            source if name == "time_stretch" else source[:, 60:360], Augment(**{name: step}), 300, SMALL.mel, 3, 5
        )
        assert (alone - plain).abs().mean() > 0.01, name
        assert not torch.equal(alone, views(source[:, 60:360], Augment(), 300, SMALL.mel, 3, 5))


def test_it_learns_and_reports(store: MelStore, tmp_path: Path) -> None:
    reports: list[StepReport] = []
    config = replace(CONFIG, steps=40, augment=Augment())
    last = train(config, store, tmp_path / "run", report=reports.append, provenance={"command": "x"})
    curve = losses(tmp_path / "run")
    assert len(curve) == len(reports) == 40
    assert np.mean(curve[-5:]) < 0.6 * np.mean(curve[:2])
    watched = reports[-1].watched["synthetic"]
    assert watched.recall_at_1 > 0.5
    assert watched.tempo_locality is None  # these tracks have no labels
    assert set(metrics(tmp_path / "run")[-1]["watched"]["synthetic"]) == {
        "recall_at_1",
        "within_recall_at_1",
        "stretch_shift",
        "transpose_shift",
        "alignment",
        "uniformity",
        "rank_me",
    }
    assert reports[-1].seconds_left == 0
    found = load_checkpoint(last)
    assert found.provenance["step"] == 40
    assert found.provenance["corpus_hash"] == store.digest()
    assert set(reports[-1].whitened) == {"synthetic"}
    assert found.provenance["command"] == "x"


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(store: MelStore, tmp_path: Path, stop: int) -> None:
    straight = train(CONFIG, store, tmp_path / "straight")
    train(CONFIG, store, tmp_path / "stopped", stop_after=stop)
    assert len(losses(tmp_path / "stopped")) == stop
    resumed = train(CONFIG, store, tmp_path / "stopped")
    assert np.abs(np.subtract(losses(tmp_path / "stopped"), losses(tmp_path / "straight"))).max() <= 1e-6
    sessions = load_checkpoint(resumed).provenance["sessions"]
    assert [s["first_step"] for s in sessions] == [0, stop]
    one, other = (load_checkpoint(p).embedder.state_dict() for p in (straight, resumed))
    assert max(float((one[k] - other[k]).abs().max()) for k in one) <= 1e-6


def test_the_same_seed_gives_the_same_run_and_another_does_not(store: MelStore, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(CONFIG, seed=seed, steps=2), store, tmp_path / name)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


def test_a_folder_of_another_run_is_refused(store: MelStore, tmp_path: Path) -> None:
    train(replace(CONFIG, steps=1), store, tmp_path / "run")
    with pytest.raises(ModelError, match=r"another train\.learning_rate \(.*\); choose a new output folder"):
        train(replace(CONFIG, steps=1, learning_rate=1e-4), store, tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run(
    store: MelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearfield.train.loop.nt_xent", lambda a, p, temperature: (a * float("nan")).sum())
    with pytest.raises(ModelError, match="the loss is nan and its gradient nan at step 0; begin a new run"):
        train(CONFIG, store, tmp_path / "run")


def test_learning_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [learning_rate(s, 100, 10, 1.0) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert 0 <= rates[-1] < 0.001
    assert all(np.diff(rates[10:]) < 0)


@pytest.mark.parametrize(
    "bad", [{"steps": 0}, {"batch_pairs": 1}, {"temperature": 0.0}, {"seed": -1}, {"min_apart_s": 9.0}]
)
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        TrainConfig(**bad)  # type: ignore[arg-type]


def test_weights_without_decay_are_the_gains_and_biases() -> None:
    torch.manual_seed(0)
    embedder = Embedder(SMALL)
    decayed, free = weight_groups(embedder, 0.01)
    names = {id(p): n for n, p in embedder.named_parameters()}
    assert all(names[id(p)].endswith("weight") for p in decayed["params"])
    assert any(names[id(p)].endswith("gain") for p in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_whitening_makes_the_scatter_inside_tracks_even(store: MelStore) -> None:
    torch.manual_seed(0)
    embedder = Embedder(SMALL)
    encode = slice_embedding(embedder, whitened=False, bf16=False)
    fit_whitening(embedder, encode, [(store, range(20))])
    slices = [cut_halves(store, [n], 4).reshape(8, 96, 300).astype(np.float32) for n in range(20)]
    vectors = np.stack([embedder.whiten(torch.from_numpy(encode(s))).numpy() for s in slices])
    inside = (vectors - vectors.mean(axis=1, keepdims=True)).reshape(-1, vectors.shape[-1])
    first = 0
    for part in SMALL.encoder.parts:
        own = inside[:, first : first + part.kept]
        variance = np.linalg.eigvalsh(own.T @ own / len(own))
        assert variance.max() < 1.001
        assert np.median(variance) > 0.01
        first += part.kept
    assert first == vectors.shape[-1]
    assert np.abs(vectors.mean(axis=(0, 1))).max() < 1e-3


def test_what_is_kept_is_where_tracks_differ() -> None:
    rng = np.random.default_rng(0)
    means = np.zeros((200, 6))
    means[:, [1, 4]] = rng.standard_normal((200, 2)) * (3.0, 2.0)
    means -= means.mean(axis=0)
    within = np.diag([4.0, 1.0, 9.0, 1.0, 0.25, 1.0])
    kept = whitening(within, means, 2)
    assert kept.shape == (6, 2)
    weight = np.abs(kept) / np.abs(kept).max(axis=0)
    assert weight[:, 1].argmax() == 4  # the largest last: 2 over a deviation of 0.5 beats 3 over 1
    assert weight[:, 0].argmax() == 1
    whole = whitening(within, means, 6)
    variances = np.array([0.25, 1, 1, 1, 4, 9])
    shrunk = variances / (variances + 0.03 * variances.mean())
    assert np.allclose(whole.T @ within @ whole, np.diag(shrunk), atol=1e-12)


def test_a_store_of_another_front_end_is_refused(store: MelStore, tmp_path: Path) -> None:
    other = replace(SMALL, mel=replace(SMALL.mel, low_hz=50.0))
    with pytest.raises(ModelError, match="another front end"):
        train(replace(CONFIG, model=other), store, tmp_path / "run")


def test_a_full_disk_is_told_and_the_last_checkpoint_kept(
    store: MelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(CONFIG, store, tmp_path / "run", stop_after=2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nearfield.model.checkpoint.safetensors.torch.save_file", full)
    with pytest.raises(ModelError, match="No space left on device"):
        train(CONFIG, store, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run/last.safetensors").provenance["step"] == 2


def labelled_store(folder: Path, name: str) -> MelStore:
    """Sixty tracks with tempo, key and style, whose beat is the tempo."""
    keys = ("C major", "A minor", "F# major", "D minor")
    tracks = tuple(
        Track(f"{name}{i}", f"{i}", artist=f"a{i}", genre=f"s{i % 3}", key=keys[i % 4], tempo_bpm=60.0 + 5 * i)
        for i in range(60)
    )
    with StoreWriter(folder) as writer:
        for i, track in enumerate(tracks):
            rng = np.random.default_rng([7, i])
            beat = 1 + np.sin(2 * np.pi * (track.tempo_bpm or 0) / 60 * np.arange(900)[:, None] / 100)
            writer.append(track, (beat + rng.uniform(0, 2, 96)).clip(0, 8).astype(np.float16))
    write_manifest(Manifest(name, folder, tracks), folder / "manifest.parquet")
    return MelStore(folder)


def test_two_corpora_are_trained_on_and_watched_apart(store: MelStore, tmp_path: Path) -> None:
    other = labelled_store(tmp_path / "store", "labelled")
    config = replace(CONFIG, steps=4, weights={"labelled": 3.0}, same_package_share=0.5, augment=Augment())
    last = train(config, [store, other], tmp_path / "straight")
    watched = metrics(tmp_path / "straight")[-1]["watched"]
    assert set(watched) == {"synthetic", "labelled"}
    assert "tempo_locality" not in watched["synthetic"]
    assert {"tempo_locality", "key_locality", "style_locality"} <= set(watched["labelled"])
    assert load_checkpoint(last).provenance["corpus"] == "synthetic + labelled"
    train(config, [store, other], tmp_path / "stopped", stop_after=2)
    train(config, [store, other], tmp_path / "stopped")
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")


def test_validation_comes_by_steps_where_that_is_asked_for(store: MelStore, tmp_path: Path) -> None:
    train(replace(CONFIG, steps=7, watch_every_steps=3, watch_every_s=1e9), store, tmp_path / "run")
    assert [m["step"] for m in metrics(tmp_path / "run") if "watched" in m] == [2, 5, 6]


def test_transposing_and_stretching_move_what_they_should() -> None:
    """An embedding of the mean spectrum moves when bands move, and not with time."""
    rng = np.random.default_rng(0)
    spectra = rng.uniform(0, 5, (6, 96, 1)) * np.ones((1, 1, 400))
    sources = spectra.astype(np.float32)

    def spectrum(log_mels: np.ndarray) -> np.ndarray:
        return np.asarray(log_mels.mean(axis=2))

    assert stretch_shifts(sources, spectrum, 300).max() < 1e-5
    moved = transpose_shifts(sources, spectrum, 300, SMALL.mel)
    after = pitch_shift(torch.from_numpy(sources[:, :, :300]), torch.full((6,), 2.0), SMALL.mel).numpy().mean(axis=2)
    rows = spectra[:, :, 0]
    between = [
        1 - rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j]) for i in range(6) for j in range(i)
    ]
    expected = 1 - (after * rows).sum(1) / np.linalg.norm(after, axis=1) / np.linalg.norm(rows, axis=1)
    assert moved == pytest.approx(expected / np.mean(between), abs=1e-4)
    assert moved.min() > 0.3


def test_a_hidden_part_is_neither_seen_nor_changed(store: MelStore, tmp_path: Path) -> None:
    torch.manual_seed(0)
    embedder = Embedder(CONFIG.model)
    slices = torch.rand(4, 96, 300)
    for hidden, seen in (("fast", "slow"), ("slow", "fast")):
        embedder.zero_grad()
        embedder.project(slices, hidden).square().sum().backward()
        moved = {n.split(".")[1] for n, p in embedder.named_parameters() if p.grad is not None and p.grad.any()}
        assert seen in moved
        assert hidden not in moved
    names = [hidden_part(CONFIG, step) for step in range(200)]
    assert set(names) == {""}
    names = [hidden_part(replace(CONFIG, part_dropout=0.5), step) for step in range(400)]
    assert 160 < names.count("") < 240
    assert abs(names.count("slow") - names.count("fast")) < 60
    train(replace(CONFIG, steps=2, part_dropout=1.0), store, tmp_path / "run")
    with pytest.raises(ValueError, match="needs an encoder of two learned parts"):
        replace(
            CONFIG, part_dropout=0.5, model=replace(CONFIG.model, encoder=replace(CONFIG.model.encoder, fast_bands=0))
        )


def test_figures_go_to_tensorboard_where_asked_for(store: MelStore, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=5, tensorboard=True, watch_every_steps=2)
    train(config, store, tmp_path / "run", stop_after=3)
    train(config, store, tmp_path / "run")
    read = {}
    for file in sorted((tmp_path / "run" / "tensorboard").iterdir()):
        read |= events(file)
    lines = metrics(tmp_path / "run")
    assert {s: read["loss", s] for s in range(5)} == pytest.approx({m["step"]: m["loss"] for m in lines}, rel=1e-6)
    last = lines[-1]["watched"]["synthetic"]
    assert read["watched/synthetic/recall_at_1", 4] == pytest.approx(last["recall_at_1"], rel=1e-6)
    assert ("step", 0) not in read


def events(file: Path) -> dict[tuple[str, int], float]:
    """Scalars of an event file: records of 8 bytes length, 4 of checksum, the message, 4 of checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = file.read_bytes(), {}
    while data:
        size = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + size])
        found |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
        data = data[16 + size :]
    return found


def test_tensorboard_missing_is_an_error_with_a_remedy(
    store: MelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorboardX" else find(name))
    with pytest.raises(ModelError, match=r"not installed; install it with: pip install 'nearfield\[tensorboard\]'"):
        train(replace(CONFIG, tensorboard=True), store, tmp_path / "run")


def test_corpora_that_cannot_be_mixed_are_refused(store: MelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="two are named 'synthetic'; give each a name of its own"):
        train(CONFIG, [store, store], tmp_path / "run")
    with pytest.raises(ModelError, match=r"\[weights\]: a weight is given for 'games'; the corpora are synthetic"):
        train(replace(CONFIG, weights={"games": 1.0}), store, tmp_path / "run")
