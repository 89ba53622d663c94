"""What goes wrong, said so that a person can act: what, why, and what to do."""

from __future__ import annotations

import os
from dataclasses import dataclass


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


class ConfigError(NearfieldError):
    """A configuration with an unknown key, a wrong type or an impossible value."""


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
    """The path as printable UTF-8: undecodable bytes and control characters become backslash escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
