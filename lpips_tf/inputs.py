"""What a metric says of the images that it is given, before it computes anything."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from lpips_tf.backend import values

Range = tuple[float, float]

SLACK = 0.1  # of a range, by which networks overshoot
OF_8_BITS = (
    "Scale 8-bit images, or pass value_range=(0, 255). Images of dtype uint8 need neither, but "
    "Keras casts the targets of a loss to floats."
)


def as_array(images: Any) -> Any:
    """Arrays, tensors and symbols as they are, all else as a NumPy array.

    Raises:
        ValueError: what holds no numbers.
    """
    array = images if hasattr(images, "shape") and hasattr(images, "dtype") else np.asarray(images)
    if isinstance(array, np.ndarray) and array.dtype.kind in "OSU":
        raise ValueError(f"Expected arrays or tensors of images. Received: {type(images).__name__}")
    return array


def is_uint8(images: Any) -> bool:
    return keras.backend.standardize_dtype(images.dtype) == "uint8"


def check_images(name: str, images: Any, metric: str, least_side: int, value_range: Range) -> None:
    """Checks what is known of a batch of images: its dtype, and its shape as far as it is static.

    Raises:
        ValueError: `images` are not (N, H, W, 3) with N of at least 1 and H and W of at least
            `least_side`, or neither uint8 nor floating.
    """
    if getattr(images.shape, "rank", 4) is None:  # TensorFlow, while a graph is traced
        raise ValueError(
            "Expected images of known rank, (N, H, W, 3). "
            f"Received: {name} of unknown shape; tf.ensure_shape tells it"
        )
    shape, dtype = tuple(images.shape), keras.backend.standardize_dtype(images.dtype)
    if len(shape) != 4 or shape[3] not in (3, None):
        expected = "RGB images of shape (N, H, W, 3), channels last"
    elif shape[0] == 0:
        expected = "at least one image"
    elif any(side is not None and side < least_side for side in shape[1:3]):
        expected = f"images of at least {least_side}x{least_side} pixels for {metric}"
    elif dtype != "uint8" and "float" not in dtype:
        expected = f"images of dtype uint8 (0 to 255), or floats in value_range={value_range}"
        raise ValueError(f"Expected {expected}. Received: {name}.dtype={dtype}")
    else:
        return
    raise ValueError(f"Expected {expected}. Received: {name}.shape={shape}")


def check_choice(name: str, value: Any, choices: Collection) -> None:
    """Raises ValueError for a `value` that is none of the choices."""
    if value not in choices:
        raise ValueError(
            f"Expected {name} to be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )


def checked_range(value_range: Any) -> Range:
    """(lowest, highest) as floats; raises ValueError where they span nothing."""
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            "Expected value_range=(lowest, highest), two finite numbers, the lower one first. "
            f"Received: {value_range!r}"
        )
    return low, high


def check_same_shape(**images: Any) -> None:
    """Raises ValueError where a shape differs from the first one, as far as they are static."""
    (name0, in0), *others = images.items()
    for name, image in others:
        if any(a != b and None not in (a, b) for a, b in zip(in0.shape, image.shape, strict=True)):
            raise ValueError(
                f"Expected {name0} and {name} to have the same shape. "
                f"Received: {name0}.shape={tuple(in0.shape)}, {name}.shape={tuple(image.shape)}"
            )


def check_range(name: str, images: Any, value_range: Range, stacklevel: int) -> tuple[bool, bool]:
    """Warns of float images that do not seem to span `value_range`.

    Returns:
        Whether there was anything to look at (not uint8, no traced graph), and whether it warned.

    Raises:
        ValueError: floats of 8-bit images.
    """
    numbers = None if is_uint8(images) else values(images)
    if numbers is None:
        return False, False
    least, most = float(numbers.min()), float(numbers.max())
    if looks_8_bit(least, most, value_range):
        raise ValueError(
            f"Expected {name} in value_range={value_range}. "
            f"Received: floats from {least:.4g} to {most:.4g}. {OF_8_BITS}"
        )
    return True, warn_of_range(name, least, most, value_range, stacklevel + 1)


def warn_of_range(
    name: str, least: float, most: float, value_range: Range, stacklevel: int = 1
) -> bool:
    """Warns of images that span `least` to `most`, if that is not `value_range`; whether it did."""
    if advice := _range_advice(least, most, *value_range):
        warnings.warn(
            f"{name} spans {least:.4g} to {most:.4g}, but value_range={value_range}. {advice}",
            stacklevel=stacklevel + 1,
        )
    return bool(advice)


def looks_8_bit(least: Any, most: Any, value_range: Range) -> Any:
    """Whether images that span `least` to `most` are 8-bit ones in floats and not of `value_range`:
    nowhere negative, and more than ten times as bright as it allows, but no brighter than 256. What
    a network gives that has lost its way has other values.
    """
    low, high = value_range
    return (least >= 0) & (most > low + 10 * (high - low)) & (most <= 256)


def may_look_8_bit(value_range: Range) -> bool:
    """Whether there are images that look 8-bit and not of `value_range`."""
    return bool(looks_8_bit(0.0, 255.0, value_range))


def may_be_of_another_range(least: Any, most: Any, value_range: Range) -> Any:
    """Whether there may be something to warn of, for numbers and tensors alike."""
    low, high = value_range
    slack = SLACK * (high - low)
    suspicious = (least < low - slack) | (most > high + slack)
    if (low, high) == (-1, 1):
        suspicious |= (least >= 0) & (most <= 1)
    elif high - low >= 100:
        suspicious |= (least >= -1) & (most <= 1)
    return suspicious


def _range_advice(least: float, most: float, low: float, high: float) -> str:
    slack = SLACK * (high - low)
    if looks_8_bit(least, most, (low, high)):
        return f"The distance is NaN. {OF_8_BITS}"
    if least < low - slack or most > high + slack:
        return "Pass value_range, or images of dtype uint8."
    if (low, high) == (-1, 1) and 0 <= least < most and 0.5 < most <= 1:
        return "If these images lie in [0, 1], pass value_range=(0, 1)."
    if high - low >= 100 and -1 <= least < most <= 1:
        return "If these images lie in [-1, 1] or [0, 1], pass that as value_range."
    return ""
