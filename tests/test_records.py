"""Strict configuration: unknown keys and wrong types are named."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from nearfield.errors import ConfigError
from nearfield.records import build
from nearfield.train.loop import TrainConfig


def test_round_trip_of_the_deepest_configuration() -> None:
    config = build(
        TrainConfig, {"augment": {"time_stretch": {"min_ratio": 0.8}}, "model": {"encoder": {"blocks": [1, 2, 3]}}}, "x"
    )
    assert config.augment.time_stretch is not None
    assert config.augment.time_stretch.min_ratio == 0.8
    assert config.model.encoder.blocks == (1, 2, 3)
    assert build(TrainConfig, asdict(config), "x") == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"step": 5}, "run.toml: unknown key step; known here: .*steps"),
        ({"model": {"encoder": {"colour": 1}}}, "unknown key model.encoder.colour"),
        ({"steps": "many"}, "steps = 'many' is not a int"),
        ({"steps": True}, "steps = True is not a int"),
        ({"augment": {"time_stretch": {"min_ratio": -1.0}}}, "augment.time_stretch: tempo_ratio range"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"augment": {"mix": 3}}, "augment.mix = 3 is not a Mix"),
        ({"model": {"encoder": {"n_mels": 80}}}, "model: encoder takes 80 mels"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(TrainConfig, values, "run.toml")


def test_whole_numbers_stand_for_decimal_ones() -> None:
    assert build(TrainConfig, {"learning_rate": 1}, "x").learning_rate == 1.0
