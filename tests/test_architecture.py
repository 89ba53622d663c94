"""Imports point down; torch stays on its side. The rules are the tables below; the rest only reads them.

Imports are read from the source by `ast`, wherever they stand (top of the file, inside a function, for type
checking only), so that a lazy import cannot hide an arrow.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
PACKAGE = "nearfield"

# From the top down. A room imports itself and rooms of lower tiers; rooms of one tier do not know each other.
TIERS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("config",),
    ("app", "train"),
    ("study",),
    ("search", "catalogue"),
    ("model", "augment", "data"),
    ("sound",),
    ("records", "pool", "parquet", "origin"),
    ("errors",),
)

# Arrows inside one tier that are meant, from -> to, and why; each side a module, or a room and all in it.
EXCEPTIONS = {
    ("nearfield.catalogue.space", "nearfield.search"): "an opened SPACE answers `neighbours`",
}

# Rooms only one other room may import.
ONLY_FOR = {"config": "cli", "cli": ""}

# Torch and what belongs to training: only these rooms may reach them, by any chain of imports. The command
# line may from inside a command, never when it starts.
TORCH = {"torch", "safetensors", "onnx"}
TORCH_ROOMS = {"model", "augment", "train", "config"}

# Never imported by the package, and why.
GPL_LIBRARIES = ("mutagen", "pedalboard", "rubberband", "pyrubberband", "aubio", "taglib", "eyed3")
FORBIDDEN = {
    **dict.fromkeys(GPL_LIBRARIES, "GPL"),
    **dict.fromkeys(("essentia", "tempocnn"), "AGPL"),
    "madmom": "its models forbid commercial use",
    **dict.fromkeys(("pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"), "no pickle anywhere"),
}

# Only in these modules, and only when they are asked: what stands beside an embedding in a benchmark.
BASELINES_ONLY = {
    "librosa": ("nearfield.study.embedding.chroma_tempogram",),
    "bliss_audio": ("nearfield.study.embedding.bliss",),
}

# Run by another interpreter, with what is installed there: nobody here imports them.
APART = {"nearfield.study.embedding.musicnn_worker"}

# Distributions whose import name differs from their name would stand here: {"PyYAML": "yaml"}.
IMPORT_NAMES = {"scikit-learn": "sklearn"}

IMPORT_CALLS = {"import_module", "importlib.import_module", "__import__"}


@dataclass(frozen=True)
class Import:
    """One import statement's target; `lazy` when it stands inside a function or is for type checking only."""

    target: str
    line: int
    lazy: bool


@dataclass(frozen=True)
class Tree:
    """The package's modules: `modules[name]` is the file, `imports[name]` its import statements."""

    modules: dict[str, Path]
    imports: dict[str, tuple[Import, ...]]

    @classmethod
    def read(cls, package: Path) -> Tree:
        modules = {_module_name(package, file): file for file in sorted(package.rglob("*.py"))}
        imports = {name: tuple(_imports(name, file, set(modules))) for name, file in modules.items()}
        return cls(modules, imports)

    def internal(self, name: str, lazy: bool = True) -> set[str]:
        """The package's own modules that `name` imports, parents' __init__ left out."""
        return {i.target for i in self.imports[name] if i.target in self.modules and (lazy or not i.lazy)}

    def reached(self, name: str, lazy: bool) -> dict[str, str]:
        """Every module that importing `name` executes (with `lazy`, may ever execute) -> who imported it."""
        came_from, waiting = {name: ""}, [name]
        while waiting:
            current = waiting.pop()
            parents = [current.rsplit(".", n)[0] for n in range(1, current.count(".") + 1)]
            for module in sorted(self.internal(current, lazy) - {PACKAGE}) + [p for p in parents if p != PACKAGE]:
                if module not in came_from:
                    came_from[module] = current
                    waiting.append(module)
        return came_from


