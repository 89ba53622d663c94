"""Files committed with git, and nothing else with them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def commit_files(paths: Sequence[Path], message: str) -> str:
    """Commit the files as they are; returns what is to be said of it, also where it could not be done.

    Whatever else is staged stays staged.
    """
    folder = paths[0].parent
    names = [path.name for path in paths]
    if shutil.which("git") is None or _git(folder, "rev-parse", "--is-inside-work-tree").returncode:
        return "not committed: this is no git work tree"
    added = _git(folder, "add", "--", *names)
    if added.returncode:
        return f"not committed: {_said(added)}"
    if not _git(folder, "diff", "--cached", "--quiet", "--", *names).returncode:
        return "nothing to commit"
    done = _git(folder, "commit", "--quiet", "-m", message, "--", *names)
    return f"not committed: {_said(done)}" if done.returncode else "committed"


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", folder, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join((done.stderr or done.stdout).decode("utf-8", "backslashreplace").split())
