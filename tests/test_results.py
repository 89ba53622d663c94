"""The page of results says what the results files say, and a malformed file is found."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nearfield.study.report import read_audit

REPO = Path(__file__).parent.parent


def _loaded(name: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPO / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


make_results = _loaded("make_results", "scripts/make_results.py")
common = _loaded("bench_common", "bench/common.py")

STAMP: dict[str, Any] = {
    "machine": {"cpu": "Some CPU", "cores": 2, "memory_gb": 8.0, "python": "3.11.7", "libraries": {"numpy": "2.0"}},
    "command": "python bench/frontend.py",
    "commit": "abc1234+",
    "date": "2026-01-31",
    "seed": 5,
}
WHOLE: dict[str, Any] = {
    "format": 1,
    "frontend": {
        **STAMP,
        "settings": {"threads": 1},
        "notes": ["a remark"],
        "figures": [
            {"name": "time", "value": 3.25, "unit": "ms", "low": 3, "high": 4.5, "n": 9, "goal": None, "met": None},
            {
                "name": "ratio",
                "value": 1.2,
                "unit": "x",
                "low": 1,
                "high": 2,
                "n": 9,
                "goal": "at least 2",
                "met": False,
            },
        ],
    },
    "halves": {
        **STAMP,
        "n_tracks": 40,
        "rows": [
            {"method": m, "candidates": c, "metric": "recall@1", "value": v, "low": v - 0.1, "high": v + 0.1, "n": 40}
            for m, v in (("trained", 0.5), ("mfcc", 0.25))
            for c in ("all", "same package")
        ],
        "paired": [
            {
                "method": "trained",
                "against": "mfcc",
                "candidates": "all",
                "metric": "recall@1",
                "difference": 0.25,
                "low": 0.125,
                "high": 0.375,
            }
        ],
        "goal": "above all baselines",
        "met": True,
    },
    "training": {
        **STAMP,
        "seconds": 600.0,
        "steps": 300,
        "curve": [[10 * n, 5 - n / 10] for n in range(31)],
        "validation": [[30 * n, n / 100, 0.01, None] for n in range(1, 11)],
    },
}


def rendered(folder: Path, content: dict[str, Any]) -> str:
    (folder / "river.json").write_text(json.dumps(content))
    return str(make_results.page(folder))


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, str(REPO / "scripts" / "make_results.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_without_any_figures(tmp_path: Path) -> None:
    assert make_results.page(tmp_path).count("Not measured yet.") == len(make_results.RIVER)


def test_all_kinds_of_sections(tmp_path: Path) -> None:
    page = rendered(tmp_path, WHOLE)
    assert page.count("Not measured yet.") == len(make_results.RIVER) - 3
    assert "| time | 3.25 ms | 3 to 4.5 | 9 |  |  |" in page
    assert "| ratio | 1.2 x | 1 to 2 | 9 | at least 2 | **missed** |" in page
    assert "| method | recall@1, all | recall@1, same package |" in page
    assert "| trained | 0.5 (0.4 to 0.6), n = 40 | 0.5 (0.4 to 0.6), n = 40 |" in page
    assert "| trained | mfcc | all | recall@1 | 0.25 | 0.125 to 0.375 |" in page
    assert "40 tracks. Goal: above all baselines: met." in page
    assert "| 300 | 2 | 0.1 | 0.01 |  |" in page
    assert "300 steps in 10 minutes." in page
    assert "- Command: `python bench/frontend.py`\n- Commit abc1234+, 2026-01-31, seed 5\n- threads: 1\n" in page
    assert "- Some CPU, 2 cores, 8 GB, Python 3.11.7, numpy 2.0\n- Note: a remark\n" in page


def test_a_long_curve_is_thinned() -> None:
    steps = make_results.thinned(list(range(0, 5000, 10)))
    assert len(steps) == make_results.MOST_STEPS
    assert (steps[0], steps[-1]) == (0, 4990)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), 2, "format is 2"),
        (("frontend",), [], "frontend is no mapping"),
        (("frontend", "command"), None, "frontend.command is None"),
        (("frontend", "figures", 0, "value"), "3", r"frontend.figures\[0\].value is '3'"),
        (("frontend", "figures", 1, "met"), 1, r"frontend.figures\[1\].met is 1"),
        (("frontend", "figures", 1), "x", r"frontend.figures\[1\] is no mapping"),
        (("halves", "rows", 2, "value"), float("nan"), r"halves.rows\[2\].value is nan"),
        (("halves", "n_tracks"), True, "halves.n_tracks is True"),
        (("training", "curve", 3), [1], r"training.curve\[3\] is \[1\], not 2 numbers"),
        (("training", "validation", 0), "x", r"training.validation\[0\]"),
    ],
)
def test_a_malformed_file_is_named(place: tuple[Any, ...], value: Any, message: str, tmp_path: Path) -> None:
    content = copy.deepcopy(WHOLE)
    inner: Any = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(make_results.ResultsError, match=f"river.json: .*{message}"):
        rendered(tmp_path, content)


@pytest.mark.parametrize("key", ["figures", "machine", "commit"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    content = copy.deepcopy(WHOLE)
    del content["frontend"][key]
    with pytest.raises(make_results.ResultsError, match=f"frontend.{key} is missing"):
        rendered(tmp_path, content)


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_file_that_is_no_json_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "river.json").write_text(text)
    with pytest.raises(make_results.ResultsError, match=r"river\.json"):
        make_results.page(tmp_path)


def test_a_benchmark_replaces_its_own_section_alone(tmp_path: Path) -> None:
    path = tmp_path / "results" / "river.json"
    common.write_section("halves", WHOLE["halves"], path)
    common.write_section("frontend", {"old": 1}, path)
    assert {"old", "machine", "command", "commit", "date"} == set(json.loads(path.read_text())["frontend"])
    common.write_section("frontend", WHOLE["frontend"], path)
    written = json.loads(path.read_text())
    assert written == {"format": 1, "halves": WHOLE["halves"], "frontend": WHOLE["frontend"]}
    assert [p.name for p in path.parent.iterdir()] == ["river.json"]
    assert "ratio" in make_results.page(path.parent)


def test_figures_keep_median_spread_and_goal() -> None:
    good = common.figure("speed", "x", [3.0, 1.0, 2.0], at_least=2)
    assert (good.value, good.low, good.high, good.n, good.goal, good.met) == (2.0, 1.0, 3.0, 3, "at least 2", True)
    assert common.figure("speed", "x", [1.99], at_least=2).met is False
    assert common.figure("time", "s", [1.6], at_most=1.6).met is True
    once = common.figure("time", "s", [1.7], at_most=1.6)
    assert (once.low, once.high, once.met) == (None, None, False)
    assert common.figure("size", "MB", [1.0]).met is None


def test_paths_of_this_machine_do_not_get_into_results(tmp_path: Path) -> None:
    assert common.public_path(str(tmp_path / "games" / "manifest.parquet")) == "games/manifest.parquet"
    assert common.public_path(str(REPO / "bench" / "index.py")) == "bench/index.py"
    assert [common.public_path(word) for word in ("--runs", "cold", "corpora/m.parquet")] == [
        "--runs",
        "cold",
        "corpora/m.parquet",
    ]


def test_the_audits_kept_are_whole_and_stand_on_the_page() -> None:
    page = (REPO / "docs" / "results.md").read_text(encoding="utf-8")
    for path in sorted((REPO / "results" / "audit").glob("*.json")):
        audit = read_audit(path)
        assert f"## Audit: {audit.catalogue.name}" in page
        assert audit.provenance is not None
        assert audit.provenance.command in page
        for row in audit.neighbours or ():
            if row.k == audit.settings["main_k"] and row.locality is not None:
                value, low, high = row.locality.value, row.locality.low, row.locality.high
                assert f"{value:.2f} ({low:.2f} to {high:.2f})" in page
