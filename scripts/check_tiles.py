"""Measures `pair --tile` on large images: time, memory, the difference from the whole image.

    python scripts/check_tiles.py [--update BENCHMARKS.md]

Takes about a quarter of an hour on two CPU cores, most of it for VGG16 on 108 megapixels.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from benchmarks.markdown_tables import table, update
from skimage import data

SIDE = 256  # of the files' tiles
# Network, height, width, tile, and whether the whole image fits into memory for comparison.
RUNS = [
    ("alex", 2003, 3001, 512, True),
    ("vgg", 2003, 3001, 512, True),
    ("vgg", 2003, 3001, 1024, True),
    ("alex", 9000, 12000, 1024, False),
    ("vgg", 9000, 12000, 512, False),
]
# Runs a command; prints its peak memory and its output.
MEASURED = """
import resource, subprocess, sys
out = subprocess.run(sys.argv[1:], check=True, capture_output=True, text=True).stdout
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
print(out)
"""


def write_pair(folder: Path, height: int, width: int) -> list[Path]:
    """Two TIFF files: a photograph repeated over the image, and a noisy copy of it."""
    photograph = data.astronaut()

    def tiles(noise: float) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        for y in range(0, height, SIDE):
            for x in range(0, width, SIDE):
                tile = photograph[y % 512 :, x % 512 :][:SIDE, :SIDE]
                tile = tile + rng.normal(0, noise, tile.shape)
                yield np.clip(tile, 0, 255).astype("uint8")

    paths = [folder / "reference.tif", folder / "image.tif"]
    for path, noise in zip(paths, (0.0, 20.0), strict=True):
        tifffile.imwrite(
            path,
            tiles(noise),
            shape=(height, width, 3),
            dtype="uint8",
            tile=(SIDE, SIDE),
            photometric="rgb",
            compression="zlib",
        )
    return paths


def pair(paths: list[Path], *options: str) -> tuple[float, float, float]:
    """Distance, seconds and GB that the command takes."""
    command = [sys.executable, "-m", "lpips_tf_cli", "pair", *map(str, paths), "--json", *options]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    memory, out = done.stdout.split("\n", 1)
    return json.loads(out)[0]["distance"], seconds, int(memory) * 1024 / 1e9


def measured(net: str, height: int, width: int, tile: int, has_whole: bool) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pair(Path(folder), height, width)
        distance, seconds, memory = pair(paths, "--net", net, "--tile", str(tile))
        cells = [net, f"{width:,} × {height:,}", str(tile), f"{seconds:.0f} s", f"{memory:.2f} GB"]
        if not has_whole:
            return [*cells, "–", "–", "–"]
        whole, seconds, memory = pair(paths, "--net", net)
        error = abs(distance - whole) / whole
        return [*cells, f"{seconds:.0f} s", f"{memory:.2f} GB", f"{error:.1e}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", type=Path, help="replace the section `tiles` in this file")
    arguments = parser.parse_args()
    header = ["", "pixels", "tile", "time", "most memory", "whole: time", "most memory",
              "relative difference"]  # fmt: skip
    rows = []
    for run in RUNS:
        rows.append(measured(*run))
        print(rows[-1], flush=True)
    if arguments.update:
        update(arguments.update, "tiles", table(header, rows))


if __name__ == "__main__":
    main()
