"""The games corpus: its facts, its split, and fetching it from a pretended archive."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from nearfield.data import corpora
from nearfield.data.corpora import (
    FetchProgress,
    GameFile,
    fetch_games,
    games_files,
    games_split,
    games_tracks,
)
from nearfield.data.manifest import read_manifest
from nearfield.errors import CorpusError

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb builds the packages to fetch")

# ------------------------------------------------------------------------------------------ facts


def test_the_facts_count_what_is_documented() -> None:
    tracks = games_tracks()
    assert (len(games_files()), len({f.package for f in games_files()})) == (849, 102)
    assert len(tracks) == 756
    assert sum(t.duration_s or 0 for t in tracks) / 3600 == pytest.approx(38.63, abs=0.01)
    assert len({t.package for t in tracks}) == 97
    assert len({t.artist for t in tracks if t.artist}) == 122
    assert sum(bool(t.artist) for t in tracks) == 474
    assert len({t.album for t in tracks if t.album}) == 77
    assert all(len(t.content_hash) == 4 + 32 for t in tracks)


def test_the_small_subset_is_part_of_the_full_one() -> None:
    small = games_tracks("small")
    assert len(small) == 281
    assert sum(t.duration_s or 0 for t in small) / 3600 == pytest.approx(18.75, abs=0.01)
    assert len({t.artist for t in small if t.artist}) == 37
    assert {t.package for t in small} == corpora.SMALL_PACKAGES
    assert {t.id for t in small} < {t.id for t in games_tracks()}
    full = {t.id: t for t in games_tracks()}
    assert all(full[t.id] == t for t in small)


def test_ids_are_short_and_unique() -> None:
    ids = [t.id for t in games_tracks()]
    assert len(set(ids)) == 756
    assert "games/blobwars-data/arctic" in ids
    assert all(i.startswith(f"games/{t.package}/") for i, t in zip(ids, games_tracks(), strict=True))
    longer = [i for i in ids if i.count("/") > 2]
    assert len(longer) < 20, "only files of one name in one package need a folder in front"


def test_an_unknown_subset_is_named() -> None:
    with pytest.raises(CorpusError, match="choose one of small, full"):
        games_tracks("tiny")


# ------------------------------------------------------------------------------------------ split


def test_the_split_column_is_what_its_function_gives() -> None:
    files = games_files()
    assert games_split([replace(f, split="") for f in files]) == tuple(f.split for f in files)


def test_the_split_has_the_intended_shape() -> None:
    tracks = games_tracks()
    held = [t for t in tracks if t.split == "held-out"]
    of_package = Counter(t.package for t in tracks)
    held_of = Counter(t.package for t in held)
    whole = {p for p in held_of if held_of[p] == of_package[p]}
    assert {t.split for t in tracks} == {"train", "held-out"}
    assert len(held) == 119
    assert sum(t.duration_s or 0 for t in held) / 3600 == pytest.approx(6.14, abs=0.01)
    assert (len(held_of), len(whole), sum(t.package in whole for t in held)) == (25, 19, 65)
    assert sum(n >= 5 for n in held_of.values()) == 12
    assert sum(t.package in corpora.SMALL_PACKAGES for t in held) == 40


def test_no_named_artist_and_no_copy_is_on_both_sides() -> None:
    sides = defaultdict(set)
    for track in games_tracks():
        if track.artist:
            sides[track.artist.casefold()].add(track.split)
    assert all(len(s) == 1 for s in sides.values())
    for packages in corpora._SAME_MAKER:
        assert len({t.split for t in games_tracks() if t.package in packages}) == 1


def test_packages_divided_by_artist_keep_several_artists_held_out() -> None:
    tracks = games_tracks()
    held = [t for t in tracks if t.split == "held-out"]
    divided = {t.package for t in held} & {t.package for t in tracks if t.split == "train"}
    assert len(divided) == 6
    for package in divided:
        mine = [t for t in held if t.package == package]
        assert len(mine) >= 6
        assert len({t.artist for t in mine}) >= 2
        assert all(t.artist for t in mine), "who is not named cannot be kept apart"


# ------------------------------------------------------------------------------------------ fetching

FAKE_APT = """#!/bin/sh
# apt-get download NAME, run in the folder that is to hold it
for last; do :; done
echo "$*" >> "{home}/calls"
case "$*" in *update*)
    [ -e "{home}/online" ] && touch "{home}/updated" && for a; do case $a in
        Dir::State::lists=*) echo > "${{a#*=}}/some_Packages";;
    esac; done; exit 0;;
esac
[ -e "{home}/full" ] && {{ echo "E: Write error - write (28: No space left on device)" >&2; exit 100; }}
[ -e "{home}/stale" ] && [ ! -e "{home}/updated" ] && {{
    echo "E: Failed to fetch it  404  Not Found" >&2; exit 100; }}
[ -e "{home}/slow-$last" ] && {{ echo half > "$last.deb"; sleep 60; }}
[ -e "{home}/$last.deb" ] || {{ echo "E: Unable to locate package $last" >&2; exit 100; }}
cp "{home}/$last.deb" .
"""


class Archive:
    """Three small packages and a pretended apt-get that serves them."""

    contents: ClassVar = {
        "alpha": {"usr/share/a/one.ogg": b"one" * 50_000, "usr/share/a/two.ogg": b"two" * 10},
        "beta": {"usr/lib/b/no-extension": b"b" * 999},
        "gamma": {"usr/share/g/music.pk3.d/music/three.ogg": b"three" * 77},
    }

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()
        apt = home / "bin" / "apt-get"
        apt.parent.mkdir()
        apt.write_text(FAKE_APT.format(home=home))
        apt.chmod(0o755)
        for package in self.contents:
            self.build(package)

    def build(self, package: str, changed: dict[str, bytes] | None = None) -> None:
        tree = self.home / "trees" / package
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <n@example.org>\nDescription: x\n"
        )
        for path, data in ({**self.contents[package], "usr/share/doc/unwanted": b"x"} | (changed or {})).items():
            if ".pk3.d/" in path:
                archive, inside = path.split(".pk3.d/")
                target = tree / f"{archive}.pk3"
                target.parent.mkdir(parents=True, exist_ok=True)
                with zipfile.ZipFile(target, "w") as z:
                    z.writestr(inside, data)
            else:
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(data)
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-b", tree, self.home / f"{package}.deb"],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def files(self) -> tuple[GameFile, ...]:
        return tuple(
            GameFile(
                package=package, path=path, duration_s=60.0, title="", artist="", album="", genre="",
                licence="GPL-2", kind="music", exact_dup_of="", near_dup_of="", split="train",
                md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            )
            for package, paths in self.contents.items()
            for path, data in paths.items()
        )  # fmt: skip

    def calls(self, word: str) -> int:
        log = self.home / "calls"
        return log.read_text().count(word) if log.exists() else 0


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    made = Archive(tmp_path / "archive")
    monkeypatch.setenv("PATH", f"{made.home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(corpora, "games_files", made.files)
    corpora._ids.cache_clear()
    return made


@pytest.fixture(autouse=True)
def _fresh_ids() -> object:
    yield
    corpora._ids.cache_clear()


@needs_dpkg
def test_a_fetch_brings_the_files_and_a_manifest(archive: Archive, tmp_path: Path) -> None:
    steps: list[FetchProgress] = []
    result = fetch_games(tmp_path / "games", progress=steps.append)
    assert result.failures == ()
    assert [t.id for t in result.manifest] == [
        "games/alpha/one", "games/alpha/two", "games/beta/no-extension", "games/gamma/three"
    ]  # fmt: skip
    for track, (path, data) in zip(
        result.manifest, [i for c in archive.contents.values() for i in c.items()], strict=True
    ):
        assert track.path == f"{track.package}/{path}"
        assert result.manifest.locate(track).read_bytes() == data
    assert read_manifest(result.manifest_path).tracks == result.manifest.tracks
    assert (result.fetched_packages, result.present_packages) == (3, 0)
    assert result.fetched_bytes == sum((archive.home / f"{p}.deb").stat().st_size for p in archive.contents)
    assert result.audio_bytes == 150_000 + 30 + 999 + 385
    assert [s.step for s in steps] == ["downloading", "unpacking", "done"] * 3
    assert (steps[-1].done_packages, steps[-1].total_packages) == (3, 3)
    assert not list((tmp_path / "games").rglob("unwanted"))
    assert not list((tmp_path / "games").rglob("*.deb"))
    assert not list((tmp_path / "games").rglob("*.part"))


@needs_dpkg
def test_fetching_again_downloads_only_what_is_missing_or_changed(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "games"
    first = fetch_games(dest)
    again = fetch_games(dest)
    assert (again.fetched_packages, again.present_packages, again.fetched_bytes) == (0, 3, 0)
    assert archive.calls("download") == 3
    assert again.manifest.digest() == first.manifest.digest()
    (dest / "alpha/usr/share/a/two.ogg").unlink()
    (dest / "beta/usr/lib/b/no-extension").write_bytes(b"cut")
    mended = fetch_games(dest)
    assert (mended.fetched_packages, mended.present_packages) == (2, 1)
    assert (dest / "beta/usr/lib/b/no-extension").read_bytes() == b"b" * 999
    assert len(mended.manifest) == 4


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
def test_a_package_that_cannot_be_had_is_listed(archive: Archive, tmp_path: Path) -> None:
    (archive.home / "beta.deb").unlink()
    result = fetch_games(tmp_path / "games")
    assert [(f.path, f.cause) for f in result.failures] == [("beta", "Unable to locate package beta")]
    assert "apt-get update" in result.failures[0].remedy
    assert len(result.manifest) == 3
    assert archive.calls("update") == 1


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
def test_nothing_at_all_is_an_error(archive: Archive, tmp_path: Path) -> None:
    (archive.home / "stale").touch()
    with pytest.raises(CorpusError, match=r"no track could be had \(Failed to fetch it  404  Not Found\)"):
        fetch_games(tmp_path / "games")
    assert archive.calls("update") == 1, "lists that could not be had are not asked for again"
    assert not (tmp_path / "games/manifest.parquet").exists()


@needs_dpkg
def test_a_full_disk_ends_the_run_and_leaves_nothing_broken(archive: Archive, tmp_path: Path) -> None:
    (archive.home / "full").touch()
    with pytest.raises(CorpusError, match="the disk is full; free space"):
        fetch_games(tmp_path / "games")
    (archive.home / "full").unlink()
    assert len(fetch_games(tmp_path / "games").manifest) == 4


@needs_dpkg
def test_a_disk_full_while_unpacking(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = corpora._write_checked
    monkeypatch.setattr(corpora, "_write_checked", _full_at("three.ogg", real))
    with pytest.raises(CorpusError, match="the disk is full"):
        fetch_games(tmp_path / "games")
    monkeypatch.setattr(corpora, "_write_checked", real)
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
        "from tests.data.test_corpora import Archive; from nearfield.data import corpora\n"
        "corpora.games_files = lambda: Archive.files(Archive)\n"
        "corpora.fetch_games(pathlib.Path(sys.argv[1]))\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script, dest, root], start_new_session=True) as process:
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
def test_packages_can_be_kept(archive: Archive, tmp_path: Path) -> None:
    fetch_games(tmp_path / "games", keep_debs=True)
    assert {p.name for p in (tmp_path / "games/debs").iterdir()} == {"alpha.deb", "beta.deb", "gamma.deb"}


def test_off_debian_it_says_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CorpusError, match=r"apt-get and dpkg-deb not found.*nearfield corpus scan FOLDER"):
        fetch_games(tmp_path / "games", "small")
    assert not (tmp_path / "games").exists()


@needs_dpkg
def test_a_destination_that_cannot_be_written(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match="cannot be written"):
        fetch_games(tmp_path / "file" / "games")
