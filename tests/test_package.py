"""What a stranger gets from `import nearfield`."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import nearfield

REPO = Path(__file__).parent.parent
PUBLIC = {"__version__", "load_model", "log_mel", "open_space"}
HEAVY = {"onnx", "onnxruntime", "pyarrow", "rich", "scipy", "soundfile", "soxr", "torch", "tyro"}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert nearfield.__version__ == project["version"] == importlib.metadata.version("nearfield")


def test_public_names_exist() -> None:
    assert set(nearfield.__all__) >= PUBLIC
    assert {name for name in nearfield.__all__ if getattr(nearfield, name, None) is None} == set()
    assert set(nearfield.__all__) <= set(dir(nearfield))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(nearfield, "no_such_name")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import nearfield, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_command_prints_its_version() -> None:
    code = "import sys; sys.argv = ['nearfield', '--version']; from nearfield.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert nearfield.__version__ in done.stdout


def test_the_weights_are_shipped_with_a_card() -> None:
    weights = Path(nearfield.__file__).parent / "weights"
    assert list(weights.glob("*.onnx")), "no model in src/nearfield/weights"
    assert list(weights.glob("*.md")), "no model card beside it"


def test_the_model_card_agrees_with_the_model_and_the_results() -> None:
    script = REPO / "scripts" / "make_card.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
