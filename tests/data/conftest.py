"""Fixtures for corpora: an archive of packages in place of Debian's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.archive import Archive
from nearfield.data import games


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """The archive, with its apt-get on the PATH and its files as the facts of the games corpus."""
    made = Archive(tmp_path / "archive")
    monkeypatch.setenv("PATH", f"{made.home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(games, "games_files", made.files)
    games._ids.cache_clear()
    yield made
    games._ids.cache_clear()
