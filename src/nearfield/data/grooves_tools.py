"""MMA, fluidsynth and soundfonts: unpacked from Debian packages, nothing installed, and run as separate programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield.data.apt import Apt, require_tools
from nearfield.data.debian import unpack_whole
from nearfield.data.grooves_styles import SOUNDFONTS
from nearfield.errors import CorpusError, readable

RATE_HZ = 22050
_PROGRAMS = ("mma", "fluidsynth")
# Never unpacked: a second C library beside the system's own breaks every program that meets both.
_NEVER = ("libc6", "libc-bin", "libgcc-s1", "libstdc++6")
_LIMIT_S = 250.0  # for one run of a program, which takes a second; twenty times that where the machine is busy
_DATABASE_LIMIT_S = 1800.0  # for MMA to read all its styles: seconds, likewise
_READY = "nearfield-ready"  # in MMA's folder: where its database of grooves was made for
_GAIN = 0.4
# MMA needs the standard library alone: without `site` it starts sooner, and no variable keeps it from writing bytecode.
_PYTHON = (sys.executable, "-E", "-S")
_AGAIN = "remove the folder 'tools' in the destination and fetch again"


@dataclass(frozen=True)
class Tools:
    """Where the programs lie. `libraries`: the folder the loader looks in, before the system's."""

    mma: Path
    fluidsynth: Path
    libraries: Path
    soundfonts: Mapping[str, Path]
    versions: Mapping[str, str] = field(default_factory=dict)

    def arrange(self, text: str) -> bytes:
        """The MIDI file that MMA makes of `text`. Raises CorpusError with what it says is wrong."""
        with tempfile.TemporaryDirectory(prefix="nearfield-") as folder:
            source, out = Path(folder, "in.mma"), Path(folder, "out.mid")
            source.write_text(text, "ascii")
            said = _run([*_PYTHON, self.mma, "-f", out, source], "MMA")
            if not out.exists():
                raise CorpusError("MMA", f"wrote nothing ({' '.join(said.split())[-200:]})", "please report this piece")
            return out.read_bytes()

    def play(self, midi: bytes, soundfont: str, reverb: float) -> npt.NDArray[np.float32]:
        """(n, 2) what fluidsynth plays at RATE_HZ, not limited; `reverb` 0 to 1. Raises CorpusError."""
        settings = {
            "synth.gain": _GAIN,
            "synth.reverb.level": reverb,
            "synth.reverb.room-size": 0.2 + 0.6 * reverb,
            "synth.dynamic-sample-loading": 1,
            "synth.cpu-cores": 1,
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        options += f"-n -i -q -T raw -O float -E little -r {RATE_HZ}".split()
        paths = os.pathsep.join(filter(None, (os.fspath(self.libraries), os.environ.get("LD_LIBRARY_PATH"))))
        # Files in memory: it writes 64 samples at a time, twelve thousand times a piece.
        with _memory_file(midi) as source, _memory_file() as out:
            options += ["-F", _path(out), os.fspath(self.soundfonts[soundfont]), _path(source)]
            said = _run([self.fluidsynth, *options], "fluidsynth", {"LD_LIBRARY_PATH": paths}, (source, out))
            with open(out, "rb", closefd=False) as file:
                file.seek(0)
                sound = np.frombuffer(file.read(), "<f4")
        if not sound.size:
            raise CorpusError("fluidsynth", f"wrote nothing ({' '.join(said.split())[-200:]})", _AGAIN)
        return np.asarray(sound.reshape(-1, 2), np.float32)


@contextlib.contextmanager
def _memory_file(content: bytes = b"") -> Iterator[int]:
    """The descriptor of a file that lies in memory alone."""
    descriptor = os.memfd_create("nearfield")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield descriptor
    finally:
        os.close(descriptor)


def _path(descriptor: int) -> str:
    """What a program that inherits the descriptor opens it by."""
    return f"/dev/fd/{descriptor}"


def _run(
    command: list[str | Path],
    subject: str,
    environment: Mapping[str, str] | None = None,
    descriptors: tuple[int, ...] = (),
    limit_s: float = _LIMIT_S,
) -> str:
    """What the program said; CorpusError where it failed, hung or is not there. It inherits the descriptors."""
    try:
        run = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CorpusError(subject, f"cannot be run ({error})", _AGAIN) from error
    if run.returncode != 0:
        lines = [line for line in run.stdout.splitlines() if line.strip()]
        raise CorpusError(subject, f"ended with status {run.returncode} ({lines[-1] if lines else 'silent'})", _AGAIN)
    return run.stdout


def obtain_tools(dest: Path, tell: Callable[[str], None] | None = None) -> Tools:
    """Unpack the packages into dest/tools/<package>_<version> where they are not there yet, and make MMA ready.

    The caller holds `sole_use(dest)`. Raises CorpusError without apt-get, dpkg-deb, or a package.
    """
    home = dest / "tools"
    wanted = (*_PROGRAMS, *SOUNDFONTS)
    known = home / "libraries.txt"  # written once all libraries are there: the list depends on the system
    if not known.exists() or any(_unpacked(home, p) is None for p in wanted):
        require_tools("grooves", "MMA, fluidsynth and soundfonts come", "run this in a Debian or Ubuntu container")
        home.mkdir(parents=True, exist_ok=True)
        apt = Apt(dest)
        needed = [p.split(":")[0] for p in apt.lacking("fluidsynth")]
        libraries = [p for p in needed if p.startswith("lib") and p not in _NEVER]
        for package in (*wanted, *libraries):
            if _unpacked(home, package) is None:
                if tell is not None:
                    tell(package)
                with apt.download(package) as deb:
                    version = "_".join(deb.stem.split("_")[1:2]) or "unknown"
                    unpack_whole(deb, home / f"{package}_{version}")
        known.write_text("".join(f"{p}\n" for p in libraries), "utf-8")
    return _tools(home, (*wanted, *known.read_text("utf-8").split()))


def _unpacked(home: Path, package: str) -> Path | None:
    """The folder of a package that has been unpacked; with several versions, the last by name."""
    found = sorted(p for p in home.glob(f"{package}_*") if not p.name.endswith(".part"))
    return found[-1] if found else None


def _tools(home: Path, packages: tuple[str, ...]) -> Tools:
    folders = {p: f for p in packages if (f := _unpacked(home, p)) is not None}
    return Tools(
        mma=_ready_mma(folders["mma"]),
        fluidsynth=folders["fluidsynth"] / "usr/bin/fluidsynth",
        libraries=_linked(home, folders.values()),
        soundfonts={p: folders[p] / font.file for p, font in SOUNDFONTS.items()},
        versions={p: folders[p].name.removeprefix(f"{p}_") for p in (*_PROGRAMS, *SOUNDFONTS)},
    )


def _linked(home: Path, folders: Iterable[Path]) -> Path:
    """A folder of links to all libraries: a loader that looks in twenty folders opens a thousand files in vain."""
    links = home / "lib"
    links.mkdir(exist_ok=True)
    for so in (so for f in folders for so in f.rglob("*.so*") if "plugins" not in so.parts):
        link, target = links / so.name, os.path.relpath(so, links)  # relative, so that the corpus can be moved
        if not link.is_symlink() or os.readlink(link) != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return links


def _ready_mma(folder: Path) -> Path:
    """MMA beside its library, with its database of grooves, which holds absolute paths: made anew after a move."""
    home = folder / "usr/share/mma"
    program, ready = home / "mma.py", home / _READY
    if not ready.exists() or ready.read_text("utf-8") != readable(home):
        shutil.copyfile(folder / "usr/bin/mma", program)
        (home / "plugins").mkdir(exist_ok=True)  # it warns where there is none
        _run([*_PYTHON, program, "-G"], "MMA", limit_s=_DATABASE_LIMIT_S)
        ready.write_text(readable(home), "utf-8")
    return program
