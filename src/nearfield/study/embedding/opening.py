"""Any embedding of a catalogue, told apart by what is given, as vectors of the catalogue's tracks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield import pool
from nearfield.catalogue.embed import IndexProgress, index_manifest
from nearfield.catalogue.encoder import SHIPPED, Encoder, find_model, load_model
from nearfield.catalogue.slices import DEFAULT_SLICES, Slices
from nearfield.catalogue.space import Space, open_space
from nearfield.data.manifest import Manifest
from nearfield.errors import AuditError, Failure, ModelError, readable
from nearfield.study.embedding import musicnn
from nearfield.study.embedding.baselines import BASELINES, Baseline, Raw
from nearfield.study.embedding.hear import load_hear
from nearfield.study.embedding.heard import Heard, Tell, hear_all
from nearfield.study.embedding.rows import LeftOut, Matched, Rows, matched
from nearfield.study.embedding.vector_files import read_npz, read_parquet
from nearfield.study.metrics import Vectors

Embed = Callable[[npt.ArrayLike, float], Vectors]

_KNOWN = (
    "give a SPACE folder, a file of vectors (.npz, .parquet), a model (.onnx), a module with HEAR's functions "
    f"(module:NAME, or FILE.py), or one of {', '.join((*BASELINES, 'untrained', 'musicnn'))}"
)
_UNTRAINED = "name it on the command line, or give Reading a function that writes it"
_SEED = re.compile(r"^untrained(?::(?P<seed>[0-9]{1,9}))?$")
_MUSICNN = re.compile(r"^musicnn(?::(?P<python>.+))?$")
_HEAR_FILE = re.compile(r"^(?P<module>.+\.py)(?::(?P<weights>.*))?$")
_HEAR_NAME = re.compile(r"^module:(?P<module>[^:]+)(?::(?P<weights>.*))?$")
_NAMED = re.compile(r"^(?P<name>[^=/]+)=(?P<given>.+)$")


@dataclass(frozen=True, eq=False)
class Embedding:
    """Vectors (N, D) of a catalogue's tracks, rows as `ids`, in the catalogue's order; not scaled to length 1.

    `kind` is space, vectors, model, hear or baseline. `embed` maps samples (n,) or (n, channels) at a rate in Hz to (D,), as
    the vectors were made; None where only vectors are there. `digest` names what maps sound to vectors, or, where `embed`
    is None, the vectors themselves. `left_out` lists tracks that are not judged and rows of no track.
    """

    name: str
    kind: str
    path: str
    ids: tuple[str, ...]
    vectors: Vectors
    embed: Embed | None
    digest: str
    left_out: tuple[LeftOut, ...]

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])


@dataclass(frozen=True)
class Reading:
    """How files are heard where that is needed: where finished ones are kept, slices a track, processes, who is told.

    `untrained` writes the shipped model's architecture with random weights of a seed to a path: torch, which does that, is not
    for this room.
    """

    cache: Path | None = None
    slices: Slices = DEFAULT_SLICES
    workers: int | None = None
    tell: Tell | None = None
    untrained: Callable[[Path, int], None] | None = None


def open_embedding(given: str | Path, manifest: Manifest, how: Reading | None = None) -> Embedding:
    """The embedding that `given` means, of the manifest's tracks; `NAME=GIVEN` calls it NAME.

    A SPACE folder; vectors in .npz or .parquet; a model file (.onnx), `nearfield` for the shipped one or `untrained` for its
    architecture with random weights (`untrained:SEED`); a module with HEAR's functions, `module:NAME` or `FILE.py`, its weights
    after a further colon; one of BASELINES; `musicnn:PYTHON`, an interpreter that has it, or `musicnn` where all is kept. All
    but the first two hear the manifest's files; with `how.cache` a file that was heard once is not heard again.

    Raises AuditError (rows.py says when), SpaceError and ModelError.
    """
    name, given = named(os.fspath(given))
    found = _open(given, manifest, how or Reading())
    return replace(found, name=readable(name)) if name else found


def named(text: str) -> tuple[str, str]:
    """The name and what is given of `NAME=GIVEN`; "" and the text where it has no name, or is a path that is there."""
    found = None if os.path.exists(os.path.expanduser(text)) else _NAMED.match(text)
    return (found["name"], found["given"]) if found else ("", text)


def _open(given: str, manifest: Manifest, how: Reading) -> Embedding:
    path = Path(os.path.expanduser(given))
    if path.is_dir():
        return _of_space(path, manifest)
    if path.suffix in (".npz", ".parquet"):
        return _of_file(path, manifest)
    if path.suffix == ".onnx" or (given == SHIPPED and not path.exists()):
        return _of_model(given if given == SHIPPED else str(path), manifest, how)
    if hear := _HEAR_NAME.match(given) or _HEAR_FILE.match(os.path.expanduser(given)):
        return _of_hear(hear["module"], hear["weights"] or "", manifest, how)
    if given in BASELINES:
        return _of_baseline(given, manifest, how)
    if untrained := _SEED.match(given):
        return replace(_of_untrained(int(untrained["seed"] or 0), manifest, how), name=given)
    if musicnn := _MUSICNN.match(given):
        return _of_musicnn(musicnn["python"] or "", manifest, how)
    raise AuditError(readable(given), "is no embedding that is known, or is not there", _KNOWN)


def _embedding(name: str, kind: str, path: str, found: Matched, embed: Embed | None, digest: str) -> Embedding:
    return Embedding(readable(name), kind, readable(path), found.ids, found.vectors, embed, digest, found.left_out)


def _of_space(folder: Path, manifest: Manifest) -> Embedding:
    space = open_space(folder)
    embed: Embed | None = None
    with contextlib.suppress(ModelError):  # the vectors are there all the same
        embed = _embedder(find_model(space.meta.model_digest, space.meta.model_path), _slices(space))
    found = _matched_space(space, manifest, space.meta.failures)
    digest = space.meta.id if embed is not None else _digest(found)
    return _embedding(space.meta.model, "space", str(folder), found, embed, digest)


def _matched_space(space: Space, manifest: Manifest, failures: tuple[Failure, ...]) -> Matched:
    cause_of = {f.path: f.cause for f in failures}
    causes = {t.id: cause_of.get(readable(os.path.abspath(manifest.locate(t))), "has no vector") for t in manifest}
    rows = Rows((tuple(t.path for t in space.tracks), tuple(t.id for t in space.tracks)), np.asarray(space.vectors))
    return matched(rows, manifest, readable(space.folder), causes)


def _slices(space: Space) -> Slices:
    return "all" if space.meta.slices == "all" else int(space.meta.slices)


def _embedder(encoder: Encoder, slices: Slices) -> Embed:
    return lambda samples, rate_hz: encoder.embed(samples, rate_hz, slices)


def _of_file(path: Path, manifest: Manifest) -> Embedding:
    rows = read_npz(path) if path.suffix == ".npz" else read_parquet(path)
    found = matched(rows, manifest, readable(path))
    return _embedding(path.stem, "vectors", str(path), found, None, _digest(found))


def _of_model(given: str, manifest: Manifest, how: Reading) -> Embedding:
    """The catalogue indexed with the model, in a SPACE among what is kept: only what is new there is heard."""
    encoder = load_model(given)

    def tell(step: IndexProgress) -> None:
        if how.tell is not None:
            how.tell(step.done, step.total, step.failed)

    with tempfile.TemporaryDirectory() as passing:
        place = (Path(passing) if how.cache is None else how.cache) / "models.space"
        place.parent.mkdir(parents=True, exist_ok=True)
        result = index_manifest(manifest, place, encoder, how.slices, how.workers, progress=tell)
        space = open_space(place, result.space_id)
        found = _matched_space(space, manifest, result.failures)  # a copy: the folder may go
    return _embedding(encoder.name, "model", encoder.path, found, _embedder(encoder, how.slices), result.space_id)


def _of_untrained(seed: int, manifest: Manifest, how: Reading) -> Embedding:
    """A file of its own for each seed and shipped model, written once; without a cache it goes when all is heard."""
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(passing) if how.cache is None else how.cache
        model = folder / f"untrained-{seed}-{load_model().digest}.onnx"
        if not model.exists():
            if how.untrained is None:
                raise AuditError("untrained", "its weights are made with torch, which is not used here", _UNTRAINED)
            how.untrained(model, seed)
        return _of_model(str(model), manifest, how)


def _of_musicnn(python: str, manifest: Manifest, how: Reading) -> Embedding:
    kept = _kept(how, musicnn.NAME)
    if not python and (kept is None or not kept.exists()):
        raise AuditError(musicnn.NAME, "no vectors of it are kept, and no interpreter is named", musicnn.REMEDY)
    model = musicnn.Musicnn(os.path.expanduser(python))
    heard = hear_all(manifest, model.of_file, kept, 0, how.tell, model.begin)
    if absent := [id for id, cause in heard.causes.items() if cause == musicnn.NO_INTERPRETER]:
        cause = f"{len(absent)} tracks ({readable(absent[0])}, ...) have no vector kept, and no interpreter is named"
        raise AuditError(musicnn.NAME, cause, musicnn.REMEDY)
    found = matched(_rows_of(heard, musicnn.NAME), manifest, musicnn.NAME, heard.causes)
    embed, digest = (model.embed, musicnn.digest()) if python else (None, _digest(found))
    return _embedding(musicnn.NAME, "baseline", python or musicnn.NAME, found, embed, digest)


def _of_hear(module: str, weights: str, manifest: Manifest, how: Reading) -> Embedding:
    model = load_hear(module, weights)
    heard = hear_all(manifest, model.of_file, _kept(how, f"hear-{model.digest}"), 0, how.tell)
    found = matched(_rows_of(heard, model.subject), manifest, model.subject, heard.causes)
    name = Path(module).stem if module.endswith(".py") else module
    return _embedding(name, "hear", module, found, model.embed, model.digest)


def _of_baseline(name: str, manifest: Manifest, how: Reading) -> Embedding:
    raw = Raw(name)
    raw.check()
    workers = pool.cores() if how.workers is None else how.workers
    heard = hear_all(manifest, raw.of_file, _kept(how, name), workers, how.tell)
    found = matched(_rows_of(heard, name), manifest, name, heard.causes)
    made = Baseline(raw, found.vectors)
    judged = replace(found, vectors=made.vectors)
    return _embedding(name, "baseline", name, judged, made.embed, made.digest)


def _kept(how: Reading, name: str) -> Path | None:
    return None if how.cache is None else how.cache / f"{name}.journal"


def _rows_of(heard: Heard, subject: str) -> Rows:
    sizes = sorted({len(v) for v in heard.vectors.values()})
    if len(sizes) > 1:
        raise AuditError(subject, f"gives vectors of unequal length ({sizes})", "make it give one number of dimensions")
    if not sizes:
        first, cause = next(iter(heard.causes.items()), ("", "it names no tracks"))
        cause = f"none of the catalogue's files could be heard ({readable(first)}: {cause})"
        raise AuditError(subject, cause, "check the manifest's paths, and the files")
    return Rows((tuple(heard.vectors),), np.stack(list(heard.vectors.values())))


def _digest(found: Matched) -> str:
    """16 hex digits of the vectors and what they are called."""
    total = hashlib.sha256("\n".join(found.ids).encode("utf-8", "surrogateescape"))
    total.update(np.ascontiguousarray(found.vectors, "<f4").tobytes())
    return total.hexdigest()[:16]
