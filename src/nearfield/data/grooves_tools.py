"""MMA, fluidsynth and soundfonts: unpacked from Debian packages, nothing installed, and run as separate programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from nearfield.data.apt import Apt, require_tools
from nearfield.data.debian import unpack_whole
from nearfield.data.grooves_styles import SOUNDFONTS
from nearfield.errors import CorpusError, readable

RATE_HZ = 22050
_PROGRAMS = ("mma", "fluidsynth")
# Never unpacked: a second C library beside the system's own breaks every program that meets both.
_NEVER = ("libc6", "libc-bin", "libgcc-s1", "libstdc++6")
_LIMIT_S = 120.0  # for one run of a program; MMA takes a second, fluidsynth seconds
_READY = "nearfield-ready"  # in MMA's folder: where its database of grooves was made for
_GAIN = 0.4
_AGAIN = "remove the folder 'tools' in the destination and fetch again"


@dataclass(frozen=True)
class Tools:
    """Where the programs lie. `libraries`: folders the loader looks in, before the system's."""

    mma: Path
    fluidsynth: Path
    libraries: tuple[Path, ...]
    soundfonts: Mapping[str, Path]
    versions: Mapping[str, str] = field(default_factory=dict)

    def arrange(self, text: str) -> bytes:
        """The MIDI file that MMA makes of `text`. Raises CorpusError with what it says is wrong."""
        with tempfile.TemporaryDirectory(prefix="nearfield-") as folder:
            source, out = Path(folder, "in.mma"), Path(folder, "out.mid")
            source.write_text(text, "ascii")
            said = _run([sys.executable, self.mma, "-f", out, source], "MMA")
            if not out.exists():
                raise CorpusError("MMA", f"wrote nothing ({' '.join(said.split())[-200:]})", "please report this piece")
            return out.read_bytes()

    def play(self, midi: bytes, soundfont: str, reverb: float) -> npt.NDArray[np.float32]:
        """(n, 2) what fluidsynth plays at RATE_HZ, not limited; `reverb` 0 to 1. Raises CorpusError."""
        with tempfile.TemporaryDirectory(prefix="nearfield-") as folder:
            source, out = Path(folder, "in.mid"), Path(folder, "out.wav")
            source.write_bytes(midi)
            settings = {
                "synth.gain": _GAIN,
                "synth.reverb.level": reverb,
                "synth.reverb.room-size": 0.2 + 0.6 * reverb,
                "synth.dynamic-sample-loading": 1,
                "synth.cpu-cores": 1,
            }
            options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
            files: list[str | Path] = [
                "-F",
                out,
                "-T",
                "wav",
                "-O",
                "float",
                "-r",
                str(RATE_HZ),
                self.soundfonts[soundfont],
                source,
            ]
            found = [os.fspath(f) for f in self.libraries] + [os.environ.get("LD_LIBRARY_PATH", "")]
            paths = {"LD_LIBRARY_PATH": os.pathsep.join(f for f in found if f)}
            said = _run([self.fluidsynth, "-n", "-i", "-q", *options, *files], "fluidsynth", paths)
            try:
                sound, _ = soundfile.read(out, dtype="float32", always_2d=True)
            except (OSError, soundfile.LibsndfileError) as error:
                cause = f"wrote nothing ({' '.join(said.split())[-200:]})"
                raise CorpusError("fluidsynth", cause, _AGAIN) from error
        return np.asarray(sound, np.float32)


def _run(command: list[str | Path], subject: str, environment: Mapping[str, str] | None = None) -> str:
    """What the program said; CorpusError where it failed, hung or is not there."""
    try:
        run = subprocess.run(
            command,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
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
    libraries = {so.parent for f in folders.values() for so in f.rglob("*.so*") if "plugins" not in so.parts}
    return Tools(
        mma=_ready_mma(folders["mma"]),
        fluidsynth=folders["fluidsynth"] / "usr/bin/fluidsynth",
        libraries=tuple(sorted(libraries)),
        soundfonts={p: folders[p] / font.file for p, font in SOUNDFONTS.items()},
        versions={p: folders[p].name.removeprefix(f"{p}_") for p in (*_PROGRAMS, *SOUNDFONTS)},
    )


def _ready_mma(folder: Path) -> Path:
    """MMA beside its library, with its database of grooves, which holds absolute paths: made anew after a move."""
    home = folder / "usr/share/mma"
    program, ready = home / "mma.py", home / _READY
    if not ready.exists() or ready.read_text("utf-8") != readable(home):
        shutil.copyfile(folder / "usr/bin/mma", program)
        (home / "plugins").mkdir(exist_ok=True)  # it warns where there is none
        _run([sys.executable, program, "-G"], "MMA")
        ready.write_text(readable(home), "utf-8")
    return program
