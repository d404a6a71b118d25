"""Validates image batches: dtype, shape, minimum size."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np

from lpips_tf._support.arguments import is_array, shown
from lpips_tf._support.value_ranges import Range


def as_array(images: Any) -> Any:
    """Returns arrays, tensors and symbols as they are, and sequences of images as one batch.

    Nested lists of numbers are refused: what they hold would be read as floats, whatever it was.

    Raises:
        ValueError: `images` hold no numbers, or have several shapes.
    """
    if isinstance(images, (list, tuple)) and images and all(map(is_array, images)):
        if shapes := sorted({tuple(i.shape) for i in images} - {tuple(images[0].shape)}):
            raise two_sizes(images[0].shape, shapes[0])
        plain = all(isinstance(image, np.ndarray) for image in images)
        return np.stack(images) if plain else keras.ops.stack(images)
    if not is_array(images) or getattr(images.dtype, "kind", "f") in "OSU":
        raise ValueError(f"Expected arrays or tensors of images. Received: {shown(images)}")
    return images


def two_sizes(first: Any, second: Any) -> ValueError:
    """The error for images of one batch that have two shapes."""
    return ValueError(f"Expected images of one size. Received: {tuple(first)} and {tuple(second)}")


def check_image_batch(
    name: str, images: Any, metric: str, least_side: int, value_range: Range
) -> None:
    """Checks a batch of images: its dtype, and its shape as far as it is static.

    Raises:
        ValueError: `images` are not (N, H, W, 3) with N of at least 1 and H and W of at least
            `least_side`, or neither uint8 nor floating.
    """
    if getattr(images.shape, "rank", 4) is None:  # TensorFlow, while a graph is traced
        raise ValueError(
            "Expected images of known rank, (N, H, W, 3). "
            f"Received: {name} of unknown shape; tf.ensure_shape tells it"
        )
    shape, dtype = tuple(images.shape), str(images.dtype)
    with contextlib.suppress(ValueError):  # of a dtype that Keras does not know
        dtype = keras.backend.standardize_dtype(images.dtype)
    if len(shape) != 4 or shape[3] not in (3, None):
        expected = "RGB images of shape (N, H, W, 3), channels last"
    elif shape[0] == 0:
        expected = "at least one image"
    elif any(side is not None and side < least_side for side in shape[1:3]):
        expected = f"images of at least {least_side}x{least_side} pixels for {metric}"
    elif dtype not in ("uint8", "float16", "bfloat16", "float32", "float64"):
        expected = f"images of dtype uint8 (0 to 255), or floats in value_range={value_range}"
        raise ValueError(f"Expected {expected}. Received: {name}.dtype={dtype}")
    else:
        return
    raise ValueError(f"Expected {expected}. Received: {name}.shape={shape}")


def check_same_shape(**images: Any) -> None:
    """Raises ValueError where a shape differs from the first one, as far as they are static."""
    (name0, in0), *others = images.items()
    for name, image in others:
        if any(a != b and None not in (a, b) for a, b in zip(in0.shape, image.shape, strict=True)):
            raise ValueError(
                f"Expected {name0} and {name} to have the same shape. "
                f"Received: {name0}.shape={tuple(in0.shape)}, {name}.shape={tuple(image.shape)}"
            )
