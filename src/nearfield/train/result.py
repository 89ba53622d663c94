"""What a study keeps of a finished run: its weights in float16, and its figures as JSON. Fields: docs/formats.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nearfield.model.checkpoint import load_checkpoint, load_provenance, writing
from nearfield.model.half import save_half
from nearfield.train.keep import replace_text
from nearfield.train.plan import Planned
from nearfield.train.settings import TrainConfig
from nearfield.train.standing import metric_lines

FORMAT = 1
POINTS = 40  # of the curve
ORIGIN = ("command", "commit", "nearfield", "torch", "date", "corpus", "corpus_hash")


def result_files(folder: Path, run: Planned) -> tuple[Path, Path]:
    """Of weights and figures, in the folder of a study."""
    return folder / "runs" / f"{run.name}.safetensors", folder / "runs" / f"{run.name}.json"


def keep_result(folder: Path, run: Planned, config: TrainConfig, out: Path) -> bool:
    """Write both files from the finished run in `out`; False where they are of this very run already.

    Raises ModelError where they cannot be written, or float16 does not hold the weights.
    """
    weights, figures = result_files(folder, run)
    provenance = load_provenance(out / "last.safetensors")
    told = {**_figures(run, config, list(metric_lines(out))), "seconds": provenance["seconds"]}
    origin = {k: provenance[k] for k in ORIGIN if k in provenance}
    if weights.exists() and figures.exists():
        there = json.loads(figures.read_text("utf-8"))
        if all(there.get(k) == v for k, v in _plain({**told, "provenance": origin}).items()):
            return False
    embedder = load_checkpoint(out / "last.safetensors").embedder
    half = save_half(weights, embedder, {**origin, "train": asdict(config), "step": config.steps})
    kept = {"file": weights.name, "bytes": half.bytes, "largest_distance": half.largest_distance}
    with writing(figures):
        replace_text(figures, json.dumps({**told, "weights": kept, "provenance": origin}, indent=1) + "\n")
    return True


def digest(config: TrainConfig) -> str:
    """16 hex digits of every setting but the seed: runs that may be compared as seeds of one variant."""
    settings = {k: v for k, v in asdict(config).items() if k != "seed"}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _figures(run: Planned, config: TrainConfig, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    looks = [{"step": line["step"] + 1, "corpora": line["watched"]} for line in lines if "watched" in line]
    return {
        "format": FORMAT,
        "variant": run.variant,
        "seed": run.seed,
        "steps": config.steps,
        "config": digest(config),
        "validation": looks[-1]["corpora"] if looks else {},
        "whitened": lines[-1].get("whitened", {}) if lines else {},
        "looks": looks,
        "curve": _curve([float(line["loss"]) for line in lines]),
    }


def _curve(losses: Sequence[float]) -> list[dict[str, float]]:
    """Mean losses of at most POINTS stretches of steps; `step` is the last of each."""
    width = max(1, -(-len(losses) // POINTS))
    parts = [losses[i : i + width] for i in range(0, len(losses), width)]
    ends = [min(width * (i + 1), len(losses)) for i in range(len(parts))]
    return [{"step": end, "loss": round(sum(part) / len(part), 4)} for end, part in zip(ends, parts, strict=True)]


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain
