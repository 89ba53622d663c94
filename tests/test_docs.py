"""Documentation that is wrong fails here: snippets run, commands and flags exist, links resolve."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import nearfield

REPO = Path(__file__).parent.parent
PAGES = [*sorted(REPO.glob("*.md")), *sorted((REPO / "docs").rglob("*.md"))]
COMMANDS_PAGE = REPO / "docs" / "commands.md"
COMMAND = "import sys; from nearfield.cli import main; sys.exit(main())"  # what the script `nearfield` does
NOT_RUN = "<!-- not run:"  # with a reason, on the line before a block that cannot run in the reader's folder
LOCAL_PATH = re.compile(r"(?<![\w.~-])/(?:home|Users|root|work|workspace|mnt|tmp|media|srv)/[\w.-]+")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line of text."""

    page: Path
    line: int
    language: str
    text: str
    not_run: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPO)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if line.lstrip().startswith("```"):
            if start is None:
                start = number
            else:
                language = lines[start].strip().strip("`").split(" ")[0]
                before = next((text for text in reversed(lines[:start]) if text.strip()), "")
                text = "\n".join(lines[start + 1 : number])
                yield Block(page, start + 2, language, text, before.startswith(NOT_RUN))
                start = None
    assert start is None, f"{page}: the block from line {start} on is never closed"


ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
PYTHON_BLOCKS = [block for block in ALL_BLOCKS if block.language == "python" and not block.not_run]


def prose(page: Path) -> str:
    return re.sub(r"^\s*```.*?^\s*```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def written_commands() -> list[tuple[str, list[str]]]:
    """(where, words) of every `nearfield ...` in a shell block or in inline code."""
    found = []
    for block in ALL_BLOCKS:
        if block.language in ("sh", "bash", "console"):
            text = block.text.replace("\\\n", " ")
            for line in text.splitlines():
                found += [(str(block), line.removeprefix("$ "))]
    for page in PAGES:
        found += [(page.name, code) for code in re.findall(r"`([^`\n]+)`", prose(page))]
    split = [(where, shlex.split(line, comments=True)) for where, line in found if "nearfield " in line]
    return [(where, words[1:]) for where, words in split if words and words[0] == "nearfield"]


def documented() -> dict[tuple[str, ...], str]:
    """docs/commands.md as command -> its help."""
    parts = re.split(r"^## nearfield ?(.*)$", COMMANDS_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {tuple(name.split()): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who follows the README: music/ (with song.wav in it), indexed as music.space."""
    from nearfield.data.band import write_library

    folder = tmp_path_factory.mktemp("reader")
    write_library(folder / "music", n_pieces=4, seed=0, duration_s=8.0, file_format="wav")
    min((folder / "music").rglob("*.wav")).rename(folder / "music" / "song.wav")
    _python(folder, "-c", COMMAND, "index", "music", "--space", "music.space")
    return folder


def _python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=str)
def test_python_blocks_run(reader: Path, block: Block) -> None:
    _python(reader, "-W", "error", "-c", block.text)


def test_the_commands_page_says_what_the_help_says() -> None:
    _python(REPO, "scripts/make_docs.py", "--check")


def wrong_commands(written: list[tuple[str, list[str]]], pages: dict[tuple[str, ...], str]) -> list[str]:
    """What is written of commands that the pages (command -> help, () for the root) do not know."""
    wrong = []
    for where, words in written:
        command = next(tuple(words[:n]) for n in range(len(words), -1, -1) if tuple(words[:n]) in pages)
        rest = words[len(command) :]
        if rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]) and "subcommands:" in pages[command]:
            wrong.append(f"{where}: there is no command 'nearfield {' '.join((*command, rest[0]))}'")
            continue
        known = {*re.findall(r"(?<![\w-])--?[a-z][\w-]*", pages[command]), "--help"}
        flags = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        wrong += [f"{where}: 'nearfield {' '.join(command)}' has no {flag}" for flag in sorted(flags - known)]
    return wrong


def test_commands_in_the_documentation_exist() -> None:
    written = written_commands()
    wrong = wrong_commands(written, documented())
    assert not wrong, "\n".join(wrong)
    assert len(written) > 10


def test_a_wrong_command_would_be_found() -> None:
    pages = {
        (): "--version\nsubcommands:\n",
        ("space",): "subcommands:\n",
        ("space", "info"): "--json, -j  x",
    }
    good = ["--version", "space info s --json", "space info s -j", "space info --help", "--help"]
    bad = ["--verbose", "spaces", "space infos s", "space info s --jsn", "space info s -k 3"]
    assert wrong_commands([("x", text.split()) for text in good], pages) == []
    assert all(wrong_commands([("x", text.split())], pages) for text in bad)


def test_the_readme_shows_a_command_and_a_short_snippet_early() -> None:
    readme = REPO / "README.md"
    shown = [block for block in blocks(readme) if block.line < 40]
    snippets = [block for block in shown if block.language == "python"]
    assert any(block.language == "sh" for block in shown)
    assert snippets
    assert all(block.text.count("\n") < 15 and block.line + block.text.count("\n") < 40 for block in snippets)


def test_make_targets_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    code = [block.text for block in ALL_BLOCKS] + [c for p in PAGES for c in re.findall(r"`([^`\n]+)`", prose(p))]
    named = {name for text in code for name in re.findall(r"^(?:\$ )?make ([a-z]+)", text, re.MULTILINE)}
    assert named <= targets, named - targets
    assert {"demo", "test", "check"} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose(page)):
        link = target[0] or target[1]
        file, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        there = (page.parent / file).resolve() if file else page
        inside = there.exists() and there.is_relative_to(REPO.resolve())
        if not inside or (anchor and anchor not in anchors(there)):
            broken.append(link)
    assert not broken, broken


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_path_of_somebodys_own_machine(page: Path) -> None:
    assert LOCAL_PATH.findall(page.read_text(encoding="utf-8")) == []


def test_the_changelog_has_this_version() -> None:
    version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == version == nearfield.__version__
    assert versions == sorted(versions, key=lambda v: [int(n) for n in v.split(".")], reverse=True)


def listed_in_architecture() -> set[str]:
    """The paths of ARCHITECTURE.md's tree of src/nearfield, folders with a slash at the end."""
    (tree,) = (b for b in blocks(REPO / "ARCHITECTURE.md") if b.text.startswith("src/nearfield/"))
    found, folders = set(), [(0, "src/nearfield/")]
    for line in tree.text.splitlines()[1:]:
        name = line.split()[0] if line.strip() else ""
        indent = len(line) - len(line.lstrip())
        if "." not in name and not name.endswith("/"):
            continue  # the description runs on
        while folders[-1][0] >= indent:
            folders.pop()
        path = folders[-1][1] + name
        found.add(path)
        if name.endswith("/"):
            folders.append((indent, path))
    return found


def test_the_architecture_lists_what_exists() -> None:
    missing = [path for path in sorted(listed_in_architecture()) if not (REPO / path).exists()]
    assert not missing, f"ARCHITECTURE.md lists what is not there: {missing}"


def test_every_module_is_in_the_architecture() -> None:
    listed = listed_in_architecture()
    # a folder listed without its files stands for all of them
    whole = {path for path in listed if path.endswith("/") and not any(o.startswith(path) for o in listed - {path})}
    modules = (p.relative_to(REPO).as_posix() for p in sorted((REPO / "src").rglob("*.py")) if p.stat().st_size)
    absent = [m for m in modules if m not in listed and not m.startswith(tuple(whole)) and "__init__" not in m]
    assert not absent, f"not in ARCHITECTURE.md's tree: {absent}"
