"""A run's configuration from TOML: the rooms' own frozen dataclasses, read strictly."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from nearfield.errors import ConfigError, readable
from nearfield.records import build
from nearfield.train.loop import TrainConfig


def read_run(path: Path, **overrides: Any) -> TrainConfig:
    """The training configuration of a TOML file; `overrides` that are not None take precedence.

    Raises ConfigError naming the file and the key (and, for broken TOML, the line).
    """
    name = readable(path)
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(name, "no such file", "name a TOML file, for example one below studies/") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(name, f"cannot be read ({error})", "correct it") from error
    config = build(TrainConfig, values, name)
    try:
        return replace(config, **{k: v for k, v in overrides.items() if v is not None})
    except ValueError as error:
        raise ConfigError("command line", str(error), "correct the value") from error
