"""Small trees and archives with the layout of BAPPS.

    PYTHONPATH=.:scripts python tests/support/bapps_files.py tfds_bapps/dummy_data

writes the data that the builder's own test reads.
"""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
from benchmarks.synthetic_bapps import png, write_split
from PIL import Image, ImageDraw

from tfds_bapps import tree


def drawing(rng, side=64):
    """An image of few shapes, small as a PNG file: (side, side, 3) uint8."""
    image = Image.new("RGB", (side, side), tuple(map(int, rng.integers(0, 256, 3))))
    draw = ImageDraw.Draw(image)
    for _ in range(2):
        corner, size = rng.integers(0, side // 2, 2), rng.integers(4, side // 2, 2)
        box = [*map(int, corner), *map(int, corner + size)]
        draw.rectangle(box, fill=tuple(map(int, rng.integers(0, 256, 3))))
    return np.asarray(image)


def write_tree(root, mode, counts, side=64):
    """Writes splits of drawings; `counts` has the number of examples of each, by "val_cnn" etc."""
    for seed, (split, count) in enumerate(counts.items()):
        rng = np.random.default_rng(seed)
        images = {
            part: [drawing(rng, side) for _ in range(count)] for part in tree.MODES[mode].images
        }
        folder = Path(tree.split_folder(root, mode, split))
        write_split(folder, mode, images, rng.integers(0, 6, count) / 5)


def archive(root, mode, group) -> bytes:
    """The .tar.gz that the authors would make of a group ("train" or "val") in a tree."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        name = f"jnd/{group}" if mode == "jnd" else group
        tar.add(Path(root) / mode / group, name)
    return buffer.getvalue()


if __name__ == "__main__":
    dummy = Path(sys.argv[1])
    for mode in tree.MODES:
        write_tree(dummy, mode, dict.fromkeys(tree.splits(mode), 2))
    # One image of another size, which is resized when it is read.
    rng = np.random.default_rng(100)
    (dummy / "2afc/val/color/p0/000001.png").write_bytes(png(drawing(rng, 80)))
