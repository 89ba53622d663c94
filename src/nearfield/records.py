"""Frozen dataclasses from plain mappings, strictly: an unknown key or a wrong type is an error that names it."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from nearfield.errors import ConfigError

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], subject: str, where: str = "") -> T:
    """An instance of dataclass `cls`; nested dataclasses from nested mappings, lists become tuples.

    Where several dataclasses are possible, the mapping's `kind` chooses that with this default; without it, it is the first.

    `subject` names the source (a file) and `where` the section, for the message. Raises ConfigError.
    """
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(typing.cast(Any, cls))]
    unknown = sorted(set(values) - set(names))
    if unknown:
        key = f"{where}{unknown[0]}"
        raise ConfigError.at(key, subject, f"unknown key {key}", f"known here: {', '.join(names)}")
    arguments = {k: _value(hints[k], v, subject, f"{where}{k}") for k, v in values.items()}
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        section = where.rstrip(".")
        named = [name for name in arguments if re.search(rf"\b{name}\b", str(error))]
        key = f"{where}{named[0]}" if named else section
        raise ConfigError.at(key, subject, f"{section or cls.__name__}: {error}", "correct the value") from error


def _value(hint: Any, value: Any, subject: str, where: str) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in options:
            return None
        return _value(_chosen(options, value, subject, where), value, subject, where)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(typing.cast(type[Any], hint), value, subject, f"{where}.")
    if origin is tuple and isinstance(value, list | tuple):
        element = options[0]
        return tuple(_value(element, v, subject, where) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {k: _value(options[1], v, subject, f"{where}.{k}") for k, v in value.items()}
    wanted = getattr(hint, "__name__", str(hint))
    raise ConfigError.at(where, subject, f"{where} = {value!r} is not a {wanted}", f"give a {wanted}")


def _chosen(options: tuple[Any, ...], value: Any, subject: str, where: str) -> Any:
    """The option of a union that `value` is meant for."""
    first = next(o for o in options if o is not type(None))
    if not isinstance(value, Mapping) or "kind" not in value:
        return first
    fields = [(o, f) for o in options if dataclasses.is_dataclass(o) for f in dataclasses.fields(o)]
    kinds: dict[Any, Any] = {f.default: o for o, f in fields if f.name == "kind"}
    if not kinds:
        return first
    if value["kind"] not in list(kinds):
        cause = f"unknown kind {where} = {value['kind']!r}"
        raise ConfigError.at(f"{where}.kind", subject, cause, f"known here: {', '.join(kinds)}")
    return kinds[value["kind"]]
