"""The audit as a whole: planted spaces are told for what they are, and the command leaves a report that says so."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import RATE_HZ, tone_track
from nearfield.cli import main
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.track import Track
from nearfield.errors import AuditError, Failure, ManipulationError
from nearfield.search.all_pairs import nearest_of_all
from nearfield.sound.manipulate import Manipulation
from nearfield.study.audit import AuditConfig, audit
from nearfield.study.audit.run import _of_sounds
from nearfield.study.embedding import Embedding
from nearfield.study.organise import Settings
from nearfield.study.report import check_place, read_audit, write_report
from nearfield.study.report.draw import label
from nearfield.study.sensitivity import Sound

KEYS = ("C major", "G major", "D minor", "F# minor", "Bb major")
QUICK = AuditConfig(sizes=(1, 5, 10), permutations=99, changed_tracks=0, estimate=False, organise=Settings(rounds=0))
N = 120


def catalogue(n: int = N) -> Manifest:
    rng = np.random.default_rng(0)
    tracks = tuple(
        Track(
            f"t{i:03}",
            f"{i}.wav",
            title=f"Piece <{i}>",
            artist=f"artist {i // 4}",
            tempo_bpm=float(60 * 2 ** rng.uniform(0, 1.9)),
            key=KEYS[rng.integers(len(KEYS))],
            genre="abc"[rng.integers(3)],
        )
        for i in range(n)
    )
    return Manifest("planted", Path("/nowhere"), tracks)


def embedding(name: str, manifest: Manifest, vectors: np.ndarray) -> Embedding:
    ids = tuple(t.id for t in manifest)
    return Embedding(name, "vectors", f"{name}.npz", ids, vectors.astype(np.float32), None, name, ())


def by_tempo(manifest: Manifest) -> np.ndarray:
    octave = np.log2([t.tempo_bpm or 0 for t in manifest]) - np.log2(60)
    return np.stack([np.cos(octave), np.sin(octave)], axis=1)


def at(report: dict, name: str, k: int) -> dict:
    (found,) = [row for row in report["neighbours"] if row["property"] == name and row["k"] == k]
    return found


def test_a_space_of_tempo_and_one_of_chance_are_told_apart(tmp_path: Path) -> None:
    manifest = catalogue()
    chance = np.random.default_rng(1).standard_normal((N, 16))
    first, second = audit(
        [embedding("tempo", manifest, by_tempo(manifest)), embedding("chance", manifest, chance)],
        manifest,
        tmp_path,
        QUICK,
    )
    tempo = at(first, "tempo", 10)
    assert tempo["locality"]["value"] == pytest.approx(1.0, abs=0.01)
    assert tempo["p"] == pytest.approx(2 / 100)
    assert at(first, "key", 10)["locality"]["low"] < 0 < at(first, "key", 10)["locality"]["high"]
    assert at(second, "tempo", 10)["locality"]["low"] < 0 < at(second, "tempo", 10)["locality"]["high"]
    assert first["organises"]["properties"][0]["name"] == "tempo"
    assert first["organises"]["properties"][0]["given_others"]["low"] > 1
    assert first["comparisons"] is None
    (drop,) = [c for c in second["comparisons"] if c["property"] == "tempo" and c["k"] == 10]
    assert drop["difference"]["high"] < -0.5
    assert drop["p"] < 1e-3
    assert second["not_measured"]["sensitivity"] == "not asked for"


def test_agreement_is_a_share_of_the_neighbours(tmp_path: Path) -> None:
    manifest = catalogue()
    (report,) = audit([embedding("tempo", manifest, by_tempo(manifest))], manifest, tmp_path, QUICK)
    near = nearest_of_all(by_tempo(manifest).astype(np.float32), 10).indices
    bpm = np.array([t.tempo_bpm for t in manifest], float)
    within = np.abs(np.log2(bpm[near] / bpm[:, None])) <= np.log2(1.04)
    assert at(report, "tempo", 10)["agree"]["seen"] == pytest.approx(within.mean())
    assert at(report, "tempo", 10)["agree"]["best"] >= at(report, "tempo", 10)["agree"]["seen"] - 1e-12
    assert report["shape"]["hubness"]["k"] == 10
    counts = report["shape"]["hubness"]["counts"]
    assert sum(counts) == N
    assert sum(c * n for c, n in enumerate(counts)) == 10 * N


def test_what_is_left_out_is_nobodys_neighbour(tmp_path: Path) -> None:
    manifest = catalogue()
    artists = np.repeat(np.random.default_rng(2).standard_normal((N // 4, 8)), 4, axis=0)
    vectors = artists + 1e-3 * np.random.default_rng(3).standard_normal((N, 8))
    space = embedding("artists", manifest, vectors)
    (with_artists,) = audit([space], manifest, tmp_path, QUICK)
    (without,) = audit([space], manifest, tmp_path, replace(QUICK, leave_out=("artist",)))
    assert at(with_artists, "artist", 1)["locality"]["value"] == pytest.approx(1)
    assert at(without, "artist", 1)["locality"] is None
    assert at(without, "artist", 1)["reason"].startswith("not measurable")
    assert without["settings"]["leave_out"] == ["artist"]


def test_a_catalogue_of_one_artist_has_no_neighbours_without_the_artist(tmp_path: Path) -> None:
    several = catalogue(20)
    manifest = replace(several, tracks=tuple(replace(t, artist="one") for t in several))
    space = embedding("space", manifest, by_tempo(manifest))
    with pytest.raises(AuditError, match="no track has another that shares none of its artist; leave out less"):
        audit([space], manifest, tmp_path, replace(QUICK, leave_out=("artist",)))


def test_only_tracks_that_all_have_are_judged(tmp_path: Path) -> None:
    manifest = catalogue()
    whole = embedding("whole", manifest, by_tempo(manifest))
    rows = list(range(0, N, 2))[::-1]
    part = replace(whole, name="part", ids=tuple(whole.ids[r] for r in rows), vectors=whole.vectors[rows])
    first, second = audit([whole, part], manifest, tmp_path, QUICK)
    assert first["catalogue"]["judged"] == second["catalogue"]["judged"] == N // 2
    assert len(first["catalogue"]["left_out"]) == N // 2
    assert first["catalogue"]["left_out"][0] == {"id": "t001", "cause": "has no vector in part"}
    assert second["catalogue"]["left_out"] == []
    assert all(
        abs(c["difference"]["value"]) < 1e-12 for c in second["comparisons"]
    )  # the same vectors, in another order


def test_too_little_in_common_is_an_error(tmp_path: Path) -> None:
    manifest = catalogue(8)
    whole = embedding("a", manifest, by_tempo(manifest))
    parts = [
        replace(whole, name=n, ids=whole.ids[s], vectors=whole.vectors[s])
        for n, s in (("a", slice(4)), ("b", slice(2, 8)))
    ]
    with pytest.raises(AuditError, match="2 tracks are in all of a, b"):
        audit(parts, manifest, tmp_path, QUICK)
    with pytest.raises(AuditError, match="no embedding is given"):
        audit([], manifest, tmp_path, QUICK)
    with pytest.raises(AuditError, match="'mood' is not known; use some of: artist"):
        AuditConfig(leave_out=("mood",))


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 14 pieces and its manifest."""
    folder = tmp_path_factory.mktemp("music")
    tracks = []
    for i in range(14):
        soundfile.write(folder / f"{i}.wav", tone_track(i, 6.0) * 10 ** (-i / 10), RATE_HZ)
        tracks.append(Track(f"t{i}", f"{i}.wav", artist=f"a{i % 5}", genre="xy"[i % 2], tempo_bpm=60.0 + 5 * i))
    write_manifest(Manifest("small", folder, tuple(tracks)), folder / "manifest.parquet")
    return folder


