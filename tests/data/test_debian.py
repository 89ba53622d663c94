"""Packages downloaded and unpacked: damage, full disks and kills, met while a corpus is fetched."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data.archive import Archive, needs_dpkg
from nearfield.data import debian
from nearfield.data.corpora import fetch_games
from nearfield.errors import CorpusError


@needs_dpkg
def test_verify_sees_a_change_that_size_and_time_hide(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "games"
    fetch_games(dest)
    file = dest / "beta/usr/lib/b/no-extension"
    stat = file.stat()
    file.write_bytes(b"c" * 999)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fetch_games(dest).fetched_packages == 0
    assert fetch_games(dest, verify=True).fetched_packages == 1
    assert file.read_bytes() == b"b" * 999


@needs_dpkg
def test_another_version_is_left_out_and_listed(archive: Archive, tmp_path: Path) -> None:
    archive.build("alpha", {"usr/share/a/two.ogg": b"remastered"})
    result = fetch_games(tmp_path / "games")
    assert [(f.path, "MD5" in f.cause) for f in result.failures] == [("alpha/usr/share/a/two.ogg", True)]
    assert "left out" in result.failures[0].remedy
    assert [t.id for t in result.manifest] == [
        "games/alpha/one",
        "games/beta/no-extension",
        "games/gamma/three",
    ]
    assert not (tmp_path / "games/alpha/usr/share/a/two.ogg").exists()
    again = fetch_games(tmp_path / "games")
    assert (again.fetched_packages, again.failures) == (0, result.failures), "known, listed, not downloaded again"
    archive.build("alpha")
    assert len(fetch_games(tmp_path / "games", verify=True).manifest) == 4


@needs_dpkg
def test_a_damaged_package_is_listed(archive: Archive, tmp_path: Path) -> None:
    whole = (archive.home / "alpha.deb").read_bytes()
    (archive.home / "alpha.deb").write_bytes(whole[: len(whole) // 2])
    result = fetch_games(tmp_path / "games")
    assert [f.path for f in result.failures] == ["alpha"]
    assert "damaged" in result.failures[0].cause
    assert [t.package for t in result.manifest] == ["beta", "gamma"]


@needs_dpkg
def test_stale_package_lists_are_replaced_by_private_ones(archive: Archive, tmp_path: Path) -> None:
    (archive.home / "stale").touch()
    (archive.home / "online").touch()
    result = fetch_games(tmp_path / "games")
    assert (len(result.manifest), result.failures) == (4, ())
    assert archive.calls("update") == 1
    assert archive.calls(f"Dir::State::lists={tmp_path / 'games' / '.apt' / 'lists'}") >= 3


@needs_dpkg
def test_a_full_disk_ends_the_run_and_leaves_nothing_broken(archive: Archive, tmp_path: Path) -> None:
    (archive.home / "full").touch()
    with pytest.raises(CorpusError, match="the disk is full; free space"):
        fetch_games(tmp_path / "games")
    (archive.home / "full").unlink()
    assert len(fetch_games(tmp_path / "games").manifest) == 4


@needs_dpkg
def test_a_disk_full_while_unpacking(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = debian._write_checked
    monkeypatch.setattr(debian, "_write_checked", _full_at("three.ogg", real))
    with pytest.raises(CorpusError, match="the disk is full"):
        fetch_games(tmp_path / "games")
    monkeypatch.setattr(debian, "_write_checked", real)
    result = fetch_games(tmp_path / "games")
    assert (result.present_packages, result.fetched_packages, len(result.manifest)) == (2, 1, 4)


def _full_at(name: str, real: Callable[..., bool]) -> Callable[..., bool]:
    def write(stream: object, target: Path, md5: str) -> bool:
        if target.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(stream, target, md5)

    return write


@needs_dpkg
def test_killed_in_the_middle_it_resumes(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "games"
    (archive.home / "slow-beta").touch()
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[2])\n"
        "from data.archive import Archive; from nearfield.data import corpora, games\n"
        "games.games_files = lambda: Archive.files(Archive)\n"
        "corpora.fetch_games(pathlib.Path(sys.argv[1]))\n"
    )
    tests = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", script, dest, tests], start_new_session=True) as process:
        until = time.monotonic() + 30
        while not list(dest.glob(".apt/get-beta-*/beta.deb")) and time.monotonic() < until:
            time.sleep(0.05)
        with pytest.raises(CorpusError, match="another fetch is at work"):
            fetch_games(dest)
        os.killpg(process.pid, signal.SIGKILL)
    assert list(dest.glob(".apt/get-beta-*/beta.deb")), "half a package lies there"
    (dest / "gamma/usr/share/g/music.pk3.d/music").mkdir(parents=True)
    (dest / "gamma/usr/share/g/music.pk3.d/music/three.ogg.part").write_bytes(b"thr")
    (archive.home / "slow-beta").unlink()
    result = fetch_games(dest)
    assert (result.present_packages, result.fetched_packages, result.failures) == (1, 2, ())
    assert len(result.manifest) == 4
    assert not list(dest.rglob("*.part"))
    assert not list(dest.glob(".apt/get-*"))


@needs_dpkg
def test_a_destination_that_cannot_be_written(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match="cannot be written"):
        fetch_games(tmp_path / "file" / "games")
