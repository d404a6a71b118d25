"""The tree of files that the authors' archives unpack to, read with checks.

2afc/val/cnn/ref/000000.png, …    the reference of each triplet
2afc/val/cnn/p0/000000.png, …     its two distortions
2afc/val/cnn/p1/000000.png, …
2afc/val/cnn/judge/000000.npy, …  the fraction of people who found p1 nearer
jnd/val/cnn/p0/000000.png, …      the two images of each pair
jnd/val/cnn/p1/000000.png, …
jnd/val/cnn/same/000000.npy, …    the fraction of people who saw no difference
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from PIL import Image, UnidentifiedImageError

from lpips_tf._support.arguments import check_choice


class Mode(NamedTuple):
    """One of the two kinds of judgements."""

    images: tuple[str, ...]  # folders of PNG files
    answer: str  # folder of people's answers
    datasets: dict[str, tuple[str, ...]]  # folders of them, by "train" and "val"


MODES = {
    "2afc": Mode(
        images=("ref", "p0", "p1"),
        answer="judge",
        datasets={
            "train": ("traditional", "cnn", "mix"),
            "val": ("traditional", "cnn", "superres", "deblur", "color", "frameinterp"),
        },
    ),
    "jnd": Mode(images=("p0", "p1"), answer="same", datasets={"val": ("traditional", "cnn")}),
}


def splits(mode: str) -> list[str]:
    """The names of all splits: "train_traditional", …, "val_frameinterp".

    Args:
        mode: "2afc" or "jnd".

    Raises:
        ValueError: another mode.
    """
    check_choice("mode", mode, MODES)
    datasets = MODES[mode].datasets
    return [f"{group}_{name}" for group in datasets for name in datasets[group]]


def split_folder(root: epath.PathLike, mode: str, split: str) -> epath.Path:
    """Where a split's files are in the tree."""
    group, _, name = split.partition("_")
    return epath.Path(root) / mode / group / name


def examples(folder: epath.Path, mode: str) -> Iterator[dict[str, Any]]:
    """The examples in the folder of a split, in the order of their names.

    Yields:
        "id", the files' name without suffix, as bytes; the paths of the images, by the name of
        their folder; and the answer, "judge" or "same".

    Raises:
        ValueError: a file or folder is missing, or an answer is not one number in [0, 1]. The
            message names it.
    """
    images, answer = MODES[mode].images, MODES[mode].answer
    for name in _common_names(folder, dict.fromkeys(images, ".png") | {answer: ".npy"}):
        yield {
            "id": os.fsencode(name),
            **{part: folder / part / f"{name}.png" for part in images},
            answer: _read_answer(folder / answer / f"{name}.npy"),
        }


def read_patch(path: epath.Path) -> bytes:
    """The content of a PNG file, after decoding it once.

    Raises:
        ValueError: the file is damaged, no PNG, not square, or of 16 bits a channel.
    """
    content: bytes = path.read_bytes()
    try:
        # Pillow may fill up truncated files, as TFDS tells it to for its tables. Checksums show
        # them even then.
        Image.open(io.BytesIO(content), formats=["PNG"]).verify()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
    except UnidentifiedImageError as error:
        raise ValueError(f"Expected a PNG image. Received: {path}: something else") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"Expected a PNG image. Received: {path}: {error}") from error
    if image.width != image.height:
        raise ValueError(
            f"Expected a square image. Received: {path} of {image.width}x{image.height} pixels"
        )
    if image.mode.startswith("I"):
        raise ValueError(f"Expected an image of 8 bits a channel. Received: {path} of 16")
    return content


def _common_names(folder: epath.Path, suffixes: dict[str, str]) -> list[str]:
    """The names, without suffix, that the files have in all parts of a split's folder."""
    names = {part: _names(folder / part, suffix) for part, suffix in suffixes.items()}
    for part, (other, expected) in zip(names, list(names.items())[1:], strict=False):
        if difference := sorted(names[part] ^ expected):
            lacking, having = (other, part) if difference[0] in names[part] else (part, other)
            missing = folder / lacking / f"{difference[0]}{suffixes[lacking]}"
            raise ValueError(
                f"Expected the same names in {folder / having} ({len(names[having])} files) and "
                f"{lacking} ({len(names[lacking])} files). Missing: {missing}"
            )
    common = sorted(names[part])
    if not common:
        raise ValueError(f"Expected PNG files. Received: {folder / next(iter(suffixes))} without")
    return common


def _names(folder: epath.Path, suffix: str) -> set[str]:
    if not folder.is_dir():
        raise ValueError(f"Expected a folder of {suffix} files. Missing: {folder}")
    return {
        path.stem
        for path in folder.iterdir()
        if path.suffix == suffix and not path.name.startswith(".")
    }


def _read_answer(path: epath.Path) -> float:
    try:
        with path.open("rb") as file:
            numbers = np.load(file, allow_pickle=False)
        numbers = np.asarray(numbers, np.float64).ravel()
    except OSError as error:
        raise ValueError(f"Expected one number. Received: {path}: {error}") from error
    except (ValueError, EOFError, TypeError, MemoryError) as error:
        raise ValueError(f"Expected one number. Received: {path}, no NumPy file of one") from error
    if len(numbers) != 1:
        raise ValueError(f"Expected one number. Received: {path} of {len(numbers)}")
    (answer,) = numbers
    if not 0 <= answer <= 1:
        raise ValueError(f"Expected a fraction of people, in [0, 1]. Received: {path} of {answer}")
    return float(answer)
