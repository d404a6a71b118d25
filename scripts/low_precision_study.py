"""Errors of low precision against float32, over pairs of pictures of many kinds.

    python scripts/low_precision_study.py [--squeezenet PATH] [--update]

Pairs are crops of scikit-image's pictures in six sizes, each distorted in one of six ways at one of
six strengths. The table has the largest relative error of a distance by its size in float32, and
the least cosine between the gradients in low precision and in float32. Takes minutes on two cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.gradients import gradient
from benchmarks.markdown_tables import table, update
from keras import ops
from PIL import Image, ImageFilter
from skimage import data

import lpips_tf
from lpips_tf.metric import NETWORKS

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
PICTURES = ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel",
            "hubble_deep_field", "immunohistochemistry", "moon", "retina", "rocket")  # fmt: skip
SIZES = ((64, 64), (96, 96), (128, 80), (100, 151), (192, 192), (256, 256))
DRAWS = 2
STRENGTHS = (0.01, 0.03, 0.1, 0.25, 0.5, 1.0)
CLASSES = ((0.1, np.inf), (0.02, 0.1), (0.001, 0.02))  # of distances
POLICIES = ("mixed_bfloat16", "mixed_float16")
WITH_GRADIENT = 6  # one pair of so many


def noise(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.clip(image + rng.normal(0, 80 * strength, image.shape), 0, 255).astype("uint8")


def blur(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(4 * strength)))


def compression(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=round(98 - 93 * strength))
    return np.asarray(Image.open(buffer))


def brightness(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.clip(image * (1 + strength * rng.choice([-0.7, 1])), 0, 255).astype("uint8")


def colour(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.clip(image + 90 * strength * rng.normal(size=3), 0, 255).astype("uint8")


def shift(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.roll(image, max(1, round(6 * strength)), axis=rng.integers(2))


KINDS: tuple[Callable[..., np.ndarray], ...] = (noise, blur, compression, brightness, colour, shift)


def pairs(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (1, H, W, 3) uint8 of each size, kind and strength."""
    rng = np.random.default_rng(seed)
    pictures = [_rgb(getattr(data, name)()) for name in PICTURES]
    for size, distort, strength in itertools.product(SIZES, KINDS, STRENGTHS * DRAWS):
        picture = pictures[rng.integers(len(pictures))]
        top, left = (rng.integers(s - n + 1) for s, n in zip(picture.shape, size, strict=False))
        crop = picture[top : top + size[0], left : left + size[1]]
        yield crop[None], distort(rng, crop, strength)[None]


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]


def cosine(metrics: list[Any], in0: np.ndarray, in1: np.ndarray) -> float:
    """Of the gradients of two metrics towards the second image."""
    floats = [x.astype("float32") / 127.5 - 1 for x in (in0, in1)]
    a, b = (
        gradient(lambda x, m=m: ops.sum(m(floats[0], x)), floats[1]).ravel().astype("float64")
        for m in metrics
    )
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def errors(net: str, policy: str, seed: int, **options: Any) -> list[str]:
    """A row of the table: the largest errors, and the least cosine."""
    exact, low = lpips_tf.LPIPS(net, **options), lpips_tf.LPIPS(net, dtype=policy, **options)
    found, cosines = [], []
    for i, (in0, in1) in enumerate(pairs(seed)):
        distances = [float(ops.convert_to_numpy(metric(in0, in1))[0]) for metric in (exact, low)]
        found.append(distances)
        if i % WITH_GRADIENT == 0 and distances[0] >= CLASSES[-1][0]:
            cosines.append(cosine([exact, low], in0, in1))
    true, got = np.array(found).T
    row = [f"{net}, {policy.removeprefix('mixed_')}"]
    for least, most in CLASSES:
        of_class = (least <= true) & (true < most)
        largest = np.max(np.abs(got[of_class] / true[of_class] - 1))
        row.append(f"{largest:.2%} ({of_class.sum()})")
    return [*row, f"{min(cosines):.5f} ({len(cosines)})"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--squeezenet", type=Path, help="torchvision's file; else a download")
    parser.add_argument("--nets", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--update", action="store_true", help=f"write to docs/{PAGE.name}")
    arguments = parser.parse_args()
    files = {"squeeze": {"backbone_weights": arguments.squeezenet or "imagenet"}}
    rows = [
        errors(net, policy, arguments.seed, **files.get(net, {}))
        for net, policy in itertools.product(arguments.nets, POLICIES)
    ]
    header = ["", "d ≥ 0.1", "0.02 ≤ d < 0.1", "0.001 ≤ d < 0.02", "gradients' cosine"]
    found = table(header, rows)
    print(found)
    if arguments.update:
        update(PAGE, "low precision", found)


if __name__ == "__main__":
    main()
