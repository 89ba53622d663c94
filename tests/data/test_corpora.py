"""The games corpus fetched from a pretended archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.archive import Archive, needs_dpkg
from nearfield.data.corpora import FetchProgress, fetch_games
from nearfield.data.manifest import read_manifest
from nearfield.errors import CorpusError


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
def test_a_package_that_cannot_be_had_is_listed(archive: Archive, tmp_path: Path) -> None:
    (archive.home / "beta.deb").unlink()
    result = fetch_games(tmp_path / "games")
    assert [(f.path, f.cause) for f in result.failures] == [("beta", "Unable to locate package beta")]
    assert "apt-get update" in result.failures[0].remedy
    assert len(result.manifest) == 3
    assert archive.calls("update") == 1


@needs_dpkg
def test_nothing_at_all_is_an_error(archive: Archive, tmp_path: Path) -> None:
    (archive.home / "stale").touch()
    with pytest.raises(CorpusError, match=r"no track could be had \(Failed to fetch it  404  Not Found\)"):
        fetch_games(tmp_path / "games")
    assert archive.calls("update") == 1, "lists that could not be had are not asked for again"
    assert not (tmp_path / "games/manifest.parquet").exists()


@needs_dpkg
def test_packages_can_be_kept(archive: Archive, tmp_path: Path) -> None:
    fetch_games(tmp_path / "games", keep_debs=True)
    assert {p.name for p in (tmp_path / "games/debs").iterdir()} == {"alpha.deb", "beta.deb", "gamma.deb"}


def test_off_debian_it_says_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CorpusError, match=r"apt-get and dpkg-deb not found.*nearfield corpus scan FOLDER"):
        fetch_games(tmp_path / "games", "small")
    assert not (tmp_path / "games").exists()
