"""What a result comes from: the command, the commit of this code, the date."""

from __future__ import annotations

import datetime
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nearfield import __version__


def command_line(words: Sequence[str]) -> str:
    """The command as anyone may read it: paths without the folders of this machine."""
    return shlex.join(["nearfield", *map(public, words[1:])])


def public(word: str) -> str:
    """An absolute path, also behind NAME=, by its last two parts; any other word as it is."""
    name, equals, given = word.rpartition("=")
    path = Path(given)
    return name + equals + str(Path(*path.parts[-2:])) if path.is_absolute() else word


def commit() -> str:
    """The short commit, with a plus for uncommitted changes; empty outside a checkout of this project."""
    root = Path(__file__).parents[2]
    if shutil.which("git") is None or not (root / ".git").exists():
        return ""
    named = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty=+"], capture_output=True, check=False)
    return named.stdout.decode().strip()


def today() -> str:
    """The date in UTC, as YYYY-MM-DD."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def version() -> str:
    """Nearfield's own."""
    return __version__
