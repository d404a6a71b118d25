"""Synthetic data in the layout of BAPPS: distorted images of scikit-image."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tfds_bapps import tree

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry")
SIDE = 64


def write_photographs(root: Path, mode: str, split: str, count: int, seed: int = 0) -> None:
    """Writes a split of distorted crops of photographs.

    Simulated people prefer the weaker distortion, the more so the more the two differ, and see no
    difference where the distortion is weak.
    """
    rng = np.random.default_rng(seed)
    references, p0, p1, strengths = distorted(rng, count)
    if mode == "2afc":
        images = {"ref": references, "p0": p0, "p1": p1}
        answers = rng.binomial(5, 1 / (1 + np.exp(4 * (strengths[1] - strengths[0])))) / 5
    else:
        images = {"p0": references, "p1": p1}
        answers = rng.binomial(3, 1 - strengths[1]) / 3
    write_split(Path(tree.split_folder(root, mode, split)), mode, images, answers)


def write_split(
    folder: Path, mode: str, images: Mapping[str, Sequence[np.ndarray]], answers: Sequence[float]
) -> None:
    """Writes one split.

    Args:
        folder: of the split.
        mode: "2afc" or "jnd".
        images: (H, W, 3) uint8 images for each part ("ref", "p0", …).
        answers: the share of people for each example.
    """
    for part, examples in images.items():
        (folder / part).mkdir(parents=True)
        for i, image in enumerate(examples):
            (folder / part / f"{i:06}.png").write_bytes(png(image))
    answer = folder / tree.MODES[mode].answer
    answer.mkdir()
    for i, fraction in enumerate(answers):
        np.save(answer / f"{i:06}.npy", np.array([fraction], "float32"))


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def distorted(rng: np.random.Generator, count: int) -> tuple:
    """Crops of photographs, two distortions of each, and their strengths (2, count) in [0, 1]."""
    references = _crops(rng, count)
    strengths = rng.uniform(0, 1, (2, count))
    p0, p1 = (
        [_distort(rng, crop, s) for crop, s in zip(references, row, strict=True)]
        for row in strengths
    )
    return references, p0, p1, strengths


def _crops(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    from skimage import data

    photographs = [getattr(data, name)() for name in PHOTOGRAPHS]
    found = []
    for i in rng.integers(len(photographs), size=count):
        top, left = (rng.integers(side - SIDE + 1) for side in photographs[i].shape[:2])
        found.append(photographs[i][top : top + SIDE, left : left + SIDE])
    return found


def _distort(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """The image with noise, blur, compression or brightness of a `strength` in [0, 1]."""
    kinds: list[Callable] = [_noise, _blur, _compress, _brighten]
    return kinds[rng.integers(len(kinds))](rng, image, strength)


def _noise(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.clip(image + rng.normal(0, 60 * strength, image.shape), 0, 255).astype("uint8")


def _blur(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(float(3 * strength))))


def _compress(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=round(95 - 90 * strength))
    return np.asarray(Image.open(buffer))


def _brighten(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    return np.clip(image * (1 + strength), 0, 255).astype("uint8")
