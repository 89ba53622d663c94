"""The report says what the audit holds: every number, nothing else, and readable by people, programs and browsers."""

from __future__ import annotations

import copy
import io
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from nearfield.errors import AuditError, readable
from nearfield.study.report.draw import COLOURS
from nearfield.study.report.files import checked, read_audit, write_audit, write_report
from nearfield.study.report.page import page as page_of
from nearfield.study.report.table import print_report
from nearfield.study.report.words import PLAIN, headline, neighbours_sentence

NASTY = 'Fish & <script>alert("1")</script> \'$x_1$'
RAW = "r\udcffsum\u00e9"  # a file name that is not UTF-8, as Python holds it
SECTIONS = ("neighbours", "organises", "shape", "sensitivity", "comparisons")


def figure(value: float, reach: float = 0.05, n: int = 200) -> dict[str, Any]:
    return {"value": value, "low": value - reach, "high": value + reach, "n": n}


def neighbours(name: str, k: int, index: float, share: float) -> dict[str, Any]:
    agree = {"seen": share, "chance": 0.23, "best": 0.98}
    reach = {"seen": 0.4 - 0.3 * index, "chance": 0.4, "best": 0.1}
    return {"property": name, "k": k, **reach, "locality": figure(index), "p": 0.001, "agree": agree, "reason": None}


def part(name: str, alone: float, beside: float, ranks: tuple[int, int, int]) -> dict[str, Any]:
    rank, low, high = ranks
    said = {"name": name, "alone": figure(alone), "given_others": figure(beside), "p": 0.01}
    return said | {"rank": rank, "rank_low": low, "rank_high": high}


def change(kind: str, amount: float | None, unit: str, moved: float) -> dict[str, Any]:
    said = {
        "kind": kind,
        "amount": amount,
        "unit": unit,
        "distance": figure(moved),
        "median_rank": 1 + 40 * moved,
        "k": 10,
    }
    return said | {"recall_at_1": figure(1 - moved * 0.9), "kept": figure(1 - moved * 0.8)}


def audit(name: str = "plain", index: float = 0.62) -> dict[str, Any]:
    """A made-up audit with every section."""
    return {
        "format": 1,
        "embedding": {"name": name, "kind": "space", "path": "x.space", "dimensions": 128, "digest": "abc123"},
        "catalogue": {
            "name": "tones",
            "digest": "def456",
            "tracks": 203,
            "judged": 200,
            "left_out": [{"id": NASTY, "cause": "its vector is zero"}, {"id": "b", "cause": "has no vector"}],
        },
        "settings": {"seed": 0, "ks": [1, 10, 50]},
        "sources": [
            {"property": "tempo", "source": "manifest", "known": 180, "unit": "octaves", "agrees_within": 0.057}
        ],
        "neighbours": [
            *(neighbours("tempo", k, index - 0.002 * k, 0.71) for k in (1, 10, 50)),
            *(neighbours("key", k, 0.02, 0.24) for k in (1, 10, 50)),
            {"property": "year", "k": 10, "locality": None, "reason": "no track has it"},
        ],
        "organises": {
            "k": 10,
            "together": figure(1.23),
            "properties": [
                part("key", 0.1, 0.01, (3, 3, 3)),
                part("tempo", 0.9, 0.8, (1, 1, 1)),
                part("style", 0.5, 0.3, (2, 2, 2)),
            ],
        },
        "shape": {
            "alignment": None,
            "uniformity": -2.51,
            "rank_me": 41.7,
            "hubness": {
                "k": 10,
                "skewness": 1.53,
                "robin_hood": 0.31,
                "anti_hubs": 0.045,
                "hubs": [{"id": "x", "name": NASTY, "count": 77}, {"id": "y", "name": RAW, "count": 61}],
                "counts": [9, 120, 50, 15, 5, 1],
            },
            "duplicates": [{"ids": ["x", "y"], "names": [NASTY, RAW], "cosine": 0.9993}],
        },
        "sensitivity": [
            *(change("tempo_ratio", a, "ratio", abs(math.log2(a)) * 0.8) for a in (0.5, 0.8, 1, 1.25, 2)),
            change("mono", 1, "", 0.05),
            change("unchanged", None, "dB", 0.01),
        ],
        "comparisons": [
            {"other": "stretch", "property": "tempo", "k": 10, "difference": figure(0.41), "p": 0.001},
            {"other": "stretch", "property": "key", "k": 10, "difference": figure(-0.02), "p": 0.4},
        ],
        "provenance": {
            "command": "nearfield audit",
            "commit": "c0ffee",
            "date": "2026-01-01",
            "seconds": 61.2,
            "versions": {"numpy": "2.0"},
        },
    }