def test_the_sound_is_changed_and_asked_again(music: Path, tmp_path: Path) -> None:
    from nearfield.data.manifest import read_manifest

    manifest = read_manifest(music / "manifest.parquet")

    def loudness(samples: np.ndarray, rate_hz: float) -> np.ndarray:
        level = 20 * np.log10(np.sqrt(np.mean(np.square(samples))) + 1e-9)
        return np.array([np.cos(level / 40), np.sin(level / 40)], np.float32)

    vectors = np.stack([loudness(soundfile.read(manifest.locate(t))[0], RATE_HZ) for t in manifest])
    space = replace(embedding("level", manifest, vectors), embed=loudness)
    changes = (Manipulation("level", -12.0), Manipulation("level", 12.0), Manipulation("peak", 6.0))
    config = replace(QUICK, changed_tracks=10, changes=changes, estimate=True, sizes=(1, 3), main_k=3)
    (report,) = audit([space], manifest, tmp_path, config, workers=0)
    assert report["not_measured"] == {}
    moved = {(r["kind"], r["amount"]): r["distance"]["value"] for r in report["sensitivity"]}
    assert moved["level", 0.0] == moved["peak", 0.0] == 0
    assert moved["level", -12.0] > 10 * moved["peak", 6.0]  # a peak keeps the level
    assert moved["level", 12.0] > 10 * moved["peak", 6.0]
    assert report["settings"]["changed_tracks"] == 10
    sources = {s["property"]: s["source"] for s in report["sources"]}
    assert sources["tempo"] == "manifest"
    assert sources["level"] == "measured from the sound"
    assert at(report, "level", 3)["locality"]["value"] > 0.5


