"""Image patches of 64x64 pixels, kept as the PNG files that they came as."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

SIDE = 64


class Patch(tfds.features.Image):
    """An RGB image of 64x64 pixels, whose bytes are kept as they are.

    An image of another size is resized when it is read.
    """

    def decode_example(self, example: tf.Tensor) -> tf.Tensor:
        """The image in an example, within tf.data."""
        return decode(example)

    def decode_example_np(self, example: bytes) -> npt.NDArray[np.uint8]:
        """The image in an example, without TensorFlow."""
        with Image.open(io.BytesIO(example), formats=["PNG"]) as image:
            return resized(np.asarray(image.convert("RGB")))


def patch(doc: str) -> Patch:
    """The feature of an image with a description."""
    return Patch(shape=(SIDE, SIDE, 3), encoding_format="png", doc=doc)


def decode(content: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG file (a scalar string) to (64, 64, 3) uint8, within tf.data."""
    image = tf.io.decode_png(content, channels=3)
    image = tf.cond(
        tf.reduce_all(tf.equal(tf.shape(image), (SIDE, SIDE, 3))),
        lambda: image,
        lambda: tf.numpy_function(resized, [image], tf.uint8, stateful=False),
    )
    return tf.ensure_shape(image, (SIDE, SIDE, 3))


def resized(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Resizes a square uint8 image (n, n, 3) to (64, 64, 3).

    The filter is Pillow's antialiased bilinear one, as in the official `twoafc_dataset.py`.
    """
    if image.shape[0] == SIDE:
        return image
    small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small)
