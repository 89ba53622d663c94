"""Strict configuration: unknown keys and wrong types are named."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from nearfield.errors import ConfigError
from nearfield.model.compact import CompactConfig
from nearfield.model.nfnet import NfnetConfig
from nearfield.records import build
from nearfield.train.settings import TrainConfig


def test_round_trip_of_the_deepest_configuration() -> None:
    config = build(
        TrainConfig, {"augment": {"time_stretch": {"min_ratio": 0.8}}, "model": {"encoder": {"blocks": [1, 2, 3]}}}, "x"
    )
    assert config.augment.time_stretch is not None
    assert config.augment.time_stretch.min_ratio == 0.8
    assert config.model.encoder.blocks == (1, 2, 3)
    assert build(TrainConfig, asdict(config), "x") == config


def test_a_kind_chooses_the_encoder_and_without_one_it_is_the_compact() -> None:
    config = build(TrainConfig, {"model": {"encoder": {"kind": "nfnet", "drop_path": 0}}}, "x")
    assert config.model.encoder == NfnetConfig(drop_path=0.0)
    assert build(TrainConfig, asdict(config), "x") == config
    assert build(TrainConfig, {"model": {"encoder": {"fast_bands": 0}}}, "x").model.encoder == CompactConfig(
        fast_bands=0
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"step": 5}, "run.toml: unknown key step; known here: .*steps"),
        ({"model": {"encoder": {"colour": 1}}}, "unknown key model.encoder.colour"),
        ({"steps": "many"}, "steps = 'many' is not a int"),
        ({"steps": True}, "steps = True is not a int"),
        ({"augment": {"time_stretch": {"min_ratio": -1.0}}}, "augment.time_stretch: tempo_ratio range"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"model": {"encoder": {"kind": "large"}}}, "unknown kind model.encoder = 'large'; known here: compact, nfnet"),
        ({"model": {"encoder": {"kind": ["nfnet"]}}}, "unknown kind model.encoder"),
        ({"model": {"encoder": {"kind": "nfnet", "texture_dimensions": 1}}}, "unknown key model.encoder.texture_dim"),
        ({"augment": {"mix": 3}}, "augment.mix = 3 is not a Mix"),
        ({"model": {"encoder": {"n_mels": 80}}}, "model: encoder takes 80 mels"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(TrainConfig, values, "run.toml")


def test_whole_numbers_stand_for_decimal_ones() -> None:
    assert build(TrainConfig, {"learning_rate": 1}, "x").learning_rate == 1.0