class Page(HTMLParser):
    """Reads a page, failing where it is not well formed."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.images: list[dict[str, str]] = []
        self.headings: list[int] = []
        self.numbers: list[tuple[float, str]] = []
        self.heads: list[dict[str, str]] = []
        self.values: list[str] = []
        self.said = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        assert "script" not in tag
        assert not {"src", "href"} & given.keys() or given["src"].startswith("data:image/png;base64,")
        if tag == "img":
            self.images.append(given)
        if tag == "th":
            self.heads.append(given)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "data":
            self.numbers.append((float(given["value"]), ""))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.said += data
        if self.open[-1:] == ["data"]:
            self.numbers[-1] = (self.numbers[-1][0], data)


def made(tmp_path: Path, *audits: Mapping[str, Any]) -> tuple[Page, str]:
    files = write_report(audits, tmp_path / "out")
    text = files[0].read_text(encoding="utf-8")
    assert files[0].name == "report.html"
    return Page(text), text


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    """The page of one audit with every section, made once."""
    return made(tmp_path_factory.mktemp("whole"), audit(NASTY))


def numbers_in(content: Any) -> Iterator[float]:
    if isinstance(content, Mapping):
        for value in content.values():
            yield from numbers_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from numbers_in(value)
    elif isinstance(content, int | float):
        yield float(content)


# data


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_audit(audit(), tmp_path / "a.json")
    read = read_audit(tmp_path / "a.json")
    assert read == checked(audit())
    assert (read.name, read.settings["ks"], read.shape and read.shape.rank_me) == ("plain", [1, 10, 50], 41.7)
    assert read.neighbours is not None
    assert read.neighbours[0].agree is not None
    assert read.neighbours[0].agree.seen == 0.71


def test_numbers_of_numpy_and_nan(tmp_path: Path) -> None:
    content = audit()
    content["shape"]["uniformity"] = np.float32(np.nan)
    content["catalogue"]["judged"] = np.int64(7)
    content["shape"]["hubness"]["counts"] = np.arange(3)
    write_audit(content, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert "NaN" not in text
    read = read_audit(tmp_path / "a.json")
    assert read.shape is not None
    assert (read.shape.uniformity, read.catalogue.judged) == (None, 7)


@pytest.mark.parametrize(
    ("at", "value", "names"),
    [
        ("format", 2, "audit format is 2, this version reads 1"),
        ("embedding.dimensions", "many", "embedding.dimensions = 'many' is not a int"),
        ("embedding.colour", 1, "unknown key embedding.colour"),
        ("catalogue", None, "catalogue = None"),
        ("catalogue.left_out", [{"id": "x"}], "catalogue.left_out"),
        ("settings", [], "settings = [] is not a mapping"),
        ("neighbours.0.k", 0, "neighbours: k = 0 is below 1"),
        ("neighbours.0.agree.seen", 7.1, "neighbours.agree: seen = 7.1 is not within 0 to 1"),
        ("neighbours.6.reason", None, "neighbours: without a locality there must be a reason"),
        ("neighbours.0.locality.n", 1.5, "neighbours.locality.n = 1.5 is not a int"),
        ("neighbours.0.locality.low", 0.9, "neighbours.locality: low = 0.9 is above high"),
        ("organises.properties.1.rank", True, "organises.properties.rank = True is not a int"),
        ("shape.hubness.anti_hubs", -1, "shape.hubness: anti_hubs = -1"),
        ("sensitivity.0.distance", 0.5, "sensitivity.distance = 0.5 is not a Figure"),
        ("comparisons.0.p", 1.1, "comparisons: p = 1.1"),
        ("not_measured", {"shapes": "why"}, "not_measured.shapes is no section"),
        ("extra", 1, "unknown key extra"),
    ],
)
def test_a_wrong_field_is_named(at: str, value: object, names: str, tmp_path: Path) -> None:
    content = audit()
    place: Any = content
    *way, last = at.split(".")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    with pytest.raises(AuditError) as told:
        checked(content)
    assert names in told.value.cause
    with pytest.raises(AuditError):
        write_audit(content, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_a_missing_field_is_named() -> None:
    content = audit()
    del content["organises"]["together"]
    with pytest.raises(AuditError, match=r"organises: .*'together'"):
        checked(content)


def test_files_that_are_no_audit(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(AuditError, match="No such file"):
        read_audit(path)
    for text, cause in (("{", "is not JSON"), ("[]", "is not a mapping"), ("{}", "format is None")):
        path.write_text(text)
        with pytest.raises(AuditError, match=cause):
            read_audit(path)


# words


def test_sentences_have_the_numbers() -> None:
    row = checked(audit()).neighbours or ()
    said = neighbours_sentence(row[1], PLAIN)
    assert said == (
        "Of the 10 nearest, 7.1 share the tempo; by chance 2.3 would, and at best 9.8. "
        "Locality 0.60 (0.55 to 0.65): more than chance."
    )
    assert neighbours_sentence(row[4], PLAIN).endswith("Locality 0.02 (-0.03 to 0.07): no more than chance.")
    assert neighbours_sentence(row[6], PLAIN) == "Year: not measured (no track has it)."


def test_distances_stand_where_nothing_agrees() -> None:
    content = audit()
    content["neighbours"][1]["agree"] = None
    said = neighbours_sentence((checked(content).neighbours or ())[1], PLAIN)
    assert said.startswith(
        "The 10 nearest differ in tempo by 0.22 on average; by chance by 0.40, and at best 0.10. Locality"
    )


def test_below_chance_is_said() -> None:
    content = audit()
    content["neighbours"][1]["locality"] = figure(-0.2)
    assert neighbours_sentence((checked(content).neighbours or ())[1], PLAIN).endswith("less than chance.")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            [part("key", 0.1, 0.01, (3, 3, 3)), part("tempo", 0.9, 0.8, (1, 1, 1)), part("style", 0.5, 0.3, (2, 2, 2))],
            "What makes two pieces neighbours here: first tempo, then style. Key: no more than chance once the rest is known.",
        ),
        (
            [
                part("key", 0.1, 0.2, (2, 1, 2)),
                part("tempo", 0.9, 0.25, (1, 1, 2)),
                part("spectral_tilt", 0.5, 0.1, (3, 3, 3)),
            ],
            "What makes two pieces neighbours here: first tempo and key (which of them matters more is not certain), "
            "then spectral tilt.",
        ),
        ([part("tempo", 0.9, 0.8, (1, 1, 1))], "What makes two pieces neighbours here: tempo."),
        (
            [part("tempo", 0.9, 0.04, (1, 1, 1))],
            "None of the properties measured says more than chance does about who is near whom, once the others are known.",
        ),
    ],
)
def test_the_headline_claims_no_more_than_the_intervals(parts: list[dict[str, Any]], said: str) -> None:
    content = audit()
    content["organises"]["properties"] = parts
    assert headline(checked(content), PLAIN) == said


def test_the_headline_without_what_organises() -> None:
    content = audit()
    content["organises"] = None
    assert "from the most to the least: tempo (locality 0.60 (0.55 to 0.65))." in headline(checked(content), PLAIN)
    for row in content["neighbours"]:
        row["locality"], row["reason"] = None, "too few"
    assert headline(checked(content), PLAIN) == "What makes two pieces neighbours here was not measured."


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert [PLAIN.number(v, 2) for v in (-0.004, -0.005001, 0.004, -1)] == ["0.00", "-0.01", "0.00", "-1.00"]


# the page


def test_every_number_is_one_of_the_audit(whole: tuple[Page, str]) -> None:
    content, (page, _) = audit(), whole
    shares = [n["k"] * n["agree"][s] for n in content["neighbours"] if "agree" in n for s in ("seen", "chance", "best")]
    shares += [s["k"] * s["kept"]["value"] for s in content["sensitivity"]]
    shares += [100 * s["recall_at_1"]["value"] for s in content["sensitivity"]]
    known = {*numbers_in(content), *shares}
    assert len(page.numbers) > 100
    for value, shown in page.numbers:
        assert value in known
        digits = len(shown.partition(".")[2])
        assert float(shown) == round(value, digits)
    assert "Of the 10 nearest, 7.1 share the tempo; by chance 2.3 would, and at best 9.8." in page.said
    assert "What makes two pieces neighbours here: first tempo, then style." in page.said
    assert f"{NASTY} (space, 128 dimensions), judged by 200 of the 203 pieces in tones." in page.said
    assert "Tempo: 0.90 (0.85 to 0.95) bits alone, 0.80 (0.75 to 0.85) given the others." in page.said
    assert "Locality of tempo (10 nearest) beside stretch: higher here, 0.41 (0.36 to 0.46)." in page.said
    assert "Locality of key (10 nearest) beside stretch: no difference to be told from 0," in page.said
    assert "Tempo ratio 1.25: moved 0.26 (0.21 to 0.31) of the distance between random pieces" in page.said


def test_the_page_is_whole_in_itself_and_for_everyone(whole: tuple[Page, str]) -> None:
    page, text = whole
    assert len(page.images) == 6  # locality, by K, organises, hubness, two changes
    assert all(len(i["alt"]) > 20 and int(i["width"]) > 300 for i in page.images)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(head["scope"] in ("col", "row") for head in page.heads)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert not re.search(r"https?:|url\(|@import", text)


def test_titles_are_shown_not_obeyed(whole: tuple[Page, str]) -> None:
    page, text = whole
    assert "<script" not in text
    assert f"{NASTY}: its vector is zero" in page.said
    assert f"{NASTY}: among the 10 nearest of 77 others" in page.said
    assert "r\\xffsum\u00e9: among the 10 nearest of 61 others" in page.said


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1))
def test_any_name_stands_in_the_page_as_it_is(name: str) -> None:
    content = audit(name)
    content["shape"]["hubness"]["hubs"][0]["name"] = name
    page = Page(page_of([checked(content)], ()))
    assert f"{readable(name)} (space, 128 dimensions)" in page.said
    assert f"{readable(name)}: among the 10 nearest of 77 others" in page.said


def test_missing_sections_say_why(tmp_path: Path) -> None:
    content = {k: v for k, v in audit().items() if k in ("format", "embedding", "catalogue")}
    content["not_measured"] = {"sensitivity": "the embedding cannot hear"}
    page, _ = made(tmp_path, content)
    assert page.images == []
    assert "Not measured: the embedding cannot hear." in page.said
    assert page.said.count("Not measured: not asked for.") == 3  # one space is not compared
    for section in SECTIONS:
        less = audit()
        del less[section]
        said = Page(page_of([checked(less)], ())).said
        assert ("Not measured" in said) == (section != "comparisons")


def test_several_spaces_stand_side_by_side(tmp_path: Path) -> None:
    less = audit("stretch", 0.2)
    less["sensitivity"], less["organises"] = None, None
    page, _ = made(tmp_path, audit("plain"), less, audit("plain/"))
    names = sorted(p.name for p in (tmp_path / "out").glob("*.json"))
    assert names == ["plain--2.json", "plain-.json", "stretch.json"] or names == [
        "plain-2.json",
        "plain.json",
        "stretch.json",
    ]
    assert json.loads((tmp_path / "out" / "stretch.json").read_text())["embedding"]["name"] == "stretch"
    assert "0.18 (0.13 to 0.23)" in page.said
    locality = next(i["alt"] for i in page.images if i["alt"].startswith("Bars of locality"))
    assert "plain: tempo 0.60 (0.55 to 0.65)" in locality
    assert "stretch: tempo 0.18 (0.13 to 0.23)" in locality


def test_two_of_one_name_or_none(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="two spaces are called 'plain'"):
        write_report([audit(), audit()], tmp_path)
    with pytest.raises(AuditError, match="there is no audit"):
        write_report([], tmp_path)


# pictures


def test_pictures_are_small_and_show_the_spaces(tmp_path: Path) -> None:
    import matplotlib.image

    before = dict(matplotlib.rcParams)
    spaces = [audit(f"space {n}", 0.6 - 0.05 * n) for n in range(5)]
    files = [f for f in write_report(spaces, tmp_path) if f.suffix == ".png"]
    assert sorted(f.stem for f in files) == [
        "hubness",
        "locality",
        "locality-by-k",
        "organises",
        "sensitivity-controls",
        "sensitivity-tempo-ratio",
    ]
    assert dict(matplotlib.rcParams) == before
    for file in files:
        assert file.stat().st_size < 150_000
        pixels = np.round(255 * matplotlib.image.imread(file)[..., :3]).astype(int).reshape(-1, 3)
        width = 770
        assert len(pixels) % width == 0
        for colour in COLOURS[:1] if file.stem == "hubness" else COLOURS[:5]:  # its curves are the same
            wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
            assert (np.abs(pixels - wanted).max(axis=1) < 30).sum() > 20, (file, colour)


def test_without_matplotlib_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(AuditError, match=r"pip install 'nearfield\[audit\]'"):
        write_report([audit()], tmp_path)


# the terminal


def printed(*audits: Mapping[str, Any]) -> str:
    out = io.StringIO()
    print_report(Console(file=out, width=150), audits)
    return out.getvalue()


def test_the_terminal_has_the_same_figures() -> None:
    said = printed(audit(NASTY))
    assert f"{NASTY}: 200 of 203 tracks of tones" in said
    assert "first tempo, then style" in said
    assert re.search(r"tempo +0\.60 \(0\.55 to 0\.65\) +0\.001 +7\.1 +2\.3 +9\.8", said)
    assert re.search(r"year +not measured: no track has it", said)
    assert re.search(r"tempo +0\.900 \(0\.850 to 0\.950\) +0\.800 \(0\.750 to 0\.850\) +1 \(1-1\)", said)
    assert re.search(r"tempo ratio 0\.5 +0\.80 \(0\.75 to 0\.85\)", said)
    assert "uniformity -2.51, effective rank 41.70, hubs' skewness 1.53" in said
    assert "hub: r\\xffsum\u00e9, among the 10 nearest of 61" in said


def test_spaces_side_by_side_on_the_terminal() -> None:
    bare = copy.deepcopy(audit("bare", 0.2))
    for section in SECTIONS[1:]:
        bare[section] = None
    said = printed(audit(), bare)
    assert re.search(r"tempo +0\.60 \(0\.55 to 0\.65\) +0\.18 \(0\.13 to 0\.23\)", said)
    assert "sensitivity: not measured (not asked for)" in said