def _module_name(package: Path, file: Path) -> str:
    parts = [PACKAGE, *file.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, file: Path, modules: set[str]) -> Iterator[Import]:
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    lazy = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING")
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        for target in _targets(node, name, file.name == "__init__.py", modules):
            yield Import(target, getattr(node, "lineno", 0), id(node) in lazy)


def _targets(node: ast.AST, name: str, is_package: bool, modules: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name != PACKAGE)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == PACKAGE:
        yield f"{PACKAGE}.{node.attr}"  # `import nearfield`, then nearfield.x: what counts is x
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = name.split(".")
            parts = parts[: len(parts) - node.level + is_package]
            base = ".".join([*parts, base]) if base else ".".join(parts)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            # whatever is taken from the package itself is kept by name: a room, a dunder, or a public name
            yield inner if inner in modules or base == PACKAGE else base
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in IMPORT_CALLS:
        # a computed name cannot be read here; the run-time test below still sees what it loads
        names = (a.value for a in node.args[:1] if isinstance(a, ast.Constant))
        yield from (name for name in names if isinstance(name, str))


def room(module: str) -> str:
    """'nearfield.search.exact' -> 'search'; the package's own __init__ -> ''."""
    return module.split(".")[1] if "." in module else ""


def problems(package: Path, third_party: set[str]) -> list[str]:
    """Every broken rule of the tree at `package`, as 'file:line: what'; empty when all is well."""
    tree = Tree.read(package)
    return [
        *_unknown_rooms(tree),
        *_bad_arrows(tree),
        *_cycles(tree),
        *_bad_third_party(tree, third_party),
        *_torch_reached(tree),
    ]


def _unknown_rooms(tree: Tree) -> Iterator[str]:
    known = {r for tier in TIERS for r in tier} | {"", "__main__"}
    for name, file in tree.modules.items():
        if room(name) not in known:
            yield f"{file}: the room '{room(name)}' has no tier; give it one in TIERS"


def _bad_arrows(tree: Tree) -> Iterator[str]:
    height = {r: -n for n, tier in enumerate(TIERS) for r in tier} | {"__main__": 1}
    for name, file in tree.modules.items():
        here = room(name)
        for found in tree.imports[name]:
            there = room(found.target)
            if found.target.split(".")[0] != PACKAGE or here in ("", there) or here not in height:
                continue
            where = f"{file}:{found.line}: {name} -> {found.target}"
            if there.startswith("__") and there != "__main__":
                continue  # __version__ and the like cost nothing
            if there not in height:
                if found.target not in tree.modules:  # else its room is reported as unknown
                    yield f"{where}: import the module itself, not the package's public face"
            elif here not in (ONLY_FOR.get(there, here), "__main__"):
                yield f"{where}: only {ONLY_FOR[there] or 'the shell'} may import {there}"
            elif height[there] > height[here]:
                yield f"{where}: an arrow up, from {here} to {there}"
            elif height[there] == height[here] and not _excepted(name, found.target):
                yield f"{where}: {here} and {there} are of one tier and do not know each other"


def _excepted(name: str, target: str) -> bool:
    return any(f"{name}.".startswith(f"{a}.") and f"{target}.".startswith(f"{b}.") for a, b in EXCEPTIONS)


def _cycles(tree: Tree) -> Iterator[str]:
    state: dict[str, str] = {}

    def visit(name: str, path: list[str]) -> Iterator[str]:
        state[name] = "open"
        for module in sorted(tree.internal(name) - {PACKAGE}):
            if state.get(module) == "open":
                ring = [*path[path.index(module) :], module]
                yield f"{tree.modules[name]}: a cycle: {' -> '.join(ring)}"
            elif module not in state:
                yield from visit(module, [*path, module])
        state[name] = "done"

    for name in tree.modules:
        if name not in state and name != PACKAGE:
            yield from visit(name, [name])


def _bad_third_party(tree: Tree, allowed: set[str]) -> Iterator[str]:
    for name, file in tree.modules.items():
        for found in tree.imports[name]:
            top = found.target.split(".")[0]
            if found.target in APART:
                yield f"{file}:{found.line}: {name} -> {found.target}: it is run by another interpreter"
            elif name in APART:
                continue
            elif top in BASELINES_ONLY and (name not in BASELINES_ONLY[top] or not found.lazy):
                yield f"{file}:{found.line}: {name} -> {top}: only lazily, in {', '.join(BASELINES_ONLY[top])}"
            elif top in FORBIDDEN:
                yield f"{file}:{found.line}: {name} -> {top}: {FORBIDDEN[top]}"
            elif top not in allowed | sys.stdlib_module_names | {PACKAGE}:
                yield f"{file}:{found.line}: {name} -> {top}: not among the dependencies of pyproject.toml"


def _torch_reached(tree: Tree) -> Iterator[str]:
    for name in tree.modules:
        if room(name) in TORCH_ROOMS:
            continue
        may_be_lazy = room(name) in ("", "cli", "__main__")
        came_from = tree.reached(name, lazy=not may_be_lazy)
        for module in came_from:
            for found in tree.imports[module]:
                top = found.target.split(".")[0]
                if top in TORCH and not (may_be_lazy and found.lazy):
                    yield f"{tree.modules[name]}: {top} is reachable: {_chain(came_from, module)} -> {top}"


def _chain(came_from: dict[str, str], module: str) -> str:
    names = [module]
    while came_from[names[-1]]:
        names.append(came_from[names[-1]])
    return " -> ".join(reversed(names))


