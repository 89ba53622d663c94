"""apt-get as an ordinary user: packages downloaded, nothing installed, with package lists of its own where needed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nearfield.errors import CorpusError

TOOLS = ("apt-get", "dpkg-deb")  # the programs used
_HOME = ".apt"  # in the destination: the lock, package lists of our own, downloads under way
_APT_OPTIONS = ("-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=60")
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def sole_use(dest: Path) -> Iterator[None]:
    """A lock on `dest` that ends with the process, however it ends."""
    (dest / _HOME).mkdir(parents=True, exist_ok=True)
    with open(dest / _HOME / "lock", "w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on this system; then there is no apt-get either
            pass
        except BlockingIOError as error:
            raise CorpusError(str(dest), "another fetch is at work here", "wait for it or stop it") from error
        yield


@contextlib.contextmanager
def disk_errors(dest: Path) -> Iterator[None]:
    """What the disk refuses inside, as one CorpusError about `dest`."""
    try:
        yield
    except BrokenPipeError:  # the reader of our progress has gone; no fault of the disk
        raise
    except OSError as error:
        if error.errno in _FULL_DISK:
            cause, remedy = "the disk is full", "free space and fetch again: what is complete is kept"
        else:
            cause, remedy = f"cannot be written ({error.strerror or error})", "choose another folder"
        raise CorpusError(str(dest), cause, remedy) from error


def require_tools(corpus: str, what: str, remedy: str) -> None:
    """CorpusError where apt-get or dpkg-deb is not there; `what` comes as Debian packages."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise CorpusError(f"corpus {corpus}", f"{' and '.join(missing)} not found: {what} as Debian packages", remedy)


class Apt:
    """apt-get as an ordinary user: the system's package lists first, then lists of its own under `dest`."""

    def __init__(self, dest: Path) -> None:
        self._home = dest / _HOME
        self._home.mkdir(parents=True, exist_ok=True)
        self._private = self._updated = False
        for left in self._home.glob("get-*"):  # what a killed run had begun
            shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def download(self, package: str) -> Iterator[Path]:
        """The package's .deb, checked by apt-get, in a folder that is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix=f"get-{package}-", dir=self._home) as folder:
            cause = self._get(package, Path(folder))
            if cause and not self._updated:
                self._update()
                if self._private:
                    cause = self._get(package, Path(folder))
            if cause:
                raise CorpusError(package, cause, "check the network, run 'apt-get update', and fetch again")
            yield next(Path(folder).glob("*.deb"))

    def lacking(self, package: str) -> list[str]:
        """The packages that installing `package` would bring to this system, itself among them; nothing is installed."""
        simulate = ("install", "--simulate", "--no-install-recommends", package)
        run = self._run(*simulate, cwd=self._home)
        if run.returncode != 0 and not self._updated:
            self._update()
            run = self._run(*simulate, cwd=self._home)
        if run.returncode != 0:
            cause = next((line[3:] for line in run.stderr.splitlines() if line.startswith("E: ")), "apt-get failed")
            raise CorpusError(package, cause, "check the network, run 'apt-get update', and fetch again")
        return [line.split()[1] for line in run.stdout.splitlines() if line.startswith("Inst ")]

    def _get(self, package: str, folder: Path) -> str:
        """Download into `folder`; the cause if it did not come."""
        run = self._run("download", package, cwd=folder)
        if run.returncode == 0 and any(folder.glob("*.deb")):
            return ""
        said = [line[3:] for line in run.stderr.splitlines() if line.startswith("E: ")]
        cause = said[0] if said else f"apt-get ended with status {run.returncode}"
        if any(os.strerror(number) in run.stderr for number in _FULL_DISK):
            raise OSError(errno.ENOSPC, cause)
        return cause

    def _update(self) -> None:
        """Package lists of our own, once in a run; used only if any came, as the system's may still serve."""
        self._updated = True
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        self._run("update", cwd=self._home, private=True)
        self._private = any("_Packages" in p.name for p in (self._home / "lists").iterdir())

    def _run(self, *command: str, cwd: Path, private: bool = False) -> subprocess.CompletedProcess[str]:
        own = ("-o", f"Dir::State::lists={self._home / 'lists'}", "-o", f"Dir::Cache={self._home / 'cache'}")
        return subprocess.run(
            ["apt-get", *_APT_OPTIONS, *(own if private or self._private else ()), *command],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},  # its messages are read
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
