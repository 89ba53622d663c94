"""Write the model card beside the shipped weights, from the model's own metadata, the corpus's facts and the results.

    python scripts/make_card.py [--check]

With --check nothing is written: the exit code is 1 when the card differs from what would be written.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from nearfield import load_model
from nearfield.data.games import games_tracks

REPO = Path(__file__).resolve().parent.parent
WEIGHTS = REPO / "src" / "nearfield" / "weights"
CARD = WEIGHTS / "nearfield.md"


def card() -> str:
    """The whole text."""
    model = load_model(WEIGHTS / "nearfield.onnx")
    origin = model.metadata["provenance"]
    results = json.loads((REPO / "results" / "river.json").read_text())
    tracks = [t for t in games_tracks("full") if t.split != "held-out"]
    hours = sum(t.duration_s or 0 for t in tracks) / 3600
    size = (WEIGHTS / "nearfield.onnx").stat().st_size / 1e6
    return "\n".join(
        [
            "# Model card: nearfield",
            "",
            f"`nearfield.onnx`, {size:.1f} MB, SHA-256 begins `{model.digest}`. The compact encoder of "
            "[model/compact.py](../model/compact.py): 3-second log-mel slices in, "
            f"{model.dimensions} dimensions out. The settings of its front end are in the file.",
            "",
            "**For** finding similar music and making playlists. **Not for** telling who made a recording, what genre it is,",
            "or anything about people; those questions have not been tested.",
            "",
            "**Licence of the weights**: Apache-2.0.",
            "",
            "## Training",
            "",
            f"- Music: the soundtracks of free games, {len(tracks)} tracks ({hours:.1f} h) of the `games` corpus. A tenth of the",
            "  artists chose between settings and was not trained on; 119 further tracks were held out for the figures below.",
            f"- Command: `{origin['command']}`, commit {origin['commit']}, {origin['date']},",
            f"  corpus hash `{origin['corpus_hash']}`, seed {origin['train']['seed']},",
            f"  {origin['step']} steps of {origin['train']['batch_pairs']} pairs, torch {origin['torch']}.",
            f"- Settings: `{json.dumps(origin['train']['augment'])}`,",
            f"  learning rate {origin['train']['learning_rate']}, temperature {origin['train']['temperature']}.",
            "",
            "## Figures",
            "",
            *_figures(results.get("halves")),
            "",
            "## Limits",
            "",
            "- Game music: orchestral, electronic, chip and ambient pieces, almost without vocals. Music unlike it may be placed",
            "  by recording quality more than by anything a listener cares for.",
            "- The model keeps tempo, key and equalisation (augmentations were shared by the two slices of a pair), so tracks of",
            "  one album, mastered alike, attract each other.",
            *_recordings(results.get("recordings")),
            "- One seed, one training; no label of genre, mood or instrument was used to train or to judge it.",
            "",
            "## What it was trained on",
            "",
            "| package | tracks | licences |",
            "|---|---|---|",
            *_packages(tracks),
            "",
        ]
    )


def _figures(halves: dict[str, Any] | None) -> list[str]:
    if halves is None:
        return ["Not measured yet."]
    rows = [r for r in halves["rows"] if r["metric"] == "recall@1"]
    table: dict[str, dict[str, str]] = defaultdict(dict)
    for r in rows:
        table[r["method"]][r["candidates"]] = f"{r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]"
    return [
        f"Same-track retrieval on {halves['n_tracks']} held-out tracks: does one half of a piece find the other? Recall@1 with",
        f"95 % bootstrap intervals over tracks; `{halves['command']}`, commit {halves['commit']}, {halves['date']}.",
        "",
        "| | among all | within its package |",
        "|---|---|---|",
        *[f"| {method} | {found['all']} | {found['same package']} |" for method, found in table.items()],
    ]


def _recordings(section: Any) -> list[str]:
    """How near a track stays when it is encoded anew."""
    if section is None:
        return []
    found = {f["name"]: f for f in section["figures"]}
    suffix = ": median cosine with itself"
    said = [f"{n.removesuffix(suffix)} {f['value']:.2f}" for n, f in found.items() if n.endswith(suffix)]
    n = section["settings"]["tracks"]
    return [
        f"- It hears the codec: {n} tracks encoded anew have these median cosines with themselves: {', '.join(said)}",
        f"  (`{section['command']}`).",
    ]


def _packages(tracks: list[Any]) -> list[str]:
    counts = Counter(t.package for t in tracks)
    licences: dict[str, set[str]] = defaultdict(set)
    for t in tracks:
        licences[t.package].add(t.licence or "not stated")
    return [f"| {p} | {n} | {'; '.join(sorted(licences[p]))} |" for p, n in sorted(counts.items())]


def main() -> int:
    text = card()
    if sys.argv[1:] == ["--check"]:
        same = CARD.exists() and CARD.read_text("utf-8") == text
        print("the model card is up to date" if same else "the model card is out of date: python scripts/make_card.py")
        return 0 if same else 1
    CARD.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
