"""What the benchmarks share: figures, the results file, the machine, and processes that are watched while they run.

docs/formats.md says what the results file holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
RESULTS = REPO / "results" / "river.json"
LIBRARIES = ("nearfield", "numpy", "scipy", "soundfile", "soxr", "onnxruntime", "pyarrow")
GENERATED = ("results", "docs/results.md")  # what a benchmark itself changes does not make the commit dirty


@dataclass(frozen=True)
class Figure:
    """One measured number. `low`, `high`: the least and the most of `n` repeats, of which `value` is the median."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    n: int = 1
    goal: str | None = None
    met: bool | None = None

    def __str__(self) -> str:
        spread = f" ({self.low:.4g} to {self.high:.4g}, n = {self.n})" if self.low is not None else ""
        goal = f" [goal: {self.goal}: {'met' if self.met else 'MISSED'}]" if self.goal else ""
        return f"{self.name}: {self.value:.4g} {self.unit}{spread}{goal}"


def figure(
    name: str, unit: str, values: Sequence[float], at_least: float | None = None, at_most: float | None = None
) -> Figure:
    """The median of the repeats with their spread, and whether it meets a goal."""
    middle = statistics.median(values)
    goal = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}" if at_most is not None else None
    met = None
    if at_least is not None:
        met = middle >= at_least
    elif at_most is not None:
        met = middle <= at_most
    many = len(values) > 1
    low, high = (min(values), max(values)) if many else (None, None)
    return Figure(name, middle, unit, low, high, len(values), goal, met)


@dataclass
class Section:
    """One benchmark's part of the results file; the date and the commit are those of its beginning.

    `sources`: the files it was measured on, where a few were picked.
    """

    name: str
    seed: int | None
    settings: Mapping[str, str | float]
    libraries: Sequence[str] = LIBRARIES
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.command = command_line()
        self.commit = commit()
        self.date = datetime.now(UTC).date().isoformat()

    def add(self, *figures: Figure) -> None:
        """Keep figures and print them."""
        for new in figures:
            self.figures.append(new)
            print(f"  {new}", flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"  note: {text}", flush=True)

    def write(self, path: Path = RESULTS) -> None:
        content = {
            "machine": machine(self.libraries),
            "command": self.command,
            "commit": self.commit,
            "date": self.date,
            "seed": self.seed,
            "settings": dict(self.settings),
            "figures": [asdict(f) for f in self.figures],
            "notes": self.notes,
            **({"sources": list(self.sources)} if self.sources else {}),
        }
        write_section(self.name, content, path)
        print(f"{len(self.figures)} figures: section {self.name!r} of results/{path.name}", flush=True)


def write_section(name: str, content: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Replace one section in one step; the others stay as they are.

    Machine, command, commit and date are added where `content` does not say them.
    """
    content = stamp() | dict(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two benchmarks that end together
        whole = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"format": 1}
        whole[name] = content
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)
    finally:
        os.close(folder)


def stamp() -> dict[str, Any]:
    """Where, how, of what and when."""
    today = datetime.now(UTC).date().isoformat()
    return {"machine": machine(), "command": command_line(), "commit": commit(), "date": today}


def machine(libraries: Sequence[str] = LIBRARIES) -> dict[str, Any]:
    return {
        "cpu": _first(r"model name\s*: (.+)", "/proc/cpuinfo") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in libraries},
    }


def _first(pattern: str, path: str) -> str:
    with contextlib.suppress(OSError):  # a process may have ended meanwhile
        if found := re.search(pattern, Path(path).read_text(encoding="utf-8", errors="replace")):
            return found[1].strip()
    return ""


def commit() -> str:
    """Short hash of the commit that is checked out; a plus means that files differ from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", *(f":!{name}" for name in GENERATED))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # no git, or an unpacked archive
    return head + ("+" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(REPO), *words], capture_output=True, text=True, check=True).stdout.strip()


def command_line() -> str:
    """The command as typed from the repository; of files elsewhere only the last two parts of the path."""
    script = public_path(str(Path(sys.argv[0]).resolve()))
    return shlex.join(["python", script, *map(public_path, sys.argv[1:])])


def public_path(word: str) -> str:
    """A path without the folders of this machine; any other word as it is."""
    path = Path(word).expanduser()
    if not path.is_absolute():
        return word
    inside = path.is_relative_to(REPO)
    return str(path.relative_to(REPO) if inside else Path(*path.parts[-2:]))


@dataclass(frozen=True)
class Done:
    """A command that has ended. Memory and processor time are of its whole process tree.

    `peak_pss_mb`: the most that all processes held at once, pages they share counted once, seen every quarter
    of a second; `largest_rss_mb`: the most that any one process ever held.
    """

    code: int
    wall_s: float
    cpu_s: float
    peak_pss_mb: float
    largest_rss_mb: float
    stdout: str


def watched(command: Sequence[str | Path], quiet: bool = False) -> Done:
    """Run a command, its standard error shown unless `quiet`; what it starts and waits for counts with it."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, text=True
    )
    watch = _Watch(process.pid)
    try:
        assert process.stdout is not None
        with process.stdout:
            out = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)  # processor time and memory of this command alone
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        wall_s = time.perf_counter() - begun
        watch.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = used.ru_utime + used.ru_stime
    return Done(process.returncode, wall_s, cpu_s, watch.peak_pss_mb, used.ru_maxrss * 1.024 / 1e3, out)


class _Watch:
    """A thread that adds up the memory of a process and all below it, again and again."""

    def __init__(self, pid: int, every_s: float = 0.25) -> None:
        self.peak_pss_mb = 0.0
        self._pid = pid
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(self._every_s):
            self.peak_pss_mb = max(self.peak_pss_mb, sum(map(_pss_mb, list(_tree(self._pid)))))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield from _tree(int(child))


def _pss_mb(pid: int) -> float:
    return float(_first(r"(?m)^Pss:\s+(\d+) kB", f"/proc/{pid}/smaps_rollup") or 0) * 1.024 / 1e3


def forget_files(paths: Iterable[Path]) -> str:
    """Take files out of the page cache: all of it as root, else these files; says which."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        for path in paths:
            with contextlib.suppress(OSError), open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return "the music was dropped from the page cache before"
    return "the whole page cache was dropped before"


def read_files(paths: Iterable[Path]) -> None:
    """Bring files into the page cache."""
    for path in paths:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            while file.read(1 << 22):
                pass


def say(text: str) -> None:
    print(text, flush=True)
