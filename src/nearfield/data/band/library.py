"""A record collection nobody has heard: pieces by invented artists, as tagged files in album folders."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from nearfield.data.band.factors import Factors, draw_factors
from nearfield.data.band.instruments import INSTRUMENT_SETS
from nearfield.data.band.render import render
from nearfield.data.band.styles import STYLES
from nearfield.data.band.tones import Float32
from nearfield.data.manifest import Manifest, write_manifest
from nearfield.data.track import Track
from nearfield.errors import ConfigError, CorpusError, readable

LICENCE = "CC0-1.0"
FORMATS: Mapping[str, str] = {"flac": "PCM_16", "ogg": "VORBIS", "wav": "PCM_16"}
_PIECES_PER_ARTIST = 4
_BLOCK = 32768  # frames at a time: libsndfile's Vorbis encoder overflows the stack on long writes
_FIRST = [
    "Velvet",
    "Paper",
    "Northern",
    "Electric",
    "Salt",
    "Midnight",
    "Copper",
    "Second",
    "Lunar",
    "Quiet",
    "Golden",
    "Hollow",
    "Tin",
    "Wandering",
    "Marble",
    "Crooked",
    "Little",
    "Amber",
    "Static",
    "Rubber",
]
_SECOND = [
    "Otters",
    "Semaphore",
    "Cartographers",
    "Teapot",
    "Parliament",
    "Foxes",
    "Ferry",
    "Umbrella",
    "Comets",
    "Gardeners",
    "Postmen",
    "Lanterns",
    "Accountants",
    "Weather",
    "Herons",
    "Dominoes",
    "Orchard",
    "Staircase",
    "Bicycle",
    "Tides",
]
_TITLE_HEADS = [
    "Letters to",
    "Leaving",
    "The Road to",
    "Under",
    "Waiting for",
    "Dancing with",
    "Return of",
    "Rain on",
    "A Map of",
    "Goodbye,",
    "Seven Kinds of",
    "Behind",
    "Learning from",
    "Ode to",
    "No More",
]
_TITLE_TAILS = [
    "Saturday",
    "the Harbour",
    "Marigold",
    "Tall Houses",
    "My Radiator",
    "November",
    "the Lighthouse",
    "Lost Keys",
    "Helsinki",
    "the Night Bus",
    "Velvet Chairs",
    "Small Hours",
    "Oranges",
    "Cloud Nine",
    "the Ice Rink",
    "Paper Boats",
    "Uncle Bruno",
    "the Switchboard",
    "Tuesday",
    "Wet Paint",
]
_ALBUMS = [
    "Live from the Kitchen",
    "Postcards",
    "Loose Change",
    "Evening Shift",
    "Blueprints",
    "Second Helping",
]


@dataclass(frozen=True)
class _Order:
    """One file to make."""

    factors: Factors
    track: Track
    root: Path
    rate_hz: int


def write_library(
    folder: Path,
    n_pieces: int,
    seed: int,
    duration_s: float = 30.0,
    rate_hz: int = 22050,
    variants_per_piece: int = 1,
    file_format: str = "ogg",
    workers: int = 1,
    progress: Callable[[int, int, int], None] | None = None,
) -> Manifest:
    """Render pieces into `folder`/artist/album/title and write `folder`/manifest.parquet.

    Every artist has one style and one instrument set; tempo, key and the rest are drawn for each piece.
    Variants of a piece keep its style and seed (its tune) and draw everything else anew, the instruments too;
    they share the tag "piece-NNNN". `progress(done, total, failed)` hears of each piece.
    """
    if n_pieces < 1 or variants_per_piece < 1 or workers < 1:
        raise ConfigError("library", "n_pieces, variants_per_piece and workers must be above 0", "ask for at least one")
    if file_format not in FORMATS:
        raise ConfigError("file_format", f"there is no {file_format!r}", f"use one of: {', '.join(FORMATS)}")
    orders = _orders(folder, n_pieces, seed, duration_s, rate_hz, variants_per_piece, file_format)
    tracks: list[Track] = []
    with contextlib.ExitStack() as stack:
        filled: Iterable[Track] = map(_fill, orders)
        if workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
            filled = pool.map(_fill, orders)
        for track in filled:
            tracks.append(track)
            if progress is not None:
                progress(len(tracks), len(orders), 0)
    manifest = Manifest(f"band-{seed}", folder.resolve(), tuple(tracks))
    write_manifest(manifest, folder / "manifest.parquet")
    return manifest


def track_of(factors: Factors, path: str, id: str, **known: object) -> Track:
    """The catalogue row of a piece: tempo, key and genre from its factors, and all of them as text."""
    return Track(
        id=id,
        path=path,
        duration_s=factors.duration_s,
        genre=factors.style,
        licence=LICENCE,
        tempo_bpm=factors.tempo_bpm,
        key=factors.key,
        factors=factors.to_text(),
        **known,  # type: ignore[arg-type]  # Track's own fields, checked by its constructor
    )


def _orders(
    folder: Path, n_pieces: int, seed: int, duration_s: float, rate_hz: int, variants: int, file_format: str
) -> list[_Order]:
    rng = np.random.default_rng([seed, 0])
    artists = _names(rng, _FIRST, _SECOND, -(-n_pieces // _PIECES_PER_ARTIST))
    titles = _names(rng, _TITLE_HEADS, _TITLE_TAILS, n_pieces)
    styles = _spread(rng, STYLES, len(artists))
    bands = _spread(rng, INSTRUMENT_SETS, len(artists))
    orders = []
    for piece in range(n_pieces):
        who, nth = divmod(piece, _PIECES_PER_ARTIST)
        album = _ALBUMS[who % len(_ALBUMS)]
        draw = np.random.default_rng([seed, 1, piece])
        first = draw_factors(draw, duration_s, styles=(styles[who],), instruments=(bands[who],))
        for variant in range(variants):
            title = titles[piece] + (f" (version {variant + 1})" if variant else "")
            number = nth * variants + variant + 1
            path = f"{artists[who]}/{album}/{number:02d} {title}.{file_format}"
            factors = (
                replace(draw_factors(draw, duration_s, styles=(styles[who],)), seed=first.seed) if variant else first
            )
            track = track_of(
                factors,
                path,
                f"band-{seed}-{piece:04d}-{variant}",
                title=title,
                artist=artists[who],
                album=album,
                tags=(f"piece-{piece:04d}",),
            )
            orders.append(_Order(factors, track, folder, rate_hz))
    return orders


def _names(rng: np.random.Generator, heads: Sequence[str], tails: Sequence[str], count: int) -> list[str]:
    """Different names; numbered from the second time round where there are more than the words can make."""
    pairs = [f"{h} {t}" for h in heads for t in tails if h not in t]
    order = rng.permutation(len(pairs))
    rounds = [pairs[order[i % len(pairs)]] for i in range(count)]
    return [n if i < len(pairs) else f"{n} {1 + i // len(pairs)}" for i, n in enumerate(rounds)]


def _spread(rng: np.random.Generator, names: Sequence[str], count: int) -> list[str]:
    """As many names as asked, every one used before any is used again."""
    rounds = -(-count // len(names))
    return [names[int(i)] for _ in range(rounds) for i in rng.permutation(len(names))][:count]


def _fill(order: _Order) -> Track:
    sound = render(order.factors, order.rate_hz)
    path = order.root / order.track.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_sound(path, sound, order.rate_hz, order.track)
    except (OSError, soundfile.LibsndfileError) as error:
        where = readable(path)
        raise CorpusError(where, f"cannot be written ({error})", "free space or choose another place") from error
    # Of the sound, not the file: Vorbis files hold a random serial number.
    return replace(order.track, content_hash=hashlib.sha256(sound.tobytes()).hexdigest()[:16])


def _write_sound(path: Path, sound: Float32, rate_hz: int, track: Track) -> None:
    kind = path.suffix.lstrip(".")
    with soundfile.SoundFile(path, "w", rate_hz, 1, FORMATS[kind], format=kind.upper()) as file:
        file.title, file.artist, file.album, file.genre = track.title, track.artist, track.album, track.genre
        for start in range(0, len(sound), _BLOCK):
            file.write(sound[start : start + _BLOCK])
