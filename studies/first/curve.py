"""Put a run's curve into results/river.json (section "training").

    python studies/first/curve.py runs/compact

What was seen of the validation tracks while training is of parts not yet whitened; `whitened` is the same of the model as
exported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import write_section

from nearfield.model.checkpoint import load_checkpoint

POINTS = 20


def main() -> int:
    out = Path(sys.argv[1])
    lines = {}
    for text in (out / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        lines[line["step"]] = line  # a step repeated after an interruption counts once
    steps = [lines[n] for n in sorted(lines)]
    size = max(1, len(steps) // POINTS)
    blocks = [steps[n : n + size] for n in range(0, len(steps), size)]

    origin = load_checkpoint(out / "last.safetensors").provenance
    looked = [[s["step"] + 1, *numbers(s["watched"])] for s in steps if "watched" in s]
    whitened = numbers(steps[-1]["whitened"])
    content = {
        "command": origin["command"],
        "commit": origin["commit"],
        "date": origin["date"],
        "seed": origin["train"]["seed"],
        "machine": origin["machine"],
        "seconds": steps[-1]["seconds"],
        "steps": origin["step"],
        "curve": [[b[-1]["step"] + 1, round(sum(s["loss"] for s in b) / len(b), 4)] for b in blocks],
        "validation": looked,
        "whitened": whitened,
    }
    write_section("training", content)
    print(json.dumps(content, indent=1))
    return 0


def numbers(watched: Mapping[str, Mapping[str, float]]) -> list[float]:
    """Of the one corpus that was trained on."""
    (seen,) = watched.values()
    return [round(seen[k], 4) for k in ("recall_at_1", "within_recall_at_1", "stretch_shift")]


if __name__ == "__main__":
    raise SystemExit(main())
