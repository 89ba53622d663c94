"""A pretended apt-get and the small packages that it serves."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest

from nearfield.data.games import GameFile

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb builds the packages to fetch")

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
