"""The configuration of a run or of a study from TOML: the rooms' own frozen dataclasses, read strictly."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from nearfield.errors import ConfigError, readable
from nearfield.records import build
from nearfield.train.plan import StudyConfig
from nearfield.train.settings import TrainConfig

T = TypeVar("T")


def read_run(path: Path, **overrides: Any) -> TrainConfig:
    """The training configuration of a TOML file; `overrides` that are not None take precedence.

    Raises ConfigError naming the file, the line, the key and its value.
    """
    config = _read(TrainConfig, path)
    try:
        return replace(config, **{k: v for k, v in overrides.items() if v is not None})
    except ValueError as error:
        raise ConfigError("command line", str(error), "correct the value") from error


def read_study(folder: Path) -> StudyConfig:
    """What `study.toml` in the folder of a study says; raises ConfigError as `read_run` does."""
    path = folder / "study.toml"
    config = _read(StudyConfig, path)
    missing = sorted({run.variant for run in config.planned if not (folder / f"{run.variant}.toml").is_file()})
    if missing:
        line = line_of(path.read_text("utf-8"), "queue")
        cause = f"queue names {missing[0]!r}, but there is no {missing[0]}.toml beside it"
        raise ConfigError(f"{readable(path)}, line {line}", cause, "write that file, or correct the queue")
    return config


def _read(cls: type[T], path: Path) -> T:
    name = readable(path)
    try:
        text = path.read_text("utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(name, "no such file", "name a TOML file, for example one below studies/") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(name, f"cannot be read ({error})", "correct it") from error
    try:
        return build(cls, values, name)
    except ConfigError as error:
        line = line_of(text, error.key)
        raise ConfigError(f"{name}, line {line}" if line else name, error.cause, error.remedy) from error


def line_of(text: str, key: str) -> int:
    """The line (from 1) of valid TOML on which `key` (with dots) is set; failing that, of the section or inline table it
    stands in; 0 where neither is there.
    """
    section, best, line = "", "", 0
    for number, written in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(written):
            section = place = _plain(header[1])
        elif pair := _PAIR.match(written):
            place = f"{section}.{_plain(pair[1])}".lstrip(".")
        else:
            continue
        if len(place) > len(best) and (key == place or key.startswith(f"{place}.")):
            best, line = place, number
    return line


_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"\s*\[\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*\]")
_PAIR = re.compile(rf"\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=")


def _plain(name: str) -> str:
    return re.sub(r"""["'\s]""", "", name)
