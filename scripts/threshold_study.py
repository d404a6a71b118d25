"""Measures how far usual changes move an image, for the table in docs/gate.md.

The picture of `examples/` and scikit-image's photographs are changed in each way. The table has the
smallest, the median and the largest distance over them, with AlexNet.

python scripts/threshold_study.py
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from skimage import data

import lpips_tf

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
EXAMPLE = Path(__file__).parents[1] / "examples" / "images" / "reference.png"
LONGEST = 512  # side in pixels


def photographs() -> list[Image.Image]:
    found = [Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS]
    found.append(Image.open(EXAMPLE).convert("RGB"))
    for image in found:
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return found


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return change


def noise(levels: float) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image)
        moved = pixels + np.random.default_rng(0).normal(0, levels, pixels.shape)
        return Image.fromarray(np.clip(np.round(moved), 0, 255).astype("uint8"))

    return change


def blur(radius: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius))


def brightness(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def shifted(image: Image.Image, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts that an image and its copy, moved to the right, both show."""
    array = np.asarray(image)
    return array[:, pixels:], array[:, :-pixels]


CHANGES = {
    "JPEG, quality 95": jpeg(95),
    "JPEG, quality 90": jpeg(90),
    "JPEG, quality 75": jpeg(75),
    "JPEG, quality 50": jpeg(50),
    "noise, σ = 1 of 255": noise(1),
    "noise, σ = 2": noise(2),
    "noise, σ = 5": noise(5),
    "blur, σ = 0.5 pixels": blur(0.5),
    "blur, σ = 1": blur(1),
    "blur, σ = 2": blur(2),
    "2% brighter": brightness(1.02),
    "10% brighter": brightness(1.1),
}


def main() -> None:
    metric = lpips_tf.LPIPS()
    images = photographs()

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return float(keras.ops.convert_to_numpy(metric(x[None], y[None]))[0])

    print("| change | smallest | median | largest |\n|---|---|---|---|")
    rows = [
        (name, [distance(np.asarray(image), np.asarray(change(image))) for image in images])
        for name, change in CHANGES.items()
    ]
    for pixels in (1, 2):
        moved = [distance(*shifted(image, pixels)) for image in images]
        rows.append((f"shift by {pixels} pixel{'s' * (pixels > 1)}", moved))
    shuffled = [np.asarray(image.resize((256, 256))) for image in images]
    others = [distance(x, y) for x, y in zip(shuffled, [*shuffled[1:], shuffled[0]], strict=True)]
    rows.append(("another photograph", others))
    for name, found in rows:
        print(f"| {name} | {min(found):.4f} | {np.median(found):.4f} | {max(found):.4f} |")


if __name__ == "__main__":
    main()
