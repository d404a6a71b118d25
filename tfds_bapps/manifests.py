"""Reads a table of your own judgements, with its images, as a `tf.data.Dataset`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lpips_tf import images
from lpips_tf._support.arguments import check_count, checked_size
from lpips_tf._support.sizes import shown_size
from tfds_bapps.manifest_rows import KINDS, Row, read_rows

Example = dict[str, tf.Tensor]


def load_manifest(
    path: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    as_supervised: bool = False,
    crop: int | None = None,
) -> tf.data.Dataset:
    """Loads the judgements of a table, with their images.

    The table is a .csv file (UTF-8, with a header) or a .parquet file, which needs PyArrow. Its
    columns are, besides any others,

    - `reference`, `image0`, `image1` and `judge`, the share of people who found `image1` nearer to
      the reference (2AFC), or
    - `reference`, `image` and `opinion`, a number that is higher for better images, or for worse.

    Paths are relative to the table's folder, and stay within it. Images are read as
    `lpips_tf.images.load` reads them; those of a row have one size.

    Args:
        path: of the table.
        size: (height, width) that all images are resized to, by Pillow's Lanczos filter. By default
            images keep their size, and rows may differ in size.
        as_supervised: give ((ref, p0, p1), judge), which `lpips_tf.training.RankingModel.fit`
            takes. For 2AFC and a `size` or `crop`.
        crop: side in pixels of a square that is cut from the middle of all images, after resizing.

    Returns:
        Examples in the order of the table, with "id", the number of the row from 1 as text; "ref",
        "p0" and, for 2AFC, "p1", (H, W, 3) uint8; "judge", float32, or "opinion", float64; and
        "reference", the path of the reference. `lpips_tf.evaluation.distances` takes them. An image
        that cannot be read raises a tf.errors.OpError when it is reached, which names it.

    Raises:
        OSError: the table cannot be read.
        ValueError: a `size` that is no (height, width); the table lacks columns, or has those of
            both kinds, or no rows; or a row has a path that leaves the folder, a judgement outside
            [0, 1], or an opinion that is no number.
    """
    reading = Reading(size, crop)
    kind, rows = read_rows(path)
    if as_supervised and (kind != "2afc" or None in reading.image_size):
        raise ValueError(
            "Expected as_supervised=True with 2AFC and a size or crop. "
            f"Received: {kind} with size={size} and crop={crop}"
        )
    dataset = stored_rows(path, kind, rows)
    dataset = dataset.map(lambda e: with_images(e, reading), num_parallel_calls=tf.data.AUTOTUNE)
    if as_supervised:
        return dataset.map(lambda e: ((e["ref"], e["p0"], e["p1"]), e["judge"]))
    return dataset


def stored_rows(path: str | os.PathLike[str], kind: str, rows: Sequence[Row]) -> tf.data.Dataset:
    """The examples of `load_manifest`, with the paths of images in place of the images.

    Args:
        path: of the table.
        kind, rows: what `read_rows` returns, or some of its rows.
    """
    folder = Path(path).parent
    columns: dict[str, Any] = {
        name: [os.fsencode(folder / row.images[name]) for row in rows]
        for name in KINDS[kind].images
    }
    columns |= answers(kind, rows) | {"id": [row.id for row in rows]}
    columns["reference"] = [os.fsencode(row.images["ref"]) for row in rows]
    return tf.data.Dataset.from_tensor_slices(columns)


def answers(kind: str, rows: Sequence[Row]) -> dict[str, npt.NDArray[Any]]:
    """What people said of rows, under the name of its column."""
    dtype = np.float32 if kind == "2afc" else np.float64  # as BAPPS has it; as it was written
    return {KINDS[kind].answer: np.array([row.answer for row in rows], dtype)}


@dataclasses.dataclass(frozen=True)
class Reading:
    """The size that the images of a row get.

    Args:
        size: (height, width) that they are resized to.
        crop: side in pixels of a square that is cut from them.

    Raises:
        ValueError: a `size` that is no (height, width), or a side or `crop` below 1.
    """

    size: tuple[int, int] | None = None
    crop: int | None = None

    def __post_init__(self) -> None:
        """Checks both."""
        if self.size is not None:
            checked_size("size", self.size)
        if self.crop is not None:
            check_count("crop", self.crop)

    @property
    def image_size(self) -> tuple[int | None, int | None]:
        """The (height, width) of all images, or None where rows may differ."""
        if self.crop is not None:
            return self.crop, self.crop
        return self.size or (None, None)

    def read(
        self, paths: Sequence[bytes], place: Sequence[int] | None = None
    ) -> list[npt.NDArray[np.uint8]]:
        """The images of a row, of one size.

        Args:
            paths: of the images.
            place: seeds of where the square is cut; by default from the middle.

        Raises:
            ValueError: images differ in size, or are smaller than the square.
        """
        names = [os.fsdecode(path) for path in paths]
        found = [images.load(name) for name in names]
        if self.size is not None:
            found = [images.resize(image, self.size) for image in found]
        for name, image in zip(names, found, strict=True):
            if image.shape != found[0].shape:
                first, other = (shown_size(one.shape) for one in (found[0], image))
                raise ValueError(
                    "Expected images of one size. "
                    f"Received: {names[0]} of {first} pixels and {name} of {other}"
                )
        return found if self.crop is None else self._cropped(names[0], found, place)

    def _cropped(
        self, name: str, found: list[npt.NDArray[np.uint8]], place: Sequence[int] | None
    ) -> list[npt.NDArray[np.uint8]]:
        height, width = found[0].shape[:2]
        check_crop(name, (height, width), self.crop)
        space = np.array([height - self.crop, width - self.crop])
        if place is None:
            top, left = space // 2
        else:
            top, left = np.random.default_rng(place).integers(space + 1)
        return [image[top : top + self.crop, left : left + self.crop] for image in found]


def check_crop(name: str | os.PathLike[str], size: tuple[int, int], crop: int | None) -> None:
    """Raises ValueError if an image of this (height, width) is smaller than the crop."""
    if crop is not None and min(size) < crop:
        raise ValueError(
            f"Expected images of at least {crop}x{crop} pixels, the crop. "
            f"Received: {name} of {shown_size(size)}"
        )


def with_images(example: Example, reading: Reading, seed: tf.Tensor | None = None) -> Example:
    """Reads the images of an element of `stored_rows`, within tf.data.

    Args:
        example: the element.
        reading: the size of its images.
        seed: int64; each seed cuts another square from the row. By default the middle is cut.
    """
    names = [name for name in ("ref", "p0", "p1") if name in example]
    inputs = [example[name] for name in names]
    if seed is not None:
        inputs += [seed, tf.strings.to_number(example["id"], tf.int64)]

    def read(*given: Any) -> list[npt.NDArray[np.uint8]]:
        return reading.read(given[: len(names)], given[len(names) :] or None)

    found = tf.numpy_function(read, inputs, [tf.uint8] * len(names))
    for image in found:
        image.set_shape((*reading.image_size, 3))
    return example | dict(zip(names, found, strict=True))
