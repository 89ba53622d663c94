"""What goes wrong, said so that a person can act: what, why, and what to do."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass

_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class NearfieldError(Exception):
    """An error with its subject, cause and remedy; the command line prints it in one line, without a traceback."""

    def __init__(self, subject: str, cause: str, remedy: str) -> None:
        super().__init__(f"{subject}: {cause}; {remedy}")
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[NearfieldError], tuple[str, str, str]]:
        return type(self), (self.subject, self.cause, self.remedy)  # errors cross process pools


class AudioError(NearfieldError):
    """A sound file that cannot be used."""


class ManipulationError(NearfieldError):
    """A change of sound that cannot be made."""


class ManifestError(NearfieldError):
    """A manifest that cannot be read or breaks its rules."""


class CorpusError(NearfieldError):
    """A named corpus that cannot be obtained."""


class StoreError(NearfieldError):
    """A log-mel store that cannot be used."""


class ModelError(NearfieldError):
    """A model or checkpoint that cannot be used."""


class SpaceError(NearfieldError):
    """A SPACE that cannot be opened, written or asked."""


class AuditError(NearfieldError):
    """An embedding that cannot be audited, or a report that cannot be read or written."""


class BenchError(NearfieldError):
    """A benchmark that cannot be measured: labels, groups, folds or answers that do not fit, or a library that is missing."""


class ConfigError(NearfieldError):
    """A configuration with an unknown key, a wrong type or an impossible value; `key` is where, with dots, if known."""

    key: str = ""

    @classmethod
    def at(cls, key: str, subject: str, cause: str, remedy: str) -> ConfigError:
        """The error of one key."""
        error = cls(subject, cause, remedy)
        error.key = key
        return error


@dataclass(frozen=True)
class Failure:
    """One file that was passed over, listed at the end of a run."""

    path: str
    cause: str
    remedy: str

    @classmethod
    def of(cls, path: str, error: NearfieldError) -> Failure:
        return cls(path, error.cause, error.remedy)


def readable(path: str | os.PathLike[str]) -> str:
    """The path on one line of UTF-8: undecodable bytes, control characters and line breaks become backslash escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c.encode("unicode_escape").decode("ascii") if breaks_a_line(c) else c for c in text)


def breaks_a_line(character: str) -> bool:
    """Control characters, line and paragraph separators, and what turns the direction of writing."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNS
