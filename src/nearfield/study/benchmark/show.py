"""A benchmark on a terminal: of every task a table, its metrics beside each other, its models below each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nearfield.study.benchmark.files import Line
from nearfield.study.benchmark.run import CHANCE

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = ("precision@1", "R-precision", "mAP@R", "nDCG")  # of many: a terminal is narrow, the file has all


def print_lines(console: Console, lines: Sequence[Line]) -> None:
    """Rows without `against`."""
    from rich.table import Table

    for task in dict.fromkeys(line.task for line in lines):
        rows = [line for line in lines if line.task == task]
        every = list(dict.fromkeys(line.metric for line in rows))
        metrics = [m for m in every if m in SHOWN] if len(every) > len(SHOWN) else every
        table = Table("model", *metrics, title=f"{task}, n = {rows[0].n}", title_justify="left", box=None)
        cells = {(line.model, line.metric): figure(line) for line in rows}
        for model in dict.fromkeys(line.model for line in rows):
            table.add_row(model, *(cells.get((model, metric), "") for metric in metrics))
        console.print(table)
        console.print()


def figure(line: Line) -> str:
    """The value and its interval, or a dash."""
    if line.value is None:
        return "-"
    if line.low is None or line.high is None or line.model == CHANCE:
        return f"{line.value:.3f}"
    return f"{line.value:.3f} [{line.low:.3f}, {line.high:.3f}]"
