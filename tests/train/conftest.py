"""A store of made-up tracks to train on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import MelStore, StoreWriter
from nearfield.data.track import Track


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The networks here are too small for more, and sums then come in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> MelStore:
    """Thirty tracks, each with a spectrum and a beat of its own."""
    folder = tmp_path_factory.mktemp("store")
    tracks = tuple(Track(f"t{i}", f"{i}", artist=f"a{i}", package=f"p{i % 4}") for i in range(30))
    with StoreWriter(folder) as writer:
        for i, track in enumerate(tracks):
            rng = np.random.default_rng(i)
            beat = 1 + np.sin(2 * np.pi * rng.uniform(1, 6) * np.arange(1200)[:, None] / 100)
            sound = rng.uniform(0, 4, 96)[None] + beat * rng.uniform(0, 1, 96) + rng.normal(0, 0.1, (1200, 96))
            writer.append(track, sound.clip(0, 8).astype(np.float16))
    write_manifest(Manifest("synthetic", folder, tracks), folder / "manifest.parquet")
    return MelStore(folder)