def declared_imports() -> set[str]:
    """The import names of every run-time dependency and of every extra but `dev`."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    extras = (names for extra, names in project["optional-dependencies"].items() if extra != "dev")
    requirements = [*project["dependencies"], *(name for names in extras for name in names)]
    names = {r.split(">")[0].split("=")[0].split("[")[0].split("<")[0].strip() for r in requirements}
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


def test_imports_point_down() -> None:
    found = problems(REPO / "src" / PACKAGE, declared_imports())
    assert not found, "\n" + "\n".join(found)


def test_light_rooms_start_without_torch() -> None:
    tree = Tree.read(REPO / "src" / PACKAGE)
    heavy = {*TORCH_ROOMS, "__main__"}
    light = [name for name in tree.modules if room(name) not in heavy and name not in APART]
    code = (
        "import importlib, sys\n"
        f"for name in {light!r}: importlib.import_module(name)\n"
        f"print(*sorted(set(sys.modules) & {TORCH!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"imported at the start: {done.stdout}"


SOUND_TREE = {
    "__init__.py": "def __getattr__(name):\n    from nearfield.catalogue.space import open_space\n",
    "errors.py": "class E(Exception): ...\n",
    "sound/mel.py": "import numpy\nfrom nearfield.errors import E\n",
    "data/track.py": "from nearfield.sound import mel\n",
    "model/embedder.py": "import torch\nfrom nearfield.sound.mel import E\n",
    "search/exact.py": "import numpy\n",
    "catalogue/pool.py": "import nearfield\nversion = nearfield.__version__\n",
    "catalogue/space.py": "from nearfield import __version__\nfrom nearfield.search.exact import numpy\n",
    "train/loop.py": "import torch\nfrom ..model import embedder\nfrom nearfield.study.metrics import r\n",
    "study/metrics.py": "from nearfield.search import exact\n",
    "config.py": "from nearfield.train.loop import torch\n",
    "cli.py": "def train():\n    from nearfield.config import t\n    from nearfield.train.loop import t\n",
}

BAD = {
    "up": ("sound/mel.py", "from nearfield.data.track import Track", "an arrow up, from sound to data"),
    "up, lazily": (
        "errors.py",
        "def f():\n    import nearfield.sound.mel",
        "an arrow up, from errors to sound",
    ),
    "up, relative": ("sound/mel.py", "from ..data import track", "an arrow up, from sound to data"),
    "sibling": ("data/track.py", "from nearfield.model import embedder", "data and model are of one tier"),
    "exception is for one module": ("catalogue/embed.py", "import nearfield.search.exact", "are of one tier"),
    "siblings the other way": ("search/exact.py", "import nearfield.catalogue.space", "are of one tier"),
    "the command line": ("app/server.py", "from nearfield.cli import train", "only the shell may import cli"),
    "the configuration": ("train/loop.py", "from nearfield import config", "only cli may import config"),
    "the public face, whole": ("study/a.py", "import nearfield\nnearfield.load_model()", "public face"),
    "the public face": (
        "study/metrics.py",
        "from nearfield import open_space",
        "not the package's public face",
    ),
    "cycle": ("sound/audio.py", "from nearfield.sound import audio", "a cycle"),
    "torch": ("search/exact.py", "import torch.nn", "torch is reachable: nearfield.search.exact -> torch"),
    "torch, lazily": ("search/exact.py", "def f():\n    import torch", "torch is reachable"),
    "torch, through another room": (
        "study/probes.py",
        "def f():\n    from nearfield.model.embedder import torch",
        "torch is reachable: nearfield.study.probes -> nearfield.model.embedder -> torch",
    ),
    "torch when the command line starts": (
        "cli.py",
        "import nearfield.train.loop",
        "cli.py: torch is reachable",
    ),
    "onnx": ("catalogue/embed.py", "from onnx import helper", "onnx is reachable"),
    "licence": ("data/tags.py", "import mutagen.id3", "nearfield.data.tags -> mutagen: GPL"),
    "pickle": ("model/checkpoint.py", "import pickle", "no pickle anywhere"),
    "by name": ("sound/a.py", "import importlib\nm = importlib.import_module('madmom')", "madmom"),
    "undeclared": ("data/fetch.py", "import requests", "requests: not among the dependencies"),
    "a baseline's library elsewhere": ("sound/key.py", "def f():\n    import librosa", "librosa: only lazily, in"),
    "a baseline's library, not lazily": (
        "study/embedding/bliss.py",
        "import bliss_audio",
        "bliss_audio: only lazily, in",
    ),
    "what another interpreter runs": (
        "study/embedding/opening.py",
        "import nearfield.study.embedding.musicnn_worker",
        "it is run by another interpreter",
    ),
    "unknown room": ("utils.py", "", "the room 'utils' has no tier"),
}


def _write(folder: Path, files: dict[str, str]) -> Path:
    package = folder / PACKAGE
    for name, text in files.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if file.parent != package:
            (file.parent / "__init__.py").touch()
    return package


def test_a_sound_tree_passes(tmp_path: Path) -> None:
    assert problems(_write(tmp_path, SOUND_TREE), {"numpy", "torch"}) == []


@pytest.mark.parametrize(("file", "line", "message"), BAD.values(), ids=BAD)
def test_a_bad_arrow_is_found(tmp_path: Path, file: str, line: str, message: str) -> None:
    package = _write(tmp_path, SOUND_TREE | {file: SOUND_TREE.get(file, "") + line + "\n"})
    found = problems(package, {"numpy", "torch", "onnx"})
    assert any(message in problem and Path(file).name in problem for problem in found), found


def test_a_cycle_is_named_whole(tmp_path: Path) -> None:
    ring = {
        "data/a.py": "import nearfield.data.b",
        "data/b.py": "import nearfield.data.c",
        "data/c.py": "def f():\n    import nearfield.data.a",
    }
    (found,) = problems(_write(tmp_path, SOUND_TREE | ring), {"numpy", "torch"})
    whole = "nearfield.data.a -> nearfield.data.b -> nearfield.data.c -> nearfield.data.a"
    assert found.endswith(whole)
