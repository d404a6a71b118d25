"""Data sets of people's judgements, and where they are read from: BAPPS, or a table."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import absl.logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import tfds_bapps
from lpips_tf import evaluation, images
from lpips_tf._support.sizes import check_min_size, shown_size
from lpips_tf.evaluation import Columns
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.judgements.metrics import Metric
from tfds_bapps import manifests
from tfds_bapps.manifest_rows import read_rows

# TFDS logs what its errors say anyway. TensorFlow logs functions that it traces often.
absl.logging.set_verbosity(absl.logging.ERROR)
tf.get_logger().setLevel(logging.ERROR)

# TensorFlow's errors for files that are damaged or gone.
READ_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,  # an OSError within tf.numpy_function
)
Example = dict[str, tf.Tensor]
AT_ONCE = 50  # examples that the report reads together


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set of triplets or pairs as a `tf.data.Dataset`, and where it is read from."""

    name: str  # such as val/cnn
    mode: str
    stored: tf.data.Dataset  # the examples; with paths in place of images if they are to be read
    read_images: Callable[[Example, tf.Tensor | None], Example] | None
    check: Callable[[], None]  # reads all images, and raises ValueError for the first that is bad
    files: dict[str, Path]  # folders and files with the examples, by name
    judgements: str = ""  # that stand in no file of `files`

    @property
    def examples(self) -> tf.data.Dataset:
        """All examples, with their images."""
        return self.read_examples(self.stored)

    def read_examples(
        self, stored: tf.data.Dataset, seed: tf.Tensor | None = None
    ) -> tf.data.Dataset:
        """Reads the images of examples, which are `stored` or a part or another order of it.

        Args:
            stored: the examples.
            seed: of where squares are cut from images, where they are; by default from the middle.
        """
        read = self.read_images
        if read is None:
            return stored
        return stored.map(lambda e: read(e, seed), num_parallel_calls=tf.data.AUTOTUNE)

    def distances(self, metric: Metric, batch_size: int) -> Columns:
        """The distances of all examples, under a progress bar.

        Raises:
            ValueError: an image cannot be decoded. The message names it.
        """
        with progress_bar(self.name) as progress, translated_read_errors(self):
            return evaluation.distances(metric, self.examples, batch_size, progress)

    def read(self, places: Sequence[int]) -> Iterator[tuple[Sequence[int], dict[str, np.ndarray]]]:
        """Batches of images by feature name, with their places among all examples."""
        wanted = tf.constant(places, tf.int64)
        chosen = self.stored.enumerate().filter(lambda i, _: tf.reduce_any(i == wanted))
        examples = self.read_examples(chosen.map(lambda _, example: example))
        left = iter(sorted(places))
        with translated_read_errors(self):
            for batch in examples.batch(AT_ONCE).as_numpy_iterator():
                images = {name: batch[name] for name in ("ref", "p0", "p1") if name in batch}
                yield list(itertools.islice(left, len(batch["id"]))), images

    def fingerprint(self, times: bool = True) -> str:
        """A hash of the files' names and sizes, which differs where the data changed.

        Args:
            times: also hash the times of the last change, so that a copy counts as other data.
        """
        found = hashlib.sha256(os.fsencode(self.judgements))
        for name, status in sorted(self._file_statuses()):
            changed = status.st_mtime_ns if times else 0
            found.update(os.fsencode(name) + b"\0%d %d\0" % (status.st_size, changed))
        return found.hexdigest()

    def _file_statuses(self) -> Iterator[tuple[str, os.stat_result]]:
        for name, path in self.files.items():
            if path.is_dir():
                with os.scandir(path) as entries:
                    yield from ((f"{name}/{entry.name}", entry.stat()) for entry in entries)
            else:
                yield name, path.stat()


@contextlib.contextmanager
def translated_read_errors(*sources: Source) -> Iterator[None]:
    """Turns TensorFlow's errors for unreadable data sets into a ValueError that names the file."""
    try:
        yield
    except READ_ERRORS as error:
        for source in sources:
            source.check()
        names = ", ".join(source.name for source in sources)
        raise ValueError(f"Cannot read {names}: {reason(error.message)}") from error


def reason(message: str) -> str:
    """TensorFlow's reason for an error, without its place in the graph and in Keras."""
    said = re.split(r'File ".*', message)[-1].strip().partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} ?|' failed.*| \[Op:.*", "", said)


