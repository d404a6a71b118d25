"""Image batches, and masks for them: how many images, their dtype, shape and minimum size."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np

from lpips_tf._backend.execution import is_traced, on_other_meta_device
from lpips_tf._support.arguments import is_array, shown
from lpips_tf._support.value_ranges import Range

BATCH_PIXELS = 32 * 256 * 256  # the features of VGG16, the largest network, then take about 1 GiB


def batch_length(size: tuple[int, int], most: int | None = None) -> int:
    """The number of images of this (height, width) that are computed at once, up to `most`."""
    length = max(1, BATCH_PIXELS // (size[0] * size[1]))
    return length if most is None else min(length, most)


def as_array(images: Any) -> Any:
    """Returns arrays, tensors and symbols as they are, and sequences of images as one batch.

    Nested lists of numbers are refused, because their dtype is unknown.

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


def as_rgb(images: Any) -> Any:
    """Returns grey images (N, H, W, 1) as three equal channels, and all else as it is."""
    if getattr(images.shape, "rank", 4) is None or len(images.shape) != 4 or images.shape[3] != 1:
        return images
    repeat = np.repeat if isinstance(images, np.ndarray) else keras.ops.repeat
    return repeat(images, 3, axis=-1)


def two_sizes(first: Any, second: Any) -> ValueError:
    """The error for images of one batch that have two shapes."""
    return ValueError(f"Expected images of one size. Received: {tuple(first)} and {tuple(second)}")


def check_image_batch(
    name: str, images: Any, metric: str, min_size: int, value_range: Range
) -> None:
    """Checks a batch of images: its dtype, and its shape as far as it is static.

    Raises:
        ValueError: `images` are not (N, H, W, 3) with N of at least 1 and H and W of at least
            `min_size`, or neither uint8 nor floating.
    """
    if getattr(images.shape, "rank", 4) is None:  # TensorFlow, while a graph is traced
        raise ValueError(
            "Expected images of known rank, (N, H, W, 3). "
            f"Received: {name} of unknown shape. Set it with tf.ensure_shape"
        )
    if on_other_meta_device(images):
        raise ValueError(
            'Expected images with values; keras.device("meta") is a scope that computes shapes. '
            f'Received: {name} on the device "meta"'
        )
    shape, dtype = tuple(images.shape), str(images.dtype)
    with contextlib.suppress(ValueError):  # of a dtype that Keras does not know
        dtype = keras.backend.standardize_dtype(images.dtype)
    if len(shape) != 4 or shape[3] not in (3, None):
        expected = "RGB images of shape (N, H, W, 3), channels last" + _shape_advice(name, shape)
    elif shape[0] == 0:
        expected = "at least one image"
    elif any(side is not None and side < min_size for side in shape[1:3]):
        expected = f"images of at least {min_size}x{min_size} pixels for {metric}"
    elif dtype not in ("uint8", "float16", "bfloat16", "float32", "float64"):
        expected = f"images of dtype uint8 (0 to 255), or floats in value_range={value_range}"
        raise ValueError(f"Expected {expected}. Received: {name}.dtype={dtype}")
    else:
        return
    raise ValueError(f"Expected {expected}. Received: {name}.shape={shape}")


def _shape_advice(name: str, shape: tuple[int | None, ...]) -> str:
    """How images of another shape become a batch, if that can be told."""
    if len(shape) == 3 and shape[2] in (1, 3):
        return f"; {name}[None] is a batch of one image"
    if len(shape) == 2:
        return f"; {name}[None, :, :, None] is a batch of one grey image"
    if len(shape) == 4 and shape[1] in (1, 3):
        return f"; for channels first, transpose {name} by (0, 2, 3, 1)"
    if len(shape) == 4 and shape[3] == 4:
        return f"; {name}[..., :3] leaves out the alpha channel"
    if len(shape) == 4 and shape[3] == 2:
        return f"; {name}[..., :1] leaves out the alpha channel of grey images"
    return ""


def check_mask(mask: Any, images: Any) -> Any:
    """Checks a mask for a batch of images, and returns it as (N, H, W, 1) in float32.

    Raises:
        ValueError: `mask` has another size than the images, no numbers, or a weight that is
            negative, NaN or infinite. Within a graph, weights cannot be looked at.
    """
    mask = as_array(mask)
    if getattr(mask.shape, "rank", 4) is None:
        raise ValueError("Expected a mask of known rank, (N, H, W). Received: unknown shape")
    shape, size = tuple(mask.shape), tuple(images.shape[:3])
    fits = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
    if not fits or any(a != b and None not in (a, b) for a, b in zip(shape, size, strict=False)):
        advice = "; mask[None] is a batch of one" if shape in (size[1:], (*size[1:], 1)) else ""
        raise ValueError(
            f"Expected a mask of the images' size, {size} or {(*size, 1)}{advice}. "
            f"Received: mask.shape={shape}"
        )
    if "complex" in str(mask.dtype) or str(mask.dtype) == "string":
        raise ValueError(f"Expected a mask of numbers. Received: mask.dtype={mask.dtype}")
    mask = keras.ops.cast(mask, "float32")
    if not is_traced(mask):
        weights = keras.ops.convert_to_numpy(mask)
        wrong = weights[~((weights >= 0) & (weights < np.inf))]
        if wrong.size:
            raise ValueError(
                f"Expected a mask of finite weights, none of them negative. Received: {wrong[0]}"
            )
    return mask if len(shape) == 4 else keras.ops.expand_dims(mask, -1)


def check_same_shape(**images: Any) -> None:
    """Raises ValueError where a shape differs from the first one, as far as they are static."""
    (name0, in0), *others = images.items()
    for name, image in others:
        if any(a != b and None not in (a, b) for a, b in zip(in0.shape, image.shape, strict=True)):
            raise ValueError(
                f"Expected {name0} and {name} to have the same shape. "
                f"Received: {name0}.shape={tuple(in0.shape)}, {name}.shape={tuple(image.shape)}"
            )
