"""The two kinds of probe for tempo: what is learned, and how answers are read as log2 BPM. See tempo_key.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from nearfield.study.metrics import Vectors
from nearfield.study.tasks.fitting import Probe, fit_probe
from nearfield.study.tasks.intervals import Floats, Indices
from nearfield.study.tasks.learners import Depth, ProbeSettings
from nearfield.study.tasks.targets import Targets, classes, numbers

BIN_OCTAVES = 0.05  # 3.5 %: the classes beside the likeliest are within Accuracy1 of it
Read = Callable[[Floats], Floats]  # what a probe says, (n, Y), as log2 BPM (n,)


@dataclass(frozen=True, eq=False)
class TempoLesson:
    """What is learned from: vectors (N, D) with log2 BPM and group (N,), and how."""

    vectors: Vectors
    octaves: Floats
    groups: Indices
    depth: Depth
    grid: ProbeSettings

    def of(self, rows: Indices) -> TempoLesson:
        return replace(self, vectors=self.vectors[rows], octaves=self.octaves[rows], groups=self.groups[rows])

    def probe(self, targets: Targets, rng: np.random.Generator) -> Probe:
        """Fitted to targets of these tracks; errors as fit_probe."""
        return fit_probe(self.vectors, targets, self.groups, self.depth, self.grid, rng)


def by_bins(lesson: TempoLesson) -> tuple[Targets, Read]:
    """log2 BPM by classes; the mean of the likeliest and what lies beside it."""
    lowest = lesson.octaves.min()
    codes = ((lesson.octaves - lowest) / BIN_OCTAVES).round().astype(np.int64)
    names = [f"{code:04d}" for code in range(max(2, int(codes.max()) + 1))]

    def read(likely: Floats) -> Floats:
        likeliest = likely.argmax(axis=1)
        beside = np.clip(likeliest[:, None] + np.arange(-1, 2), 0, len(names) - 1)
        weight = np.take_along_axis(likely, beside, axis=1)
        return np.asarray(lowest + BIN_OCTAVES * (weight * beside).sum(axis=1) / weight.sum(axis=1))

    return classes([names[c] for c in codes], names), read


def by_circle(lesson: TempoLesson) -> tuple[Targets, Read]:
    """log2 BPM by numbers: the place on the circle, in the octave nearest to the number."""
    octaves, turn = lesson.octaves, 2 * np.pi * lesson.octaves

    def read(said: Floats) -> Floats:
        about, cosine, sine = said.T
        place = np.arctan2(sine, cosine) / (2 * np.pi)
        return np.asarray(place + np.round(np.clip(about, octaves.min(), octaves.max()) - place))

    return numbers(np.stack([octaves, np.cos(turn), np.sin(turn)], axis=1), ("octaves", "cosine", "sine")), read


WAYS: Mapping[str, Callable[[TempoLesson], tuple[Targets, Read]]] = {"bins": by_bins, "circle": by_circle}