def open_source(mode: str, name: str, tree: Path | None, data_dir: Path | None) -> Source:
    """Finds a data set of BAPPS, without downloading anything.

    Raises:
        ValueError: the data set is missing, or its files are not as they should be.
    """
    split = name.replace("/", "_")  # its name in TFDS
    if tree is not None:
        stored = tfds_bapps.load_paths(tree, mode, split)
        files = {path.name: path for path in (tree / mode / name).iterdir() if path.is_dir()}
        check = lambda: tfds_bapps.check_images(tree, mode, split)  # noqa: E731
        return Source(name, mode, stored, lambda e, _: tfds_bapps.read_images(e), check, files)
    builder = tfds.builder(f"bapps/{mode}", data_dir=data_dir)
    if not builder.is_prepared() or split not in builder.info.splits:
        raise ValueError(
            f"Expected {name} prepared by TensorFlow Datasets. Received: {builder.data_dir} "
            "without. Prepare it as docs/bapps.md says, or name the unpacked archives' folder with "
            "--bapps-dir"
        )
    config = tfds.ReadConfig(try_autocache=False)
    files = {Path(path).name: Path(path) for path in builder.info.splits[split].filepaths}
    stored = builder.as_dataset(split=split, read_config=config)
    return Source(name, mode, stored, None, lambda: None, files)


def open_triplets(table: Path, crop: int | None, min_size: int) -> Source:
    """The triplets in a table, as images of one size.

    Args:
        table: its path, under which the data set goes.
        crop: side of the square that is cut from all images.
        min_size: the smallest height and width that a network takes.

    Raises:
        ValueError: the table is not as it should be, or has opinions; or images differ in size, or
            are smaller than `crop` or `min_size`.
        OSError: the table or an image cannot be read.
    """
    kind, rows = read_rows(table)
    if kind != "2afc":
        raise ValueError(
            "Expected a table of triplets, with reference, image0, image1 and judge. "
            f"Received: {table} with opinions"
        )
    paths = [[table.parent / name for name in row.images.values()] for row in rows]
    if crop is not None:
        check_min_size((crop, crop), min_size, received=f"--crop {crop}", images="squares")
    size = _checked_size(paths, crop)
    check_min_size(size, min_size, received=f"{table} with {shown_size(size)}")
    reading = manifests.Reading(None if crop else size, crop)

    def check() -> None:
        for images_of_row in paths:
            reading.read([os.fsencode(path) for path in images_of_row])

    return Source(
        str(table),
        kind,
        manifests.stored_rows(table, kind, rows),
        lambda example, seed: manifests.with_images(example, reading, seed),
        check,
        {name: table.parent / name for row in rows for name in row.images.values()},
        repr([crop, *((*row.images.values(), row.answer) for row in rows)]),
    )


def _checked_size(rows: list[list[Path]], crop: int | None) -> tuple[int, int]:
    """The size that all images have once they are cropped; those of a row have one size before."""
    paths = dict.fromkeys(path for row in rows for path in row)  # rows may share references
    sizes = {}
    with progress_bar("checking") as progress:
        for done, path in enumerate(paths, 1):
            sizes[path] = images.size(path)
            manifests.check_crop(path, sizes[path], crop)
            progress(done, len(paths))
    for row in rows:
        first = row[0] if crop else rows[0][0]
        for path in row:
            if sizes[path] != sizes[first]:
                raise ValueError(
                    f"Expected images of one size{' in a row' if crop else ', or --crop'}. "
                    f"Received: {first} of {shown_size(sizes[first])} pixels and {path} of "
                    f"{shown_size(sizes[path])}"
                )
    return (crop, crop) if crop else sizes[rows[0][0]]


def unpacked(mode: str, names: list[str], tree: Path) -> list[str]:
    """The data sets among `names` that the unpacked archives hold; a warning names the others.

    If the archives hold none of them, all names are returned, and opening them raises the error.
    """
    found = [name for name in names if (tree / mode / name).is_dir()]
    missing = [name for name in names if name not in found]
    if found and missing:
        warnings.warn(f"{tree} lacks {', '.join(missing)}. Only the others count", stacklevel=2)
    return found or names
