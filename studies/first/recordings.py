"""One recording, encoded anew: how near does it stay, and how near do different ones come?

    python studies/first/recordings.py corpora/games/manifest.parquet SPACE [--tracks 24] [--seed 0]

SPACE is the manifest indexed with the shipped model. A seeded choice of tracks is written as MP3, Vorbis and Opus and
embedded again. What this shows sets the threshold of near-duplicates in search/neighbours.py, which are also required to
be as long. Writes the section "recordings" of results/river.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from common import Figure, Section

from nearfield import load_model, open_space
from nearfield.data.manifest import read_manifest
from nearfield.search.neighbours import DUPLICATE_SECONDS, DUPLICATE_SIMILARITY
from nearfield.sound import audio

# soundfile's compression level: 0 the best sound, 1 the smallest file
CODECS = {
    "MP3": ("mp3", "MP3", "MPEG_LAYER_III", 0.5),
    "Vorbis": ("ogg", "OGG", "VORBIS", 0.5),
    "Opus": ("opus", "OGG", "OPUS", 0.5),
    "Opus at its lowest rate": ("opus", "OGG", "OPUS", 1.0),
}
RATE_HZ = 48_000  # one that all of them take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("space", type=Path)
    parser.add_argument("--tracks", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    library, space, model = read_manifest(asked.manifest), open_space(asked.space), load_model()
    row = {track.path: n for n, track in enumerate(space.tracks)}
    files = sorted(str(library.locate(t).absolute()) for t in library)
    chosen = [files[i] for i in np.random.default_rng(asked.seed).choice(len(files), asked.tracks, replace=False)]
    section = Section("recordings", asked.seed, {"tracks": asked.tracks, "model": model.name, "rate_hz": RATE_HZ})
    with tempfile.TemporaryDirectory(prefix="nearfield-recordings-") as folder:
        found = {name: [] for name in CODECS}
        for path in chosen:
            samples = audio.load(path, RATE_HZ)
            for name, (suffix, container, codec, level) in CODECS.items():
                copy = Path(folder) / f"copy.{suffix}"
                with soundfile.SoundFile(copy, "w", RATE_HZ, 1, codec, None, container, True, level) as file:
                    for first in range(0, len(samples), RATE_HZ):  # its Vorbis encoder dies of minutes at once
                        file.write(samples[first : first + RATE_HZ])
                found[name].append(float(model.embed_file(copy).vector @ space.vectors[row[path]]))
    for name, cosines in found.items():
        low, middle = np.quantile(cosines, (0.1, 0.5))
        section.add(Figure(f"{name}: median cosine with itself", float(middle), "", n=len(cosines)))
        section.add(Figure(f"{name}: cosine that nine of ten reach", float(low), "", n=len(cosines)))
    section.add(*nearest_strangers(space.vectors, np.array([t.duration_s for t in space.tracks])))
    section.write()


def nearest_strangers(vectors: np.ndarray, duration_s: np.ndarray) -> list[Figure]:
    """Of pairs of different tracks that are as long."""
    one, other = np.triu_indices(len(vectors), 1)
    alike = np.abs(duration_s[one] - duration_s[other]) <= DUPLICATE_SECONDS
    cosines = np.sort(np.einsum("nd,nd->n", vectors[one[alike]], vectors[other[alike]]))[::-1]
    above = float((cosines >= DUPLICATE_SIMILARITY).sum())
    return [
        Figure("different tracks as long: highest cosine", float(cosines[0]), "", n=len(cosines)),
        Figure("different tracks as long: second highest", float(cosines[1]), "", n=len(cosines)),
        Figure(f"different tracks as long: pairs at {DUPLICATE_SIMILARITY} or more", above, "pairs", n=len(cosines)),
    ]


if __name__ == "__main__":
    main()
