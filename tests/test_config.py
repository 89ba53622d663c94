"""A run's TOML: what is wrong in it is named with file, line, key and value."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.test_nfnet import SMALL as SMALL_NFNET
from nearfield.config import line_of, read_run
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.melstore import MelStore, StoreWriter
from nearfield.data.track import Track
from nearfield.errors import ConfigError
from nearfield.model.checkpoint import load_checkpoint
from nearfield.model.embedder import ProjectorConfig
from nearfield.model.nfnet import NfnetConfig
from nearfield.train.loop import train

REPO = Path(__file__).parent.parent
RUN = """\
# a run
seed = 3
steps = {steps}
weights = {{ games = 1, grooves = 2.5 }}

[augment.time_stretch]  # both views apart
min_ratio = 0.8
max_ratio = {ratio}

[model]
encoder.fast_bands = {bands}
"""


def written(folder: Path, steps: str = "10", ratio: str = "1.25", bands: str = "16", more: str = "") -> Path:
    path = folder / "run.toml"
    path.write_text(RUN.format(steps=steps, ratio=ratio, bands=bands) + more)
    return path


def test_a_run_is_read_as_it_stands(tmp_path: Path) -> None:
    config = read_run(written(tmp_path), seed=None, steps=12)
    assert (config.seed, config.steps) == (3, 12)
    assert config.weights == {"games": 1.0, "grooves": 2.5}
    assert config.augment.time_stretch is not None
    assert config.augment.time_stretch.max_ratio == 1.25
    assert config.model.encoder.fast_bands == 16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": '"many"'}, r"run\.toml, line 3: steps = 'many' is not a int; give a int"),
        ({"steps": "-4"}, r"run\.toml, line 3: TrainConfig: steps must be above 0, got -4; correct the value"),
        ({"ratio": "true"}, r"run\.toml, line 8: augment\.time_stretch\.max_ratio = True is not a float"),
        ({"ratio": "0.5"}, r"run\.toml, line \d: augment\.time_stretch: .*0\.5"),
        ({"bands": "[]"}, r"run\.toml, line 11: model\.encoder\.fast_bands = \[\] is not a int"),
        ({"more": "\nencoder.bands = 3\n"}, r"run\.toml, line 13: unknown key model\.encoder\.bands; known here: "),
        ({"more": "[augment.echo]\nx = 1\n"}, r"run\.toml, line 12: unknown key augment\.echo; known here: "),
        ({"more": "[[[\n"}, r"run\.toml: cannot be read \(.*line 12"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_run(written(tmp_path, **changes))


def test_a_weight_that_is_no_number_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('\nweights = { games = "all" }\n')
    with pytest.raises(ConfigError, match=r"line 2: weights\.games = 'all' is not a float"):
        read_run(path)


@pytest.mark.parametrize(
    ("key", "line"),
    [("a", 1), ("a.b", 1), ("s", 0), ("s.t", 3), ("s.t.x", 4), ("s.t.y", 3), ("s.q.r", 6), ("other", 0)],
)
def test_lines_are_found_by_the_longest_name_that_is_written(key: str, line: int) -> None:
    assert line_of('a = {b = 1}\n\n[s . t]\n"x" = 2\n[s.q]\nr=1\n', key) == line


RUNS = [path for path in sorted((REPO / "studies").rglob("*.toml")) if path.name != "study.toml"]


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.name)
def test_every_run_of_the_studies_can_be_read(path: Path) -> None:
    assert path.read_text().startswith("# nearfield train ")
    assert read_run(path).steps > 0


@pytest.fixture
def store(tmp_path: Path) -> MelStore:
    """Four tracks of noise."""
    folder = tmp_path / "store"
    tracks = tuple(Track(f"t{i}", f"{i}", split="train" if i else "held-out") for i in range(4))
    with StoreWriter(folder) as writer:
        for i, track in enumerate(tracks):
            writer.append(track, np.random.default_rng(i).uniform(0, 4, (800, 96)).astype(np.float16))
    write_manifest(Manifest("noise", folder, tracks), folder / "manifest.parquet")
    return MelStore(folder)


def test_the_full_recipe_trains_two_steps_in_small(tmp_path: Path, store: MelStore) -> None:
    recipe = read_run(REPO / "studies" / "mule" / "mule.toml")
    assert recipe.batch_pairs == 1920
    assert recipe.model.encoder == NfnetConfig(drop_path=0.1)
    small = replace(recipe.model, encoder=replace(SMALL_NFNET, drop_path=0.1), projector=ProjectorConfig((16, 16), 16))
    tiny = replace(recipe, model=small, batch_pairs=2, micro_batch_pairs=1, steps=2, watch_every_s=1e9)
    last = train(tiny, store, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1]
    assert all(0 < line["loss"] < 20 and line["grad_norm"] > 0 for line in lines)
    assert load_checkpoint(last).provenance["step"] == 2
