"""A nearfield command in a process of its own: watched from this one, or left to itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nearfield.errors import ModelError, readable
from nearfield.model.checkpoint import writing
from nearfield.train.claim import holder

PATIENCE_S = 120.0  # for Python and torch to start


@dataclass(frozen=True)
class Ended:
    """`code` is below 0 for a signal; `said` is the last line on standard error."""

    code: int
    said: str

    @property
    def cause(self) -> str:
        """In words."""
        if self.code < 0:
            return f"its process was ended by {signal.Signals(-self.code).name}"
        return self.said.removeprefix("nearfield: ") or f"its process ended with exit code {self.code}"


class Watched:
    """One process at a time, in a session of its own: a terminal's Ctrl-C reaches it through `stop` alone."""

    def __init__(self, kept_open: Sequence[int]) -> None:
        self._kept_open = tuple(kept_open)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, words: Sequence[str], tell: Callable[[str], None]) -> Ended:
        """Run to the end; each line of its standard error is told as it comes."""
        lines: deque[str] = deque(maxlen=1)
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=self._kept_open,
            start_new_session=True,
        ) as self._process:
            assert self._process.stderr is not None
            for line in self._process.stderr:
                if text := line.decode("utf-8", "backslashreplace").strip():
                    lines.append(text)
                    tell(text)
        return Ended(self._process.returncode, "".join(lines))

    def stop(self) -> None:
        """Ask the process, if there is one, to save and leave."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)


def command(*words: str) -> list[str]:
    """The command line of this installation."""
    return [sys.executable, "-m", "nearfield.cli", *words]


def detach(words: Sequence[str], log: Path, claim: Path) -> int:
    """Start what will claim `claim`, in a session of its own, its output at the end of `log`; returns its number.

    Raises ModelError where somebody claims it already, or the process ends before it does.
    """
    if (number := holder(claim)) is not None:
        raise ModelError(
            readable(claim.parent), f"process {number} is at work there", "wait until it has ended, or end it"
        )
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        begun = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None and holder(claim) != child.pid and time.monotonic() < until:
        time.sleep(0.05)
    if child.returncode:
        said = log.read_bytes()[begun:].decode("utf-8", "backslashreplace").strip().splitlines()
        raise ModelError(readable(log), Ended(child.returncode, said[-1] if said else "").cause, "correct that")
    child.returncode = 0  # it is meant to outlive this process: no warning that nobody waits for it
    return child.pid
