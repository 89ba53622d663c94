"""The process that test_resume.py starts: it trains, and kills itself at a named place.

python -m train.killed STORE OUT "reported 5"     as soon as five steps are done and reported
python -m train.killed STORE OUT "saved 6"        as soon as the checkpoint of step 6 is on disk
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nearfield.data.melstore import MelStore
from nearfield.train import keep
from nearfield.train.log import StepReport
from nearfield.train.loop import train
from train.cases import LONG

EVERY = 3  # the checkpoints between are left out, so that a kill costs steps
save_checkpoint = keep.save_checkpoint


def main(store: Path, out: Path, place: str) -> None:
    def at(here: str) -> None:
        if here == place:
            os.kill(os.getpid(), signal.SIGKILL)

    def save(path: Path, embedder: Any, progress: Mapping[str, Any], extra: Any) -> None:
        if progress["step"] % EVERY == 0:
            save_checkpoint(path, embedder, progress, extra)
        at(f"saved {progress['step']}")

    def report(now: StepReport) -> None:
        at(f"reported {now.step}")

    keep.save_checkpoint = save
    torch.set_num_threads(1)
    train(LONG, MelStore(store), out, report=report)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
