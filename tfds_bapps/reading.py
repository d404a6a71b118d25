"""The unpacked tree as a `tf.data.Dataset`, without preparing it first."""

from __future__ import annotations

import os

import tensorflow as tf
from etils import epath

from tfds_bapps import tree
from tfds_bapps.patches import decode


def load_tree(root: str | os.PathLike[str], mode: str, split: str) -> tf.data.Dataset:
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
    paths = load_paths(root, mode, split)
    return paths.map(read_images, num_parallel_calls=tf.data.AUTOTUNE)


def load_paths(root: str | os.PathLike[str], mode: str, split: str) -> tf.data.Dataset:
    """A split as `load_tree` gives it, with the paths of images in place of the images.

    Such elements are small enough to shuffle all of them before `read_images` reads the images.
    """
    rows = list(tree.examples(_folder(root, mode, split), mode))
    images, answer = tree.MODES[mode].images, tree.MODES[mode].answer
    columns = {answer: tf.constant([row[answer] for row in rows], tf.float32)}
    columns["id"] = tf.constant([row["id"] for row in rows])
    for name in images:
        columns[name] = tf.constant([os.fsencode(row[name]) for row in rows])
    return tf.data.Dataset.from_tensor_slices(columns)


def read_images(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Turns an element of `load_paths` into one of `load_tree`, within tf.data."""
    images = {name: example[name] for name in ("ref", "p0", "p1") if name in example}
    return example | {name: decode(tf.io.read_file(path)) for name, path in images.items()}


def check_images(root: str | os.PathLike[str], mode: str, split: str) -> None:
    """Decodes every image of a split.

    Raises:
        ValueError: a file that is no image, the first of them.
    """
    for row in tree.examples(_folder(root, mode, split), mode):
        for name in tree.MODES[mode].images:
            tree.read_patch(row[name])


def _folder(root: str | os.PathLike[str], mode: str, split: str) -> epath.Path:
    if split not in tree.splits(mode):
        raise ValueError(f"Expected one of {', '.join(tree.splits(mode))}. Received: {split!r}")
    folder = tree.split_folder(root, mode, split)
    if not folder.is_dir():
        raise ValueError(
            f"Expected the folder that holds 2afc and jnd. Received: {root} without "
            f"{folder.relative_to(epath.Path(root))}"
        )
    return folder
