"""What commands print: progress, tables and JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nearfield.errors import Failure, NearfieldError
from nearfield.errors import readable as readable

if TYPE_CHECKING:
    from nearfield.catalogue.embed import IndexResult
    from nearfield.data.track import Track
    from nearfield.search.neighbours import Neighbour

_MOST_FAILURES = 20
_PLAIN_LINE_EVERY_S = 10.0


def say(message: str) -> None:
    """One line on standard error."""
    print(f"nearfield: {message}", file=sys.stderr, flush=True)


Tell = Callable[[int, int, int], None]  # done, total, failed
TellStage = Callable[[str, int, int, int], None]


@contextlib.contextmanager
def progress(unit: str) -> Iterator[Tell]:
    """On standard error: a bar with rate and time left on a terminal, elsewhere a line every 10 s."""
    if not sys.stderr.isatty():
        yield _plain_progress(unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    numbers = (TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[failed]}"))
    console = Console(stderr=True)
    with Progress(BarColumn(), MofNCompleteColumn(), *numbers, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, rate="", failed="")

        def tell(done: int, total: int, failed: int) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.1f} {unit}/s" if speed else ""
            bar.update(task, completed=done, total=total, rate=rate, failed=f"{failed} failed" if failed else "")

        yield tell


@contextlib.contextmanager
def stages() -> Iterator[TellStage]:
    """One bar after another: each stage of the work has its own."""
    with contextlib.ExitStack() as stack:
        running: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int, failed: int) -> None:
            if stage not in running:
                stack.pop_all().close()
                running.clear()
                say(stage)
                running[stage] = stack.enter_context(progress("steps"))
            running[stage](done, total, failed)

        yield tell


def _plain_progress(unit: str) -> Tell:
    began = last = time.monotonic()

    def tell(done: int, total: int, failed: int) -> None:
        nonlocal last
        moment = time.monotonic()
        if moment - last < _PLAIN_LINE_EVERY_S or not done:
            return
        last = moment
        rate = done / (moment - began)
        bad = f", {failed} failed" if failed else ""
        say(f"{done} of {total} {unit}, {rate:.1f}/s, {(total - done) / rate:.0f} s left{bad}")

    return tell


def print_outcome(said: Mapping[str, Any], line: str, failures: Sequence[Failure], as_json: bool) -> None:
    """What a command made: one JSON document, or a line and the first failures."""
    if as_json:
        print_json({**said, "failures": [asdict(f) for f in failures]})
        return
    print_line(line)
    print_failures(failures, sys.stderr, most=None)


def print_index(result: IndexResult, space: Path) -> None:
    """What an indexing did, on one line; its failures on standard error."""
    for note in result.notes:
        say(note)
    counts = ("added", "updated", "moved", "removed", "unchanged", "missing")
    said = [f"{getattr(result, name)} {name}" for name in counts if getattr(result, name)]
    what = ", ".join(said) or "nothing new"
    print_line(f"{result.n_tracks} tracks in {readable(space)}: {what} ({result.seconds:.1f} s)")
    if result.missing:
        print_line(f"{result.missing} files are gone; their tracks are kept (--prune drops them)")
    print_failures(result.failures, sys.stderr)


def print_failures(failures: Sequence[Failure], stream: TextIO, most: int | None = _MOST_FAILURES) -> None:
    """The failures and how many there are; the first `most` where a space keeps them all."""
    if not failures:
        return
    print(f"{len(failures)} failed:", file=stream)
    for failure in failures[:most]:
        print(f"  {failure.path}: {failure.cause}; {failure.remedy}", file=stream)
    if most is not None and len(failures) > most:
        more = len(failures) - most
        print(f"  and {more} more; all of them: nearfield space info --json", file=stream)


def print_neighbours(found: Sequence[Neighbour]) -> None:
    """A table on a terminal; elsewhere lines of rank, similarity, name and path, parted by tabs."""
    if not found:
        say("no other track of this space fits")
    if not sys.stdout.isatty():
        with printing():
            for n in found:
                print(f"{n.rank}\t{n.similarity:.4f}\t{readable(n.track.name)}\t{readable(n.path)}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("similarity", justify="right")
    table.add_column("track")
    table.add_column("length", justify="right")
    table.add_column("file", overflow="fold", style="dim")
    for n in found:
        seconds = n.track.duration_s
        length = "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
        name, path = Text(readable(n.track.name)), Text(readable(os.path.relpath(n.path)))
        table.add_row(str(n.rank), f"{n.similarity:.3f}", name, length, path)
    with printing():
        Console().print(table)


def neighbour_json(n: Neighbour) -> dict[str, Any]:
    return {"rank": n.rank, "similarity": round(n.similarity, 6), **track_json(n.track)}


def track_json(track: Track) -> dict[str, Any]:
    """A track for JSON: `path` is printable, `uri` leads to the file whatever its name."""
    from nearfield.search.playlist import uri

    known = {k: getattr(track, k) for k in ("id", "title", "artist", "album", "duration_s")}
    return {"path": readable(track.path), "uri": uri(track.path), **known}


def print_json(content: Mapping[str, Any]) -> None:
    print_line(json.dumps(content, indent=1))


def print_line(text: str) -> None:
    with printing():
        print(text)


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Standard output taken to its end; what refuses it (a full disk) is an error as any other."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        raise
    except OSError as error:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # nothing is left to fail at the end
        cause = f"cannot be written ({error.strerror or error})"
        raise NearfieldError("standard output", cause, "free space, or send it elsewhere") from error
