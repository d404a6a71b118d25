"""The unpacked tree as a `tf.data.Dataset`, without preparing it first."""

from __future__ import annotations

import os

import tensorflow as tf
from etils import epath

from tfds_bapps import tree
from tfds_bapps.patches import decode


def load_tree(root: str | os.PathLike, mode: str, split: str) -> tf.data.Dataset:
    """A split of BAPPS from the tree that the authors' archives unpack to.

    Args:
        root: the folder that holds `2afc` and `jnd`.
        mode: "2afc" or "jnd".
        split: such as "val_cnn".

    Returns:
        The elements that `tfds.load(f"bapps/{mode}", split=split)` has, in the same order.

    Raises:
        ValueError: an unknown mode or split, no such folder, or what `tree.examples` refuses. An
            image that cannot be decoded raises tf.errors.InvalidArgumentError when it is reached;
            `check_images` says which one it is.
    """
    rows = list(tree.examples(_folder(root, mode, split), mode))
    images, answer = tree.MODES[mode].images, tree.MODES[mode].answer
    columns = {answer: tf.constant([row[answer] for row in rows], tf.float32)}
    columns["id"] = tf.constant([row["id"] for row in rows])
    for name in images:
        columns[name] = tf.constant([os.fsencode(row[name]) for row in rows])
    dataset = tf.data.Dataset.from_tensor_slices(columns)
    return dataset.map(
        lambda row: row | {name: decode(tf.io.read_file(row[name])) for name in images},
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def check_images(root: str | os.PathLike, mode: str, split: str) -> None:
    """Decodes every image of a split, and raises ValueError for the first that is none."""
    for row in tree.examples(_folder(root, mode, split), mode):
        for name in tree.MODES[mode].images:
            tree.read_patch(row[name])


def _folder(root, mode, split) -> epath.Path:
    if mode not in tree.MODES:
        raise ValueError(f"Expected one of {', '.join(tree.MODES)}. Received: {mode!r}")
    if split not in tree.splits(mode):
        raise ValueError(f"Expected one of {', '.join(tree.splits(mode))}. Received: {split!r}")
    folder = tree.split_folder(root, mode, split)
    if not folder.is_dir():
        raise ValueError(
            f"Expected the folder that holds 2afc and jnd. Received: {root} without "
            f"{folder.relative_to(epath.Path(root))}"
        )
    return folder
