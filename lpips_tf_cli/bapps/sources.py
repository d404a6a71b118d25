"""Data sets of BAPPS, and where they are read from."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import absl.logging
import tensorflow as tf
import tensorflow_datasets as tfds

import tfds_bapps

# TFDS logs what its errors say anyway. TensorFlow logs functions that it traces often.
absl.logging.set_verbosity(absl.logging.ERROR)
tf.get_logger().setLevel(logging.ERROR)

# TensorFlow's errors for files that are damaged or gone.
READ_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
)


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set, and where it is read from."""

    name: str  # such as val/cnn
    mode: str
    stored: tf.data.Dataset  # the examples; those of a tree have image paths in place of images
    tree: Path | None  # the unpacked archives; None if prepared by TFDS
    files: tuple[Path, ...]  # folders and files with the examples

    @property
    def examples(self) -> tf.data.Dataset:
        """All examples, with their images."""
        return self.read_examples(self.stored)

    def read_examples(self, stored: tf.data.Dataset) -> tf.data.Dataset:
        """The examples with their images, given a part of `stored` or another order of it."""
        if self.tree is None:
            return stored
        return stored.map(tfds_bapps.read_images, num_parallel_calls=tf.data.AUTOTUNE)

    def fingerprint(self, times: bool = True) -> str:
        """A hash of the files' names and sizes, which differs where the data changed.

        Args:
            times: also hash the times of the last change, so that a copy counts as other data.
        """
        found = hashlib.sha256()
        for name, status in sorted(self._file_statuses()):
            changed = status.st_mtime_ns if times else 0
            found.update(os.fsencode(name) + b"\0%d %d\0" % (status.st_size, changed))
        return found.hexdigest()

    def _file_statuses(self) -> Iterator[tuple[str, os.stat_result]]:
        for path in self.files:
            if path.is_dir():
                with os.scandir(path) as entries:
                    yield from ((f"{path.name}/{entry.name}", entry.stat()) for entry in entries)
            else:
                yield path.name, path.stat()


@contextlib.contextmanager
def translated_read_errors(*sources: Source) -> Iterator[None]:
    """Turns TensorFlow's errors for unreadable data sets into a ValueError that names the file."""
    try:
        yield
    except READ_ERRORS as error:
        for source in sources:
            if source.tree is not None:
                tfds_bapps.check_images(source.tree, source.mode, _split(source.name))
        names = ", ".join(source.name for source in sources)
        raise ValueError(f"Cannot read {names}: {reason(error.message)}") from error


def reason(message: str) -> str:
    """TensorFlow's reason for an error, without its place in the graph and in Keras."""
    said = re.split(r'File ".*', message)[-1].strip().partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} ?|' failed.*| \[Op:.*", "", said)


def open_source(mode: str, name: str, tree: Path | None, data_dir: Path | None) -> Source:
    """Finds a data set, without downloading anything.

    Raises:
        ValueError: the data set is missing, or its files are not as they should be.
    """
    split = _split(name)
    if tree is not None:
        stored = tfds_bapps.load_paths(tree, mode, split)
        files = tuple(sorted(path for path in (tree / mode / name).iterdir() if path.is_dir()))
        return Source(name, mode, stored, tree, files)
    builder = tfds.builder(f"bapps/{mode}", data_dir=data_dir)
    if not builder.is_prepared() or split not in builder.info.splits:
        raise ValueError(
            f"Expected {name} prepared by TensorFlow Datasets. Received: {builder.data_dir} "
            "without. Prepare it as docs/bapps.md says, or name the unpacked archives' folder with "
            "--bapps-dir"
        )
    config = tfds.ReadConfig(try_autocache=False)
    files = tuple(Path(path) for path in builder.info.splits[split].filepaths)
    stored = builder.as_dataset(split=split, read_config=config)
    return Source(name, mode, stored, None, files)


def unpacked(mode: str, names: list[str], tree: Path) -> list[str]:
    """The data sets among `names` that the unpacked archives hold; a warning names the others.

    If the archives hold none of them, all names come back: opening them then says what is wrong.
    """
    found = [name for name in names if (tree / mode / name).is_dir()]
    missing = [name for name in names if name not in found]
    if found and missing:
        warnings.warn(f"{tree} lacks {', '.join(missing)}. Only the others count", stacklevel=2)
    return found or names


def _split(name: str) -> str:
    """TFDS' name of a data set, such as val_cnn."""
    return name.replace("/", "_")
