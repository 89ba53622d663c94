"""What a run is told: the fields of its TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nearfield.model.embedder import EmbedderConfig
from nearfield.train.feed import Augment
from nearfield.train.optimise import OPTIMISERS


@dataclass(frozen=True)
class TrainConfig:
    """One run. Times are in seconds.

    `batch_pairs` is what all processes share; `micro_batch_pairs` is how many of its own a process encodes at a time (0:
    all). `optimiser` is one of OPTIMISERS, `momentum` is that of lars. `adaptive_clip` is the limit of a unit's gradient
    in lengths of its weights, `ema_decay` that of the weights' moving average; 0 is without. `keep_checkpoints` are kept.

    `weights`: the share of each corpus in a batch, by its name, where several are trained on (1 where not given).
    `same_package_share`, `same_tempo_share`: how much of each corpus' share comes from one package, or is of nearly one
    tempo (data/pairs.py). Validation is every `watch_every_s`, or every `watch_every_steps` where that is above 0.
    `part_dropout`: the share of steps in which one learned part of the encoder, another each time, is hidden from the
    projector, so that the rest has to tell tracks apart without it: what one part solves alone is else never learned by
    the others (feature suppression: Chen, Luo and Li, arXiv 2011.02803). The remedy is ours.
    `tensorboard` writes events for TensorBoard into the run's folder too.
    """

    model: EmbedderConfig = field(default_factory=EmbedderConfig)
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    steps: int = 2000
    batch_pairs: int = 256
    micro_batch_pairs: int = 0
    min_apart_s: float = 3.0
    max_apart_s: float = 8.0
    same_package_share: float = 0.0
    same_tempo_share: float = 0.0
    part_dropout: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 0.1
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    optimiser: str = "adamw"
    momentum: float = 0.9
    adaptive_clip: float = 0.0
    ema_decay: float = 0.0
    bf16: bool = True
    validation_share: float = 0.1
    watch_every_s: float = 240.0
    watch_every_steps: int = 0
    checkpoint_every_s: float = 120.0
    keep_checkpoints: int = 1
    tensorboard: bool = False
    ram_budget_gb: float = 8.0

    def __post_init__(self) -> None:
        above = (
            "steps",
            "batch_pairs",
            "temperature",
            "learning_rate",
            "clip_norm",
            "ram_budget_gb",
            "keep_checkpoints",
        )
        for name in above:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("micro_batch_pairs", "adaptive_clip", "watch_every_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("momentum", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 <= self.part_dropout <= 1:
            raise ValueError(f"part_dropout must be in 0..1, got {self.part_dropout}")
        if self.part_dropout and len(self.model.encoder.learned_parts) < 2:
            raise ValueError("part_dropout needs an encoder of two learned parts: of one there is nothing left")
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser must be one of {', '.join(OPTIMISERS)}, got {self.optimiser!r}")
        if self.model.projector is None:
            raise ValueError("model.projector is needed: the loss is taken behind it")
        if self.batch_pairs < 2:
            raise ValueError("batch_pairs must be at least 2: other pairs are what a pair is told from")
        if not 0 <= self.min_apart_s <= self.max_apart_s:
            raise ValueError(f"min_apart_s must be 0 to max_apart_s, got {self.min_apart_s} and {self.max_apart_s}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
