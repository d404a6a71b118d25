"""Whole programs on the same image files, their start included: the command and official scripts.

The official side does what the official repository's lpips_2imgs.py, lpips_2dirs.py and
lpips_1dir_allpairs.py do, with Pillow in place of OpenCV and random convolutions in place of a
download.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.videos import frames

START = """
import os, sys
sys.path.insert(0, sys.argv[1])
from benchmarks import official
import numpy as np
from PIL import Image
metric = official.random_metric("alex")
def read(*path):
    return official.to_nchw(np.asarray(Image.open(os.path.join(*path)).convert("RGB"))[None])
"""
PAIR = """
print(f"Distance: {metric.forward(read(sys.argv[2]), read(sys.argv[3])).item():.3f}")
"""
DIRS = """
distances = []
for name in os.listdir(sys.argv[2]):
    distances.append(metric.forward(read(sys.argv[2], name), read(sys.argv[3], name)).item())
    print(f"{name}: {distances[-1]:.3f}")
print(np.mean(distances), np.std(distances) / len(distances) ** 0.5)
"""
ALL_PAIRS = """
names, distances = os.listdir(sys.argv[2]), []
for i, name in enumerate(names[:-1]):
    image = read(sys.argv[2], name)
    for other in names[i + 1 :]:
        distances.append(metric.forward(image, read(sys.argv[2], other)).item())
        print(f"({name}, {other}): {distances[-1]:.3f}")
print(np.mean(distances), np.std(distances) / len(distances) ** 0.5)
"""


def write_folders(folder: Path, count: int) -> list[Path]:
    """Two folders of PNG files, the second noisy."""
    folders = [folder / "references", folder / "images"]
    noise = np.random.default_rng(0)
    for path in folders:
        path.mkdir(parents=True)
    for number, frame in enumerate(itertools.islice(frames(count), count)):
        noisy = np.clip(frame + noise.normal(0, 10, frame.shape), 0, 255).astype("uint8")
        for path, image in zip(folders, (frame, noisy), strict=True):
            Image.fromarray(image).save(path / f"{number:04}.png")
    return folders


def seconds(folder: Path, files: int, all_pairs: int, rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each task by the official script and by the command, and of imports: medians.

    Args:
        folder: for the images.
        files: in each of two folders.
        all_pairs: images of which all pairs are compared.
        rounds: runs of each program.
    """
    scripts = str(Path(__file__).parents[1])
    folders = list(map(str, write_folders(folder / "dirs", files)))
    images, _ = map(str, write_folders(folder / "all-pairs", all_pairs))
    pair = [f"{path}/0000.png" for path in folders]
    official = [sys.executable, "-c"]
    ours = [sys.executable, "-m", "lpips_tf_cli"]
    imports = "with imports(): from lpips_tf_cli.distances import pairs"
    imports = f"from lpips_tf_cli.console.imports import imports\n{imports}"
    official_imports = START.partition("metric =")[0] + "official.import_lpips()"
    programs = {
        "imports": ([*official, official_imports, scripts], [*official, imports]),
        "pair": ([*official, START + PAIR, scripts, *pair], [*ours, "pair", *pair]),
        "dirs": ([*official, START + DIRS, scripts, *folders], [*ours, "dirs", *folders]),
        "all-pairs": (
            [*official, START + ALL_PAIRS, scripts, images],
            [*ours, "all-pairs", images],
        ),
    }
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name, commands in programs.items():
            for side, command in enumerate(commands):
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                times.setdefault((name, side), []).append(time.perf_counter() - start)
    return {
        name: tuple(statistics.median(times[name, side]) for side in (0, 1)) for name in programs
    }
