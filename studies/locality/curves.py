"""Validation curves of several runs as one picture.

    python studies/locality/curves.py OUT.png RUN [RUN ...]

Needs matplotlib. One panel a measure, one line a run and corpus, read from each run's metrics.jsonl.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

PANELS = {
    "loss": "NT-Xent loss (mean of 20 steps)",
    "recall_at_1": "same track, recall@1",
    "stretch_shift": "stretch by 1.25, of random distance",
    "transpose_shift": "2 semitones, of random distance",
    "tempo_locality": "tempo locality",
    "key_locality": "key locality",
    "style_locality": "style locality",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "rank_me": "RankMe",
}
STYLES = {"games": "--", "grooves": "-"}


def main() -> int:
    out, runs = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    figure, axes = plt.subplots(2, 5, figsize=(19, 7.5), sharex=True, constrained_layout=True)
    for number, run in enumerate(runs):
        lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        for panel, axis in zip(PANELS, axes.flat, strict=True):
            if panel == "loss":
                blocks = [lines[i : i + 20] for i in range(0, len(lines), 20)]
                steps = [block[-1]["step"] + 1 for block in blocks]
                axis.plot(steps, [sum(x["loss"] for x in b) / len(b) for b in blocks], color=f"C{number}")
                continue
            for corpus, style in STYLES.items():
                seen = [(x["step"] + 1, x["watched"][corpus]) for x in lines if corpus in x.get("watched", {})]
                points = [(step, w[panel]) for step, w in seen if panel in w]
                if points:
                    label = f"{run.name}, {corpus}"
                    axis.plot(*zip(*points, strict=True), style, color=f"C{number}", marker=".", label=label)
    for title, axis in zip(PANELS.values(), axes.flat, strict=True):
        axis.set_title(title)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("step")
    figure.legend(*axes.flat[1].get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=8)
    figure.savefig(out, dpi=100)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
