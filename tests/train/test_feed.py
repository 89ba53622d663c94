"""Views from spectra: the same as from log-mels but for the shift, and training that reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import tone_track
from model.test_checkpoint import SMALL
from nearfield.augment.colour import Colour
from nearfield.augment.equalise import Equalise
from nearfield.augment.gain import Gain
from nearfield.augment.mask import Mask
from nearfield.augment.mix import Mix
from nearfield.augment.pitch_shift import PitchShift
from nearfield.augment.random_resized_crop import RandomResizedCrop
from nearfield.augment.time_stretch import TimeStretch
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import MelStore, StoreWriter
from nearfield.data.track import Track
from nearfield.errors import StoreError
from nearfield.records import build
from nearfield.sound.mel import DEFAULT
from nearfield.sound.spectra import Heard, stream_heard
from nearfield.train.feed import Augment, views
from nearfield.train.loop import TrainConfig, train
from train.test_loop import losses

UNMOVED, MOVED = PitchShift(0.0, from_spectra=True), PitchShift(from_spectra=True)


@pytest.fixture(scope="module")
def heard() -> list[Heard]:
    """Eight slices of 420 frames."""
    return [next(stream_heard([tone_track(seed, 4.5)])) for seed in range(8)]


def sources(heard: list[Heard]) -> tuple[torch.Tensor, torch.Tensor]:
    """(8, 420, M) log-mels and (8, 420, K) spectra, of which the first are."""
    mels = np.stack([h.log_mel[10:430] for h in heard]).astype(np.float32)
    spectra = np.stack([h.amplitude[10:430] for h in heard]).astype(np.float32)
    return torch.from_numpy(mels), torch.from_numpy(spectra)


def test_a_shift_by_nothing_gives_the_views_of_the_log_mels(heard: list[Heard]) -> None:
    mels, spectra = sources(heard)
    others = Augment(
        time_stretch=TimeStretch(),
        equalise=Equalise(),
        gain=Gain(),
        mix=Mix(),
        random_resized_crop=RandomResizedCrop(),
        mask=Mask(),
    )
    for augment, size, most in ((Augment(), 420, 0.0015), (others, 300, 0.003)):
        plain = views(mels, augment, size, DEFAULT, 3, 5)
        made = views(spectra, replace(augment, pitch_shift=UNMOVED), size, DEFAULT, 3, 5)
        assert made.shape == plain.shape == (8, 96, size)
        assert (made - plain).abs().mean() < most


def test_the_shift_takes_the_semitones_that_the_mel_axis_takes(heard: list[Heard]) -> None:
    mels, spectra = sources(heard)
    on_mel_axis = views(mels, Augment(pitch_shift=PitchShift()), 420, DEFAULT, 3, 5)
    made = views(spectra, Augment(pitch_shift=MOVED), 420, DEFAULT, 3, 5)
    for n in range(8):
        alike = [
            float(torch.corrcoef(torch.stack([made[n].flatten(), other.flatten()]))[0, 1]) for other in on_mel_axis
        ]
        unmoved = float(torch.corrcoef(torch.stack([made[n].flatten(), mels[n].T.flatten()]))[0, 1])
        assert int(np.argmax(alike)) == n
        assert alike[n] > unmoved


def test_the_same_seed_gives_the_same_views_whoever_makes_them(heard: list[Heard]) -> None:
    spectra = sources(heard)[1]
    augment = Augment(time_stretch=TimeStretch(), pitch_shift=MOVED, mix=Mix(), colour=Colour())
    whole = views(spectra, augment, 300, DEFAULT, 3, 5)
    assert torch.equal(whole, views(spectra, augment, 300, DEFAULT, 3, 5))
    assert not torch.equal(whole, views(spectra, augment, 300, DEFAULT, 4, 5))
    own = torch.tensor([6, 1])
    assert (views(spectra, augment, 300, DEFAULT, 3, 5, own) - whole[own]).abs().max() < 1e-4


def test_a_run_asks_for_it_by_one_setting() -> None:
    assert build(TrainConfig, {"augment": {"pitch_shift": {"from_spectra": True}}}, "x").augment.from_spectra
    assert not build(TrainConfig, {"augment": {"pitch_shift": {}}}, "x").augment.from_spectra
    assert not Augment().from_spectra


CONFIG = TrainConfig(
    model=SMALL,
    augment=Augment(TimeStretch(0.8, 1.25), MOVED),
    steps=3,
    batch_pairs=6,
    warmup_steps=2,
    bf16=False,
    watch_every_s=1e9,
    validation_share=0.2,
)


def spectra_store(folder: Path, spectra: bool, name: str) -> MelStore:
    tracks = tuple(Track(f"{name}{i}", f"{i}", artist=f"{name}{i}") for i in range(12))
    with StoreWriter(folder, spectra=spectra) as writer:
        for seed, track in enumerate(tracks):
            piece = next(stream_heard([tone_track(seed, 8.0)]))
            writer.append(track, piece.log_mel, piece.amplitude if spectra else None)
    write_manifest(Manifest(name, folder, tracks), folder / "manifest.parquet")
    return MelStore(folder)


def test_training_from_spectra_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    store = spectra_store(tmp_path / "store", True, "sounds")
    train(CONFIG, store, tmp_path / "straight")
    train(CONFIG, store, tmp_path / "stopped", stop_after=1)
    train(CONFIG, store, tmp_path / "stopped")
    assert np.abs(np.subtract(losses(tmp_path / "stopped"), losses(tmp_path / "straight"))).max() <= 1e-6
    mels = replace(CONFIG, augment=Augment(TimeStretch(0.8, 1.25), PitchShift()))
    train(mels, store, tmp_path / "mels")
    apart = np.abs(np.subtract(losses(tmp_path / "mels"), losses(tmp_path / "straight")))
    assert 1e-6 < apart[0] < 0.3, "other numbers, but of the same pairs and shifts"


def test_a_corpus_without_spectra_is_named_with_the_remedy(tmp_path: Path) -> None:
    one, other = spectra_store(tmp_path / "a", True, "a"), spectra_store(tmp_path / "b", False, "b")
    with pytest.raises(
        StoreError, match=r"b: holds no spectra; run 'nearfield prepare' .* --spectra, or train without"
    ):
        train(CONFIG, [one, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()
