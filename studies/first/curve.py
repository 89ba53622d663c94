"""Put a run's curve into results/river.json (section "training") and draw it.

    python studies/first/curve.py runs/compact
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import write_section  # noqa: E402

from nearfield.model.checkpoint import load_checkpoint  # noqa: E402

POINTS = 20


def main() -> int:
    out = Path(sys.argv[1])
    lines = {}
    for text in (out / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        lines[line["step"]] = line  # a step repeated after an interruption counts once
    steps = [lines[n] for n in sorted(lines)]
    origin = load_checkpoint(out / "last.safetensors").provenance
    size = max(1, len(steps) // POINTS)
    blocks = [steps[n : n + size] for n in range(0, len(steps), size)]
    curve = [[b[-1]["step"] + 1, round(sum(s["loss"] for s in b) / len(b), 4)] for b in blocks]
    looked = [
        [s["step"] + 1, *(round(s[k], 4) for k in ("recall_at_1", "within_recall_at_1", "stretch_shift"))]
        for s in steps
        if "recall_at_1" in s
    ]
    content = {
        "command": origin["command"],
        "commit": origin["commit"],
        "date": origin["date"],
        "seed": origin["train"]["seed"],
        "machine": origin["machine"],
        "seconds": steps[-1]["seconds"],
        "steps": origin["step"],
        "curve": curve,
        "validation": looked,
    }
    write_section("training", content)
    for row in curve:
        print(f"step {row[0]:5d}  loss {row[1]:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