def test_the_command_leaves_a_report(
    music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(0).standard_normal((14, 8)).astype(np.float32)
    np.savez(tmp_path / "foreign.npz", ids=np.array([f"t{i}" for i in range(14)]), vectors=vectors)
    words = ["audit", f"chance={tmp_path / 'foreign.npz'}", "mfcc", "--catalogue", str(music / "manifest.parquet")]
    words += ["-o", str(tmp_path / "report"), "-k", "3", "--changed", "4", "--kinds", "level", "--workers", "0"]
    monkeypatch.setattr("sys.argv", ["nearfield", *words])
    assert main(words) == 0
    said = capsys.readouterr()
    assert "report.html" in said.out
    assert "Traceback" not in said.err
    chance, mfcc = (read_audit(tmp_path / "report" / f"{name}.json") for name in ("chance", "mfcc"))
    assert chance.catalogue.judged == mfcc.catalogue.judged == 14
    assert chance.sensitivity is None
    assert chance.why_not("sensitivity").startswith("only vectors are given")
    assert mfcc.sensitivity is not None
    assert {r.kind for r in mfcc.sensitivity} == {"level"}
    assert mfcc.comparisons is not None
    assert mfcc.provenance is not None
    assert mfcc.provenance.command.startswith(f"nearfield audit chance={tmp_path.name}/foreign.npz mfcc --catalogue")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "chance" in page
    assert "mfcc" in page
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [r["embedding"]["name"] for r in document["reports"]] == ["chance", "mfcc"]


def test_a_folder_is_audited_and_its_broken_file_listed(
    music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.wav").write_bytes((music / f"{i}.wav").read_bytes())
    (folder / "broken.wav").write_bytes(b"RIFF nothing")
    words = ["audit", "mean-log-mel", "--catalogue", str(folder), "-o", str(tmp_path / "report"), "-k", "2"]
    assert main([*words, "--changed", "0", "--workers", "0"]) == 1
    said = capsys.readouterr()
    assert "broken.wav" in said.out + said.err
    assert read_audit(tmp_path / "report" / "mean-log-mel.json").catalogue.judged == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.npz"], "nothing.npz"),
        (["mfcc", "--kinds", "mood"], "is not known; take one of tempo"),
        (["mfcc", "-k", "0"], "ask for one or more"),
        (["mfcc", "--leave-out", "album"], "no track's album is known"),
        (["mfcc", "--seed", "-1"], "seed: is -1; give 0 or more"),
        (["mfcc", "--changed", "-1"], "changed_tracks: is -1; give 0 or more"),
        (["mfcc", "--cache", "/proc/version/cache"], "choose another folder with --cache"),
        (["mfcc", "-o", "/proc/version/report"], "choose another place with -o"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(
    music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    rest = ["--catalogue", str(music / "manifest.parquet"), "--workers", "0"]
    rest += [] if "-o" in words else ["-o", str(tmp_path / "r")]
    assert main(["audit", *words, *rest, *([] if "--changed" in words else ["--changed", "0"])]) == 2
    assert message in capsys.readouterr().err


def test_names_that_two_embeddings_share_are_an_error_at_once(tmp_path: Path) -> None:
    manifest = catalogue(8)
    space = embedding("one", manifest, by_tempo(manifest))
    with pytest.raises(AuditError, match="two embeddings are called 'one'; name them apart"):
        audit([space, space], manifest, tmp_path, QUICK)


@pytest.mark.parametrize(("library", "kind"), [("python_stretch", "tempo"), ("av", "opus")])
def test_a_missing_library_ends_an_audit_at_once_and_only_where_sound_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, kind: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    manifest = catalogue(8)
    space = replace(embedding("one", manifest, by_tempo(manifest)), embed=lambda samples, rate_hz: np.ones(2))
    changes = tuple(m for m in (Manipulation("tempo", 2.0), Manipulation("opus", 24.0)) if m.kind == kind)
    with pytest.raises(ManipulationError, match=r"pip install 'nearfield\[audit\]'"):
        audit([space], manifest, tmp_path / "none", replace(QUICK, changed_tracks=2, changes=changes, estimate=True))
    assert not (tmp_path / "none").exists()  # nothing was estimated before
    assert audit([space], manifest, tmp_path, replace(QUICK, changes=changes, sizes=(1,), main_k=1))


def test_matplotlib_is_asked_for_before_an_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_place(tmp_path / "report")
    assert list((tmp_path / "report").iterdir()) == []
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(AuditError, match="its pictures need matplotlib; pip install"):
        check_place(tmp_path / "report")


def test_more_neighbours_than_tracks_are_all_others(tmp_path: Path) -> None:
    manifest = catalogue(5)
    first, second = (embedding(n, manifest, by_tempo(manifest)) for n in ("_" + "x" * 300, "x" * 299 + "y"))
    reports = audit([first, second], manifest, tmp_path, replace(QUICK, main_k=1000, sizes=(1,)))
    hubness = reports[0]["shape"]["hubness"]
    assert (hubness["k"], hubness["counts"]) == (4, [0, 0, 0, 0, 5])
    assert reports[0]["not_measured"]["comparisons"] == "the others are compared with this one"
    files = write_report(reports, tmp_path / "report")
    assert all(len(f.name) < 110 and f.exists() for f in files)
    assert label(first.name) == " _xxxxxxxxxxxx…xxxxxxxxxxxxxx"
    assert label(first.name) != label(second.name)


def test_a_module_that_prints_leaves_json_alone_and_a_broken_file_is_named_once(
    music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(4):
        (tmp_path / f"{i}.wav").write_bytes((music / f"{i}.wav").read_bytes())
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    tracks = (*(Track(f"t{i}", f"{i}.wav") for i in range(4)), Track("bad", "broken.wav"))
    write_manifest(Manifest("small", tmp_path, tracks), tmp_path / "m.parquet")
    (tmp_path / "talks.py").write_text(
        "import numpy as np\nprint('loading')\nsample_rate = 16000\ndef load_model(path): return None\n"
        "def get_scene_embeddings(audio, model):\n    print('embedding')\n"
        "    return np.stack([audio.std(axis=1), np.abs(np.diff(audio)).mean(axis=1)], axis=1)\n"
    )
    words = ["audit", str(tmp_path / "talks.py"), "--catalogue", str(tmp_path / "m.parquet"), "-k", "1"]
    words += ["-o", str(tmp_path / "report"), "--changed", "0", "--workers", "0", "--json"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "embedding" in said.err
    document = json.loads(said.out)
    assert [f["path"] for f in document["failures"]] == ["bad"]
    assert document["reports"][0]["catalogue"]["judged"] == 4


def test_the_page_lists_what_could_not_be_changed(tmp_path: Path) -> None:
    manifest = catalogue(8)
    (report,) = audit([embedding("one", manifest, by_tempo(manifest))], manifest, tmp_path, replace(QUICK, main_k=2))
    found = [Failure("/nowhere/3.wav (opus 24 kbit/s)", "silent", ""), Failure("/nowhere/33.wav", "gone", "")]
    named = _of_sounds(found, [Sound(0, "t003", "/nowhere/3.wav"), Sound(1, "t033", "/nowhere/33.wav")])
    assert [f.path for f in named] == ["t003 (opus 24 kbit/s)", "t033"]
    report["settings"]["not_changed"] = [{"id": f.path, "cause": f.cause} for f in named]
    page = write_report([report], tmp_path / "report")[0].read_text()
    assert "2 whose sound could not be changed" in page
    assert "t003 (opus 24 kbit/s): silent" in page
    assert "not_changed" not in page


def test_a_comparison_leaves_the_same_duplicates_out(tmp_path: Path) -> None:
    manifest = catalogue(24)
    rng = np.random.default_rng(5)
    first, second = (
        embedding(name, manifest, np.repeat(rng.standard_normal((12, 4)), 2, axis=0)) for name in ("a", "b")
    )
    config = replace(QUICK, sizes=(3,), main_k=3, leave_out=("duplicates",))
    one, other = audit([first, second], manifest, tmp_path, config)
    (row,) = [c for c in other["comparisons"] if c["property"] == "tempo"]
    expected = at(other, "tempo", 3)["locality"]["value"] - at(one, "tempo", 3)["locality"]["value"]
    assert row["difference"]["value"] == pytest.approx(expected, abs=1e-12)
