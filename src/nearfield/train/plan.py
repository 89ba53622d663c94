"""What a study is told: the fields of its study.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """One run of a study. `variant` is the name of a TOML file in the study's folder."""

    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Of the run's folder, and of what is kept of it."""
        return f"{self.variant}-{self.seed}"


@dataclass(frozen=True)
class StudyConfig:
    """`stores` are trained on together; `runs` is the folder of the runs' folders; both relative to the working directory.

    `queue` names the runs in the order in which they are made, each as VARIANT-SEED.
    """

    stores: tuple[str, ...]
    runs: str
    queue: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.stores:
            raise ValueError("stores must name at least one store")
        if not self.queue:
            raise ValueError("queue must name at least one run")
        for name in self.queue:
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]*-[0-9]+", name):
                raise ValueError(f"queue must hold names like ts-0, a variant and a seed, got {name!r}")
            if self.queue.count(name) > 1:
                raise ValueError(f"queue must not hold a run twice, got {name!r}")

    @property
    def planned(self) -> tuple[Planned, ...]:
        """The queue as runs."""
        parted = (name.rpartition("-") for name in self.queue)
        return tuple(Planned(variant, int(seed)) for variant, _, seed in parted)
