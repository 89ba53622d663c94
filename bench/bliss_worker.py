"""Analyse files with bliss-audio over some processes; run by bench/index.py in bliss-audio's own environment.

    python bliss_worker.py PROCESSES FILE...

Prints JSON: its version, and the files it cannot read.
"""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import sys


def analysed(path: str) -> bool:
    """Whether bliss-audio makes a vector of the file; what it cannot read it leaves by a panic."""
    from bliss_audio import Song  # here: the parent needs none of it

    try:
        return len(Song(path).analysis) > 0
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic is no Exception
        return False


def main() -> None:
    processes, files = int(sys.argv[1]), sys.argv[2:]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        fine = pool.map(analysed, files, chunksize=1)
        pool.close()
        pool.join()  # so that their processor time is counted
    failed = [file for file, good in zip(files, fine, strict=True) if not good]
    print(json.dumps({"version": importlib.metadata.version("bliss-audio"), "failed": failed}))


if __name__ == "__main__":
    main()
