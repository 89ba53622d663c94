"""The commands that need the [train] extra: train, export, import-mule."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from nearfield.cli import show
from nearfield.errors import ModelError

if TYPE_CHECKING:
    from nearfield.model.export import Exported
    from nearfield.train.log import StepReport
    from nearfield.train.watch import Watched

_LINE_EVERY_S = 10.0


@dataclass(frozen=True)
class Train:
    """Train a model on a store as a TOML file says. Run it again, and it goes on where it stopped."""

    config: Positional[Annotated[Path, arg(help="The run's configuration (TOML).", metavar="CONFIG")]]
    store: Positional[Annotated[Path, arg(help="A store of log-mels, from prepare.", metavar="STORE")]]
    out: Positional[Annotated[Path, arg(help="Folder for checkpoint and metrics.", metavar="OUT")]]
    also: Annotated[
        UseAppendAction[tuple[Path, ...]],
        arg(help="A further store to mix in, by the configuration's weights; repeatable.", metavar="STORE"),
    ] = ()
    steps: Annotated[
        int | None, arg(help="Another number of steps than the file's.", metavar="N", help_behavior_hint="")
    ] = None
    seed: Annotated[int | None, arg(help="Another seed than the file's.", metavar="N", help_behavior_hint="")] = None
    threads: Annotated[int | None, arg(help="Cores to use.", metavar="N", help_behavior_hint="(default: all)")] = None

    def run(self) -> int:
        need_torch("train")
        import torch

        from nearfield.config import read_run
        from nearfield.data.melstore import MelStore
        from nearfield.train.loop import train
        from nearfield.train.origin import provenance
        from nearfield.train.stopping import Stopping

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        config = read_run(self.config, steps=self.steps, seed=self.seed)
        report = _Lines()
        try:
            stores = [MelStore(path) for path in (self.store, *self.also)]
            origin = provenance(sys.argv)
            with contextlib.ExitStack() as open_to:
                # of several processes none may stop alone
                wish = None if "RANK" in os.environ else open_to.enter_context(Stopping())
                stopping = None if wish is None else lambda: wish.asked
                last = train(config, stores, self.out, provenance=origin, report=report, stopping=stopping)
        except KeyboardInterrupt:
            show.say(f"interrupted; the same command goes on from the last checkpoint in {show.readable(self.out)}")
            return 130
        if wish is not None and wish.asked and report.step < config.steps:
            show.say(f"interrupted; the same command goes on from step {report.step} in {show.readable(self.out)}")
            return 130
        if os.environ.get("RANK", "0") == "0":  # of several processes, the first speaks
            print(show.readable(last))
        return 0


@dataclass(frozen=True)
class Export:
    """Turn a checkpoint into one ONNX model that needs no torch, checked against torch."""

    checkpoint: Positional[Annotated[Path, arg(help="A checkpoint, from train.", metavar="CHECKPOINT")]]
    out: Annotated[Path, arg(help="The model to write.", aliases=["-o"], metavar="FILE")] = Path("model.onnx")
    name: Annotated[str, arg(help="What spaces made with it call it.", metavar="NAME")] = "nearfield"
    licence: Annotated[str, arg(help="Licence of the weights.", metavar="SPDX")] = "Apache-2.0"

    def run(self) -> int:
        need_torch("export")
        from nearfield.model.export import export

        made = export(self.checkpoint, self.out, self.name, self.licence)
        _print_exported(made)
        return 0


@dataclass(frozen=True)
class ImportMule:
    """Turn the published MULE weights (Keras) into a checkpoint and an ONNX model, without TensorFlow."""

    keras: Positional[Annotated[Path, arg(help="The published file, model.keras.", metavar="KERAS")]]
    out: Positional[Annotated[Path, arg(help="Folder for mule.safetensors and mule.onnx.", metavar="OUT")]]

    def run(self) -> int:
        need_torch("import-mule", "mule")
        from nearfield.model.mule import LICENCE, import_mule

        made = import_mule(self.keras, self.out)
        print(f"{show.readable(made.checkpoint)}: checkpoint")
        _print_exported(made.model)
        print(f"the weights are under {LICENCE}: not for commercial use")
        return 0


def _print_exported(made: Exported) -> None:
    print(f"{show.readable(made.path)}: {made.dimensions} dimensions, {made.bytes / 1e6:.1f} MB")
    print(f"largest difference from torch: {made.largest_error:.1e} of the largest output")


class _Lines:
    """A line every 10 s, and one for each validation."""

    def __init__(self) -> None:
        self._last = time.monotonic() - _LINE_EVERY_S
        self.step = 0

    def __call__(self, now: StepReport) -> None:
        self.step = now.step
        moment = time.monotonic()
        if moment - self._last < _LINE_EVERY_S and not now.watched and now.step < now.steps:
            return
        self._last = moment
        left = int(now.seconds_left)
        line = (
            f"step {now.step}/{now.steps}  loss {now.loss:.3f}  {now.slices_per_second:.0f} slices/s  "
            f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"
        )
        show.say(line)
        for title, looks in (("validation", now.watched), ("whitened", now.whitened)):
            for corpus, seen in looks.items():
                show.say(f"  {title} of {corpus}: {_said(seen)}")


def _said(seen: Watched) -> str:
    parts = [
        f"same track {seen.recall_at_1:.3f}",
        f"within package {seen.within_recall_at_1:.3f}",
        f"stretch by 1.25 moves {seen.stretch_shift:.2f}",
        f"2 semitones {seen.transpose_shift:.2f}",
        f"alignment {seen.alignment:.2f}",
        f"uniformity {seen.uniformity:.2f}",
        f"RankMe {seen.rank_me:.0f}",
    ]
    for name, index in (("tempo", seen.tempo_locality), ("key", seen.key_locality), ("style", seen.style_locality)):
        parts += [f"{name} locality {index:.2f}"] if index is not None else []
    return ", ".join(parts)


def need_torch(command: str, extra: str = "train") -> None:
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"nearfield {command}", f"{' and '.join(missing)} is not installed", f"pip install 'nearfield[{extra}]'"
        )
