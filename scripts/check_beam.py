"""Compares `lpips-tf score`, two workers, with `lpips-tf dirs`: distances, memory, throughput.

The distances must be the same, even if a worker is killed.

    python scripts/check_beam.py [--pairs 5000] [--update BENCHMARKS.md]

Takes about three minutes on two CPU cores. Measure in an environment without PyTorch: Beam imports
it in every process.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
from benchmarks.markdown_tables import table, update
from benchmarks.synthetic_bapps import distorted
from PIL import Image

SIDE = 128  # of the images
FEW = 200  # pairs of a run that measures the start
EVERY = 100  # one in so many pairs is broken
WORKER = "apache_beam.runners.worker.sdk_worker_main"
TWO_WORKERS = ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]
PROGRAM = [sys.executable, "-m", "lpips_tf_cli"]


def write_images(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for start in range(0, count, 500):
        references, images, *_ = distorted(rng, min(500, count - start))
        for i, pair in enumerate(zip(references, images, strict=True), start):
            for name, pixels in zip(("d0", "d1"), pair, strict=True):
                (folder / name).mkdir(exist_ok=True)
                image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                image.save(folder / name / f"{i:06}.png")


def write_manifest(folder: Path, count: int) -> Path:
    path = folder / f"{count}.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["id", "reference", "image"])
        for i in range(count):
            image = "broken.png" if i % EVERY == EVERY - 1 else f"d1/{i:06}.png"
            lines.writerow([i, folder / "d0" / f"{i:06}.png", folder / image])
    return path


class Workers(threading.Thread):
    """Records the memory of worker processes, and can kill one of them."""

    def __init__(self, kill: bool) -> None:
        super().__init__(daemon=True)
        self.memory: dict[int, list[float]] = {}  # MiB by process, every half second
        self._kill, self._over = kill, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    words = (folder / "cmdline").read_text().split("\0")
                    if "-m" not in words or WORKER not in words:
                        continue
                    pages = int((folder / "statm").read_text().split()[1])
                    noted = self.memory.setdefault(int(folder.name), [])
                    noted.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
                    if self._kill and len(noted) == 30:
                        self._kill = False
                        os.kill(int(folder.name), signal.SIGKILL)
                except OSError:
                    continue

    def stop(self) -> None:
        self._over.set()
        self.join()

    def growth(self) -> float:
        """MiB by which a worker's median memory grows from the second third of a run to the last.

        A run writes the result at its end, which takes some more memory.
        """
        found = [np.array_split(noted, 3) for noted in self.memory.values() if len(noted) > 8]
        return max(float(np.median(last) - np.median(middle)) for _, middle, last in found)

    def most(self) -> float:
        """The most memory that a worker had, in MiB."""
        return max(max(noted) for noted in self.memory.values())


def timed(*arguments: object) -> float:
    start = time.perf_counter()
    subprocess.run([*PROGRAM, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def scored(manifest: Path, kill: bool = False) -> tuple[list[dict], float, Workers]:
    output, workers = manifest.with_suffix(".parquet"), Workers(kill)
    workers.start()
    seconds = timed("score", manifest, "-o", output, *TWO_WORKERS)
    workers.stop()
    return pyarrow.parquet.read_table(output).to_pylist(), seconds, workers


def check(rows: list[dict], expected: dict[str, float], count: int) -> float:
    """The largest difference. Raises AssertionError if a row is wrong."""
    assert sorted(int(row["id"]) for row in rows) == list(range(count))
    largest = 0.0
    for row in rows:
        broken = int(row["id"]) % EVERY == EVERY - 1
        assert (row["distance"] is None) == broken == (row["error"] is not None), row
        if not broken:
            difference = abs(row["distance"] - expected[f"{int(row['id']):06}.png"])
            largest = max(largest, difference)
    assert largest <= 2e-6, largest
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--update", type=Path, help="replace the section `beam` in this file")
    arguments = parser.parse_args()
    count = arguments.pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, count)
        for part in ("d0", "d1"):  # folders of the short run
            (folder / f"few-{part}").mkdir()
            for path in sorted((folder / part).iterdir())[:FEW]:
                (folder / f"few-{part}" / path.name).symlink_to(path)
        by_dirs = timed("dirs", folder / "d0", folder / "d1", "-o", folder / "dirs.json")
        few_dirs = timed("dirs", folder / "few-d0", folder / "few-d1", "-o", folder / "few.json")
        found = json.loads((folder / "dirs.json").read_text())
        expected = {row["name"]: row["distance"] for row in found}
        rows, by_score, workers = scored(write_manifest(folder, count))
        _, few_score, _ = scored(write_manifest(folder, FEW))
        largest = check(rows, expected, count)
        rows, _, _ = scored(write_manifest(folder, count), kill=True)
        check(rows, expected, count)
    speed = [(count - FEW) / (by_dirs - few_dirs), (count - FEW) / (by_score - few_score)]
    cells = [
        ["`dirs`", f"{by_dirs:.1f} s", f"{few_dirs:.1f} s", f"{speed[0]:.0f}"],
        ["`score`, two workers", f"{by_score:.1f} s", f"{few_score:.1f} s", f"{speed[1]:.0f}"],
        ["ratio", f"{by_dirs / by_score:.2f}", "", f"**{speed[1] / speed[0]:.2f}**"],
    ]
    header = ["", f"{count:,} pairs", f"{FEW} pairs", "pairs a second between them"]
    text = (
        f"{table(header, cells)}\n\nThe largest difference of a distance is {largest:.1e}; after a "
        "worker was killed all rows are as they should be too. From the second third of its run "
        f"to the last the median of a worker's memory grew by {workers.growth():.0f} MiB; the most "
        f"was {workers.most():.0f} MiB."
    )
    print(text)
    if arguments.update:
        update(arguments.update, "beam", text)


if __name__ == "__main__":
    main()
