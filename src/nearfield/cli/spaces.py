"""The commands about spaces themselves: space info, space export."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg, subcommand

from nearfield.cli import show
from nearfield.cli.arguments import AsJson, SpaceFolder, default_space

if TYPE_CHECKING:
    from nearfield.catalogue.space import SpaceSummary


@dataclass(frozen=True)
class SpaceInfo:
    """Say what each space of a folder holds, and what failed when it was made."""

    space: Positional[SpaceFolder] = field(default_factory=default_space)
    json: AsJson = False

    def run(self) -> int:
        from nearfield.catalogue.space import summaries

        def as_json(summary: SpaceSummary) -> dict[str, object]:
            plain = asdict(summary)
            return {**(plain.pop("meta") or {}), **plain}

        found = summaries(self.space)
        if self.json:
            show.print_json({"spaces": [as_json(s) for s in found]})
        with show.printing():
            self._print(() if self.json else found)
        return 0 if all(s.meta for s in found) else 2

    def _print(self, found: Sequence[SpaceSummary]) -> None:
        for summary in found:
            print(f"{summary.id}{' (current)' if summary.current else ''}")
            if summary.meta is None:
                print(f"  damaged    {summary.problem}")
                continue
            meta = summary.meta
            print(f"  tracks     {meta.n_tracks}, {meta.dimensions} dimensions, {meta.slices} slices a track")
            print(f"  model      {meta.model} ({meta.model_digest})")
            print(f"  written    {meta.updated} by nearfield {meta.nearfield}")
            for root in meta.roots:
                print(f"  music      {show.readable(root)}")
            show.print_failures(meta.failures, sys.stdout)


@dataclass(frozen=True)
class SpaceExport:
    """Write a space for other programs: .npz (ids, vectors) or .parquet (all columns)."""

    out: Annotated[Path, arg(help="File to write: .npz or .parquet.", aliases=["-o"], metavar="FILE")]
    space: Positional[SpaceFolder] = field(default_factory=default_space)

    def run(self) -> int:
        from nearfield.catalogue.export import export_space
        from nearfield.catalogue.space import open_space

        space = open_space(self.space)
        export_space(space, self.out)
        show.print_line(f"{len(space)} tracks in {show.readable(self.out)}")
        return 0


@dataclass(frozen=True)
class SpaceCommands:
    """Look into a space, or export it."""

    action: Annotated[SpaceInfo, subcommand("info")] | Annotated[SpaceExport, subcommand("export")]

    def run(self) -> int:
        return self.action.run()
