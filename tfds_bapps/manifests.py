"""Judgements of one's own: a table of images and what people said, as a `tf.data.Dataset`."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lpips_tf import images
from lpips_tf._support.resizing import shown


class Kind(NamedTuple):
    """One of the two kinds of judgements that a manifest may have."""

    images: dict[str, str]  # names of features, and the columns of their paths
    answer: str


KINDS = {
    "2afc": Kind({"ref": "reference", "p0": "image0", "p1": "image1"}, "judge"),
    "opinions": Kind({"ref": "reference", "p0": "image"}, "opinion"),
}


def load_manifest(
    path: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    as_supervised: bool = False,
) -> tf.data.Dataset:
    """The judgements in a table, with their images.

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
            they stay as they are, and rows may differ in size.
        as_supervised: give ((ref, p0, p1), judge), which `lpips_tf.training.RankingModel.fit`
            takes. For 2AFC and a `size`.

    Returns:
        Examples in the order of the table, with "id", the number of the row from 0 as text; "ref",
        "p0" and, for 2AFC, "p1", (H, W, 3) uint8; "judge" or "opinion", float32; and for opinions
        "reference", its path. `lpips_tf.evaluation.distances` takes them. An image that cannot be
        read raises a tf.errors.OpError when it is reached, which names it.

    Raises:
        OSError: the table cannot be read.
        ValueError: it lacks columns, or has those of both kinds, or no rows; or a row has a path
            that leaves the folder, a judgement outside [0, 1], or an opinion that is no number.
    """
    kind, rows = read_rows(path)
    if as_supervised and (kind != "2afc" or size is None):
        raise ValueError(
            f"Expected as_supervised=True with 2AFC and a size. Received: {kind} and size={size}"
        )
    features, answer = KINDS[kind]
    columns: dict[str, Any] = {
        name: [os.fsencode(Path(path).parent / row[column]) for row in rows]
        for name, column in features.items()
    }
    columns["id"] = [str(i).zfill(len(str(len(rows)))) for i in range(len(rows))]
    columns[answer] = np.array([row[answer] for row in rows], np.float32)
    if kind == "opinions":
        columns["reference"] = [os.fsencode(row["reference"]) for row in rows]

    def with_images(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        names = list(features)
        found = tf.numpy_function(
            lambda *paths: _read_images(paths, size),
            [example[name] for name in names],
            [tf.uint8] * len(names),
        )
        for image in found:
            image.set_shape((*(size or (None, None)), 3))
        return example | dict(zip(names, found, strict=True))

    dataset = tf.data.Dataset.from_tensor_slices(columns)
    dataset = dataset.map(with_images, num_parallel_calls=tf.data.AUTOTUNE)
    if as_supervised:
        return dataset.map(lambda e: ((e["ref"], e["p0"], e["p1"]), e["judge"]))
    return dataset


def read_rows(path: str | os.PathLike[str]) -> tuple[str, list[dict[str, Any]]]:
    """The kind of a table's judgements, and its rows with checked paths and numbers.

    Raises:
        OSError, ValueError: as `load_manifest` does.
    """
    path = Path(path)
    try:
        rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else list(_csv_rows(path))
    except OSError as error:
        raise OSError(f"Cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected a table in UTF-8. Received: {path}: {error}") from error
    except csv.Error as error:
        raise ValueError(f"Expected a table as CSV. Received: {path}: {error}") from error
    if not rows:
        raise ValueError(f"Expected a table with rows. Received: {path} without any")
    kind = _kind(path, list(rows[0]))
    for number, row in enumerate(rows, 1):
        for column in KINDS[kind].images.values():
            _check_path(path, number, row[column])
        row[KINDS[kind].answer] = _answer(path, number, kind, row)
    return kind, rows


def _kind(path: Path, columns: Sequence[str]) -> str:
    found = [
        kind
        for kind, (features, answer) in KINDS.items()
        if {*features.values(), answer} <= set(columns)
    ]
    if len(found) != 1:
        kinds = " or ".join(
            ", ".join((*features.values(), answer)) for features, answer in KINDS.values()
        )
        both = "both, in " if found else ""
        raise ValueError(
            f"Expected the columns {kinds}. Received: {both}{path} with {', '.join(columns)[:200]}"
        )
    return found[0]


def _check_path(table: Path, number: int, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"Expected a path. Received: {table}, row {number}: {name!r}")
    if Path(name).is_absolute() or Path(os.path.normpath(name)).parts[0] == "..":
        raise ValueError(
            "Expected paths within the folder of the table. "
            f"Received: {table}, row {number}: {name}"
        )


def _answer(table: Path, number: int, kind: str, row: dict[str, Any]) -> float:
    answer = KINDS[kind].answer
    try:
        value = float(row[answer])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or (kind == "2afc" and not 0 <= value <= 1):
        expected = "a share of people, in [0, 1]" if kind == "2afc" else "a number"
        raise ValueError(
            f"Expected {answer} as {expected}. Received: {table}, row {number}: {row[answer]!r}"
        )
    return value


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        if len(set(names)) < len(names):
            raise ValueError(
                f"Expected different columns. Received: {path} with {', '.join(names)}"
            )
        for row in filter(None, reader):
            if len(row) != len(names):
                raise ValueError(
                    f"Expected {len(names)} fields in each row. Received: {path} with {len(row)} "
                    f"in line {reader.line_num}"
                )
            yield dict(zip(names, row, strict=True))


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ImportError("Parquet files need PyArrow: pip install pyarrow") from error
    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(f"Expected a Parquet file. Received: {path}: {error}") from error
    return rows


def _read_images(
    paths: Sequence[bytes], size: tuple[int, int] | None
) -> list[npt.NDArray[np.uint8]]:
    """The images of a row, of one size."""
    names = [os.fsdecode(path) for path in paths]
    found = [images.load(name) for name in names]
    if size is not None:
        found = [images.resize(image, size) for image in found]
    for name, image in zip(names, found, strict=True):
        if image.shape != found[0].shape:
            raise ValueError(
                f"Expected images of one size. Received: {names[0]} of "
                f"{shown(found[0].shape[:2])} pixels and {name} of {shown(image.shape[:2])}"
            )
    return found
