"""All commands: the table of them, and the parser made from it.

A command is a frozen dataclass with `run() -> exit code`: its fields are its arguments, its docstring is its
help. To add one, write the dataclass and name it in `Command`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol, cast

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

import nearfield
from nearfield.cli.audit import Audit
from nearfield.cli.bench import Bench
from nearfield.cli.corpora import CorpusCommands, Prepare
from nearfield.cli.library import Index, Playlist, Similar
from nearfield.cli.spaces import SpaceCommands
from nearfield.cli.studies import StudyCommands
from nearfield.cli.training import Export, ImportMule, Train


class Runs(Protocol):
    """A parsed command."""

    def run(self) -> int: ...


Command = (
    Annotated[Index, subcommand("index")]
    | Annotated[Similar, subcommand("similar")]
    | Annotated[Playlist, subcommand("playlist")]
    | Annotated[SpaceCommands, subcommand("space")]
    | Annotated[Audit, subcommand("audit")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[CorpusCommands, subcommand("corpus")]
    | Annotated[Prepare, subcommand("prepare")]
    | Annotated[Train, subcommand("train")]
    | Annotated[StudyCommands, subcommand("study")]
    | Annotated[Export, subcommand("export")]
    | Annotated[ImportMule, subcommand("import-mule")]
)


def parse(words: Sequence[str]) -> Runs:
    """The command a person asked for; a usage error leaves by SystemExit(2)."""
    command = tyro.cli(
        Command,
        prog="nearfield",
        description=(nearfield.__doc__ or "").splitlines()[0],
        args=words,
        config=(FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes),
    )
    return cast(Runs, command)
