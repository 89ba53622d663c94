"""What a stranger's first `make demo` and `make test` take on a fresh machine.

    python bench/fresh.py [--targets demo test]

Clones the commit that is checked out (changes not committed are left out) into a temporary folder with an empty
home, and runs each target there with an empty package cache. Where packages come from stays as it is set on this
machine. The ends of the logs go to results/fresh.txt.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common import REPO, RESULTS, Figure, Section, figure, say

LOG = RESULTS.with_name("fresh.txt")
ENVIRONMENTS = {"demo": ".venv", "test": ".venv-dev"}
KEPT_LINES = 40
NOT_PASSED = re.compile(r"^(?:VIRTUAL_ENV|PYTHON.*|NEARFIELD_.*|MUSIC|MAKE.*|MFLAGS|COVERAGE.*|PYTEST_.*)$")
BYTES = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
DOWNLOADED = re.compile(r"Downloading \S+ \(([\d.]+) (bytes|kB|MB|GB)\)")
TAKEN_FROM_DISK = re.compile(r"Processing (\S+\.(?:whl|tar\.gz|zip))\b")
PATHS = re.compile(r"(?:https?|file)://\S+|(?<![\w.~/-])/(?:[\w.@+-]+/)+[\w.@+-]*")

CHATTER = re.compile(r"━|^\s*(?:WARNING: Location|\[notice\])")


@dataclass(frozen=True)
class Target:
    """One `make` target, run."""

    code: int
    seconds: float
    text: str
    download_mb: float
    environment_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description="What a stranger's first make demo and make test take.")
    parser.add_argument("--targets", nargs="+", choices=ENVIRONMENTS, default=list(ENVIRONMENTS))
    targets = parser.parse_args().targets
    section = Section("fresh", None, {}, ("pip",))
    section.commit = section.commit.rstrip("+")  # what is cloned is the commit itself
    logs = []
    with tempfile.TemporaryDirectory(prefix="nearfield-fresh-") as name:
        folder = Path(name)
        clone(folder / "nearfield")
        for target in dict.fromkeys(targets):
            say(f"make {target}, nothing there before")
            run = make(target, folder, "first")
            section.add(*figures(target, run))
            logs.append(f"$ make {target}\n{tail(run.text, folder)}\n")
            if target == "demo" and run.code == 0:
                again = make(target, folder, "again")
                section.add(figure("make demo once more: wall time", "s", [again.seconds]))
    LOG.write_text(f"commit {section.commit}, {section.date}\n\n" + "\n".join(logs), encoding="utf-8")
    section.note("the end of each log is in results/fresh.txt")
    section.write()
    if any(f.met is False for f in section.figures):
        sys.exit("a target failed")


def clone(into: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(REPO), str(into)], check=True)


def make(target: str, folder: Path, turn: str) -> Target:
    log = folder / f"{target}-{turn}.pip.log"
    begun = time.perf_counter()
    process = subprocess.Popen(
        ["make", target],
        cwd=folder / "nearfield",
        env=environment(folder / f"{target}-{turn}", log),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        print(f"  | {line}", end="", flush=True)
        lines.append(line)
    code = process.wait()
    seconds = time.perf_counter() - begun
    return Target(code, seconds, "".join(lines), download_mb(log), size_mb(folder / "nearfield" / ENVIRONMENTS[target]))


def environment(folder: Path, log: Path) -> dict[str, str]:
    """An empty home and cache; the settings of where packages come from are kept."""
    home, cache = folder / "home", folder / "cache"
    for new in (home, cache):
        new.mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if not NOT_PASSED.match(name)}
    settings = Path.home() / ".config" / "pip" / "pip.conf"
    if settings.exists():
        kept.setdefault("PIP_CONFIG_FILE", str(settings))
    here = os.path.dirname(sys.executable)  # an environment this runs in is not a stranger's
    inside = sys.prefix != sys.base_prefix
    path = [p for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if not (inside and p == here)]
    return kept | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(cache),
        "PIP_CACHE_DIR": str(cache / "pip"),
        "PIP_LOG": str(log),
        "PATH": os.pathsep.join(path),
    }


def download_mb(log: Path) -> float:
    """The packages that pip fetched, to build and to install, by its log; ones lying on this disk count too."""
    total = 0.0
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else ():
        if found := DOWNLOADED.search(line):
            total += float(found[1]) * BYTES[found[2]]
        elif found := TAKEN_FROM_DISK.search(line):
            file = Path(unquote(urlsplit(found[1]).path))
            total += file.stat().st_size if file.is_file() else 0
    return total / 1e6


def size_mb(folder: Path) -> float:
    files = {(s.st_dev, s.st_ino): s for s in (p.lstat() for p in folder.rglob("*"))}
    return sum(s.st_blocks * 512 for s in files.values()) / 1e6


def figures(target: str, run: Target) -> list[Figure]:
    rows = [
        Figure(f"make {target}: exit code", run.code, "", goal="0", met=run.code == 0),
        figure(f"make {target}: wall time with set-up", "s", [run.seconds]),
        figure(f"make {target}: download", "MB", [run.download_mb]),
        figure(f"make {target}: size of the environment", "MB", [run.environment_mb]),
    ]
    if counted := re.findall(r"(\d+) (passed|failed|skipped)", "".join(run.text.splitlines()[-3:])):
        rows += [figure(f"make {target}: tests {what}", "tests", [float(n)]) for n, what in counted]
    return rows


def tail(text: str, folder: Path) -> str:
    """The last lines, without pip's bars and remarks, and without addresses and paths of this machine."""
    lines = text.replace(f"{folder}/nearfield/", "").replace(str(folder), "~").splitlines()
    kept = [PATHS.sub("...", line).rstrip() for line in lines if not CHATTER.search(line)]
    return "\n".join(kept[-KEPT_LINES:])


if __name__ == "__main__":
    main()
