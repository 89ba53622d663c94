"""The commands for owners of libraries: index, similar, playlist."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from nearfield.cli import show
from nearfield.cli.arguments import AsJson, ModelName, SpaceFolder, SpaceModel, default_space
from nearfield.errors import SpaceError

if TYPE_CHECKING:
    from nearfield.catalogue.embed import IndexProgress, IndexResult
    from nearfield.catalogue.encoder import Encoder
    from nearfield.catalogue.space import Space


@dataclass(frozen=True)
class Index:
    """Embed the sound files of a folder into a space. Run it again, and only what changed is read."""

    folder: Positional[
        Annotated[Path, arg(help="Folder of music, or a manifest (.parquet); only read.", metavar="FOLDER")]
    ]
    space: SpaceFolder = field(default_factory=default_space)
    model: ModelName = None
    slices: Annotated[
        int | Literal["all"], arg(help="3-second slices a track; all: one every 2 s.", metavar="N|all")
    ] = 8
    workers: Annotated[int | None, arg(help="Processes.", metavar="N", help_behavior_hint="(default: one a core)")] = (
        None
    )
    prune: Annotated[bool, arg(help="Drop tracks whose files are gone.", help_behavior_hint="")] = False
    json: AsJson = False

    def run(self) -> int:
        from nearfield.catalogue.embed import IndexInterrupted

        try:
            result = self._index()
        except IndexInterrupted as stopped:
            kept = stopped.result.n_tracks
            show.say(f"interrupted; {kept} tracks are in the space, the same command goes on from there")
            return 130
        if self.json:
            show.print_json({"space": show.readable(self.space), **asdict(result)})
        else:
            show.print_index(result, self.space)
        return 1 if result.failures else 0

    def _index(self) -> IndexResult:
        from nearfield.catalogue.embed import index_folder, index_manifest
        from nearfield.data.manifest import read_manifest

        how = (self.space, self.model, self.slices, self.workers, self.prune)
        with show.progress("tracks") as tell:

            def told(now: IndexProgress) -> None:
                tell(now.done, now.total, now.failed)

            if self.folder.suffix == ".parquet" and not self.folder.is_dir():
                return index_manifest(read_manifest(self.folder), *how, told)
            return index_folder(self.folder, *how, told)


@dataclass(frozen=True)
class Similar:
    """List the tracks nearest to a track of the space, or to any other sound file."""

    track: Positional[Annotated[str, arg(help="A file, or a part of a track's path or name.", metavar="TRACK")]]
    space: SpaceFolder = field(default_factory=default_space)
    k: Annotated[int, arg(help="How many.", aliases=["-k"], metavar="K")] = 20
    max_per_artist: Annotated[
        int | None, arg(help="At most so many an artist; 0: any number.", metavar="N", help_behavior_hint="")
    ] = None
    no_duplicates: Annotated[
        bool, arg(help="One of each recording, and none of the query's own.", help_behavior_hint="")
    ] = False
    model: SpaceModel = None
    json: AsJson = False

    def run(self) -> int:
        from nearfield.catalogue.space import open_space

        _at_least_one("-k", self.k)
        space = open_space(self.space)
        row = space.index_of(self.track)
        found = space.neighbours(
            self.track,
            self.k,
            max_per_artist=self.max_per_artist or None,
            leave_out_duplicates=self.no_duplicates,
            model=_model_of(space, self.model) if row is None else None,
        )
        if self.json:
            query = {"path": show.readable(self.track)} if row is None else show.track_json(space.tracks[row])
            neighbours = [show.neighbour_json(n) for n in found]
            show.print_json({"space": space.meta.id, "query": query, "neighbours": neighbours})
        else:
            show.print_neighbours(found)
        return 0


@dataclass(frozen=True)
class Playlist:
    """Make a playlist of tracks near one or several seeds."""

    seeds: Positional[
        Annotated[tuple[str, ...], arg(help="Files, or parts of tracks' paths or names.", metavar="SEED...")]
    ]
    space: SpaceFolder = field(default_factory=default_space)
    count: Annotated[int, arg(help="Length, the seeds among it.", aliases=["-n"], metavar="N")] = 30
    out: Annotated[
        Path | None,
        arg(help="The .m3u8 file to write.", aliases=["-o"], metavar="FILE", help_behavior_hint=""),
    ] = None
    absolute: Annotated[bool, arg(help="Absolute paths, not ones relative to the playlist.", help_behavior_hint="")] = (
        False
    )
    max_per_artist: Annotated[int, arg(help="At most so many an artist; 0: any number.", metavar="N")] = 2
    blend: Annotated[
        Literal["mean", "all"],
        arg(help="Near the seeds' mean, or near each one of them.", metavar="mean|all"),
    ] = "mean"
    without_seeds: Annotated[bool, arg(help="Leave the seeds out of the list.", help_behavior_hint="")] = False
    model: SpaceModel = None
    json: AsJson = False

    def run(self) -> int:
        import numpy as np

        from nearfield.catalogue.space import open_space
        from nearfield.search.neighbours import Rules
        from nearfield.search.playlist import make_playlist, write_m3u8

        _at_least_one("-n", self.count)
        if not self.seeds:
            raise SpaceError("playlist", "no seed was given", "name at least one track")
        space = open_space(self.space)
        rows = [space.index_of(seed) for seed in self.seeds]
        model = _model_of(space, self.model) if None in rows else None
        made = make_playlist(
            np.array([space.vector_of(seed, model) for seed in self.seeds]),
            space.vectors,
            space.tracks,
            self.count,
            own=[row for row in rows if row is not None],
            rules=Rules(self.max_per_artist or None, leave_out_duplicates=True),
            blend=self.blend,
            seeds_first=not self.without_seeds,
        )
        if self.out is not None:
            write_m3u8(made.tracks, self.out, absolute=self.absolute)
        if self.json:
            seeds = [show.track_json(t) for t in made.seeds]
            chosen = [show.neighbour_json(n) for n in made.chosen]
            show.print_json({"space": space.meta.id, "seeds": seeds, "tracks": chosen})
        elif self.out is None:
            show.print_neighbours(made.chosen)
        else:
            show.print_line(f"{len(made.tracks)} tracks in {show.readable(self.out)}")
        return 0


def _model_of(space: Space, named: str | None) -> Encoder:
    from nearfield.catalogue.encoder import find_model, load_model

    return find_model(space.meta.model_digest, space.meta.model_path) if named is None else load_model(named)


def _at_least_one(option: str, count: int) -> None:
    if count < 1:
        raise SpaceError(option, f"is {count}", "take 1 or more")
