"""Build the wheel, install it alone in a bare environment, and use it there as a stranger would.

    python scripts/check_wheel.py

Checks what no test in a checkout can see: that the wheel carries every data file, that the declared
dependencies are enough, and that none of the heavy ones (torch above all) slips in.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent

MUST_HAVE = (
    "nearfield/py.typed",
    "nearfield/data/games.tsv",
    "nearfield/data/grooves.tsv",
    "nearfield/model/mule.tsv",
    "nearfield/weights/",
    ".onnx",
    "licenses/LICENSE",
)
MUST_NOT_HAVE = ("tests/", "test_", "golden", "scripts/", "studies/", "bench/", "__pycache__")
MUST_BE_ABSENT = ("torch", "librosa", "onnx", "safetensors", "av", "pytest")

USE = """
import importlib.util, sys
from pathlib import Path
import numpy as np

present = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
assert not present, f"the light install brought {present}"

import nearfield
from nearfield.data.band import write_library

assert "site-packages" in nearfield.__file__, nearfield.__file__
second = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
log_mel = nearfield.log_mel(second)
assert log_mel.shape == (96, 101) and log_mel.dtype == np.float32 and np.isfinite(log_mel).all()
vectors = np.asarray(nearfield.load_model().embed(np.tile(second, 4), 16_000))
assert vectors.size and np.isfinite(vectors).all()
write_library(Path("music"), n_pieces=3, seed=0, duration_s=8.0)
"""


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nearfield-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        check_contents(wheel)
        binaries = install(wheel, folder / "venv")
        use(binaries, folder / "work")
    print(f"the wheel is whole and works alone ({time.monotonic() - began:.0f} s)")


def build(folder: Path) -> Path:
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPO)], REPO)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    missing = [part for part in MUST_HAVE if not any(part in name for name in names)]
    unwanted = [name for name in names if any(part in name for part in MUST_NOT_HAVE)]
    if missing or unwanted:
        sys.exit(f"{wheel.name}: missing {missing}, unwanted {unwanted}")
    print(f"   {wheel.name}: {len(names)} files, {wheel.stat().st_size / 1e6:.1f} MB")


def install(wheel: Path, environment: Path) -> Path:
    venv.create(environment, with_pip=True)
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    run([str(binaries / "python"), "-m", "pip", "install", "--quiet", str(wheel)], environment)
    return binaries


def use(binaries: Path, work: Path) -> None:
    work.mkdir()
    nearfield = str(binaries / "nearfield")
    run([nearfield, "--version"], work)
    run([nearfield, "--help"], work)
    run([str(binaries / "python"), "-c", USE, *MUST_BE_ABSENT], work)
    run([nearfield, "index", "music", "--space", "space"], work)
    seed = min(p for p in (work / "music").rglob("*") if p.suffix in (".wav", ".flac", ".ogg"))
    run([nearfield, "similar", str(seed.relative_to(work)), "--space", "space", "-k", "2"], work)


def run(command: list[str], folder: Path) -> None:
    """Run one command, unaware of the checkout; its output is shown only if it fails."""
    shown = " ".join(Path(command[0]).name if i == 0 else part for i, part in enumerate(command))
    print(f"-> {shown.splitlines()[0]}{' ...' if chr(10) in shown else ''}", flush=True)
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=folder, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        sys.exit(f"failed with exit code {done.returncode}: {shown}")


if __name__ == "__main__":
    main()
