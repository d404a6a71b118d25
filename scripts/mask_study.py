"""Measures what a masked distance sees outside of its mask, for the table in docs/metric.md.

Crops of scikit-image's photographs differ only outside of the mask, a square in the middle: there
one of them is blurred, or another photograph. What is right within the mask is 0. The table has the
distance by the mask over the distance without one, the mean over the crops.

python scripts/mask_study.py
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
from PIL import Image, ImageFilter
from skimage import data

import lpips_tf

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
SIDES = (64, 256)
SHARES = (0.5, 0.75)  # of the image's side, that the mask's is
NETS = ("alex", "vgg")


def crops(side: int) -> np.ndarray:
    """The middle of each photograph (n, side, side, 3) uint8, of a height of 256 pixels."""
    found = []
    for name in PHOTOGRAPHS:
        image = Image.fromarray(getattr(data, name)()).convert("RGB")
        image = image.resize((round(256 * image.width / image.height), 256))
        left, top = (image.width - side) // 2, (256 - side) // 2
        found.append(np.asarray(image.crop((left, top, left + side, top + side))))
    return np.stack(found)


def blurred(images: np.ndarray) -> np.ndarray:
    blur = ImageFilter.GaussianBlur(3)
    return np.stack([np.asarray(Image.fromarray(image).filter(blur)) for image in images])


def middle(side: int, share: float) -> np.ndarray:
    """A mask (side, side) of 1 in the middle."""
    mask = np.zeros((side, side), "uint8")
    edge = round(side * (1 - share) / 2)
    mask[edge : side - edge, edge : side - edge] = 1
    return mask


def main() -> None:
    print("| network | image | mask | blurred outside | another photograph outside |")
    print("|---|---|---|---|---|")
    for net, side, share in itertools.product(NETS, SIDES, SHARES):
        metric, images, mask = lpips_tf.LPIPS(net), crops(side), middle(side, share)
        masks = np.stack([mask] * len(images))
        row = []
        for outside in (blurred(images), np.roll(images, 1, axis=0)):
            changed = np.where(mask[..., None] > 0, images, outside)
            inside, whole = (
                keras.ops.convert_to_numpy(metric(images, changed, mask=m)) for m in (masks, None)
            )
            row.append(f"{100 * np.mean(inside / whole):.0f}%")
        print(f"| {net} | {side}² | {round(share * side)}² | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
