"""Modules with the functions of HEAR 2021 (Turian et al., arXiv 2203.03022, section 3.2): anyone's embedding of sound.

A module has `load_model(path) -> model` and `get_scene_embeddings(audio, model)`, of (n_sounds, n_samples) at
`model.sample_rate`, to (n_sounds, D). Deviations: a track is not given whole but as the slices that a SPACE is made of, 8
of 3 s, in one batch, and the unit vectors of its slices are averaged; `sample_rate` may also stand in the module.

Naming a module runs its code, as importing it anywhere does.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.catalogue.slices import DEFAULT_SLICES, Cutter, Excerpt, pooled
from nearfield.errors import AudioError, ModelError, readable
from nearfield.sound.mel import MelConfig
from nearfield.study.embedding.heard import Vector, excerpts_of_file, excerpts_of_samples

_FUNCTIONS = ("load_model", "get_scene_embeddings")
_FRAMES_PER_S = 100
_SLICE_FRAMES = 300
_SEE = "give a module with HEAR's load_model(path), get_scene_embeddings(audio, model) and sample_rate"


@dataclass(frozen=True, eq=False)
class HearModel:
    """A loaded module. `torch` is the library its arrays are given in, None for numpy."""

    subject: str
    module: ModuleType
    model: Any
    rate_hz: int
    digest: str
    torch: Any

    @property
    def _cutter(self) -> Cutter:
        # no spectrum is taken here: a window of 0 cuts excerpts without a margin
        mel = MelConfig(rate_hz=self.rate_hz, hop=self.rate_hz // _FRAMES_PER_S, window=0)
        return Cutter(mel, _SLICE_FRAMES, DEFAULT_SLICES)

    def of_file(self, path: str) -> Vector:
        """(D,) unit vector of a sound file; AudioError when it cannot be heard."""
        return self._pooled(readable(path), excerpts_of_file(path, self._cutter))

    def embed(self, samples: npt.ArrayLike, rate_hz: float) -> Vector:
        """(D,) unit vector of a waveform, mono (n,) or (n, channels)."""
        return self._pooled("samples", excerpts_of_samples(samples, rate_hz, self._cutter))

    def _pooled(self, subject: str, excerpts: Sequence[Excerpt]) -> Vector:
        length = _SLICE_FRAMES * self._cutter.mel.hop
        batch = np.zeros((len(excerpts), length), np.float32)  # the last slice may lack a part of a frame
        for row, excerpt in zip(batch, excerpts, strict=True):
            row[: excerpt.samples.size] = excerpt.samples[:length]
        try:
            return pooled([self.scenes(batch)])
        except ValueError as error:
            raise AudioError(subject, f"{self.subject} cannot embed it: {error}", "leave it out") from error

    def scenes(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(S, n) mono sounds at `rate_hz` -> (S, D); ModelError when the module answers otherwise."""
        if self.torch is None:
            answer = self.module.get_scene_embeddings(audio, self.model)
        else:
            with self.torch.no_grad():
                answer = self.module.get_scene_embeddings(self.torch.from_numpy(audio), self.model)
            if hasattr(answer, "detach"):
                answer = answer.detach().cpu().numpy()
        found = np.asarray(answer)
        if found.ndim != 2 or len(found) != len(audio) or found.shape[1] == 0 or found.dtype.kind not in "fiu":
            cause = f"gives {found.dtype} of shape {found.shape} for {len(audio)} sounds"
            raise ModelError(self.subject, cause, f"make get_scene_embeddings give ({len(audio)}, D) numbers")
        return found.astype(np.float32)


def load_hear(given: str, weights: str = "") -> HearModel:
    """A module by its file (`.py`) or by its name, its model loaded from `weights`.

    Sounds are given as torch tensors where the module or its model is made of torch: where the module's namespace holds
    torch or anything of torch's, or the model is a class of torch's or derived from one. Else they are numpy arrays.
    Raises ModelError naming what is missing.
    """
    module = _module(given)
    subject = readable(given)
    missing = [name for name in _FUNCTIONS if not callable(getattr(module, name, None))]
    if missing:
        raise ModelError(subject, f"lacks {' and '.join(missing)}", _SEE)
    try:
        model = module.load_model(weights)
    except (Exception, SystemExit) as error:  # whatever the module's own code raises, or ends by
        cause = f"load_model({weights!r}) failed ({type(error).__name__}: {error})"
        raise ModelError(subject, cause, "name its weights as MODULE:WEIGHTS, or correct the module") from error
    rate_hz = getattr(model, "sample_rate", getattr(module, "sample_rate", None))
    if not isinstance(rate_hz, int | float) or not 1000 <= rate_hz <= 1_000_000:
        raise ModelError(subject, f"its model's sample_rate is {rate_hz!r}", _SEE)
    torch = sys.modules.get("torch") if _made_of_torch(module, model) else None
    return HearModel(subject, module, model, int(rate_hz), _digest(module, weights), torch)


def _module(given: str) -> ModuleType:
    subject = readable(given)
    try:
        if not given.endswith(".py"):
            return importlib.import_module(given)
        name = f"nearfield_heard_{hashlib.sha256(given.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
        spec = importlib.util.spec_from_file_location(name, given)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # as an import does: dataclasses in it look themselves up there
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the module's own code raises, or ends by
        cause = f"cannot be imported ({type(error).__name__}: {error})"
        raise ModelError(subject, cause, "install what it needs, or correct its name") from error
    return module


def _made_of_torch(module: ModuleType, model: Any) -> bool:
    held = list(vars(module).values())
    owners = [v.__name__ if isinstance(v, ModuleType) else getattr(v, "__module__", "") for v in held]
    owners += [kind.__module__ for kind in type(model).__mro__]
    return any(str(owner).split(".")[0] == "torch" for owner in owners)


def _digest(module: ModuleType, weights: str) -> str:
    """16 hex digits of the module's file and the weights' (not of what it imports)."""
    total = hashlib.sha256()
    for place in (module.__file__, weights):
        total.update(Path(place).read_bytes() if place and Path(place).is_file() else str(place).encode())
    return total.hexdigest()[:16]
