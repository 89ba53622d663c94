"""An encoder whose weights are random: what an architecture brings without having heard anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nearfield.model.embedder import Embedder, EmbedderConfig
from nearfield.model.export import Exported, export_embedder
from nearfield.records import build


def export_untrained(out: Path, config: Mapping[str, Any], seed: int) -> Exported:
    """Write `out` from an embedder of this configuration as training would begin with it, at this seed.

    All is as in a trained model but what training sets: the weights, and the maps of the output's parts, which are fitted on
    training tracks when it ends (train/whiten.py). Until then a map changes nothing, or is a random projection. The state of
    torch's own generator is left alone. Raises ConfigError for a configuration that is not known here.
    """
    found = build(EmbedderConfig, config, "an untrained encoder")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedder = Embedder(found).eval()
    return export_embedder(embedder, out, "untrained", "Apache-2.0", {"untrained": True, "seed": seed})
