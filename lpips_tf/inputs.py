"""What a metric says of the images that it is given, before it computes anything."""

from __future__ import annotations

import contextlib
import os
import reprlib
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
    """Arrays, tensors and symbols as they are, and sequences of images as one batch.

    Nested lists of numbers are refused: what they hold would be read as floats, whatever it was.

    Raises:
        ValueError: what holds no numbers, or images of several shapes.
    """
    if isinstance(images, (list, tuple)) and images and all(map(_is_array, images)):
        if shapes := sorted({tuple(i.shape) for i in images} - {tuple(images[0].shape)}):
            raise two_sizes(images[0].shape, shapes[0])
        plain = all(isinstance(image, np.ndarray) for image in images)
        return np.stack(images) if plain else keras.ops.stack(images)
    if not _is_array(images) or getattr(images.dtype, "kind", "f") in "OSU":
        raise ValueError(f"Expected arrays or tensors of images. Received: {shown(images)}")
    return images


def _is_array(value: Any) -> bool:
    ragged = type(value).__name__ in ("RaggedTensor", "SparseTensor")
    return hasattr(value, "shape") and hasattr(value, "dtype") and not ragged


def two_sizes(first: Any, second: Any) -> ValueError:
    return ValueError(f"Expected images of one size. Received: {tuple(first)} and {tuple(second)}")


def shown(value: Any) -> str:
    """What was received, in a few words."""
    if _is_array(value):
        return f"{type(value).__name__} of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, (list, tuple, dict, set)):
        return type(value).__name__
    return reprlib.repr(value)


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


def check_choice(name: str, value: Any, choices: Collection) -> None:
    """Raises ValueError for a `value` that is none of the choices."""
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        raise ValueError(
            f"Expected {name} to be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={shown(value)}"
        )


def check_flag(name: str, value: Any) -> None:
    """Raises ValueError for what is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"Expected {name} to be True or False. Received: {name}={shown(value)}")


def check_whole(name: str, value: Any) -> None:
    """Raises ValueError for what is no whole number."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise ValueError(f"Expected {name} as a whole number. Received: {name}={shown(value)}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raises ValueError for what is no whole number of at least `least`."""
    check_whole(name, value)
    if value < least:
        raise ValueError(f"Expected {name} of at least {least}. Received: {value}")


def check_share(name: str, value: Any) -> None:
    """Raises ValueError for what is no number from 0 up to, and without, 1."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"Expected {name} in [0, 1). Received: {name}={shown(value)}")


def checked_source(name: str, source: Any) -> str | None:
    """Where weights come from, as text; raises ValueError for what is no name or path."""
    if source is None:
        return None
    if not isinstance(source, (str, os.PathLike)) or not os.fspath(source):
        raise ValueError(
            f"Expected {name} to be a name, a path or None. Received: {name}={shown(source)}"
        )
    return os.fspath(source)


def checked_policy(dtype: Any) -> keras.DTypePolicy:
    """A policy of Keras; raises ValueError for one that does not compute with floats."""
    try:
        policy = keras.dtype_policies.get(dtype)
        if "float" in policy.compute_dtype:
            return policy
    except (TypeError, ValueError, AttributeError):
        pass
    raise ValueError(
        "Expected a dtype or policy of floats, such as 'float32' or 'mixed_bfloat16'. "
        f"Received: dtype={shown(dtype)}"
    )


def checked_range(value_range: Any) -> Range:
    """(lowest, highest) as floats; raises ValueError where they span nothing that float32 holds."""
    numbers = list(value_range) if isinstance(value_range, (tuple, list, np.ndarray)) else []
    if len(numbers) == 2 and all(map(is_number, numbers)):
        low, high = map(float, numbers)
        with np.errstate(over="ignore"):
            span = np.float32(high) - np.float32(low)
        if np.finfo(np.float32).tiny <= span < np.inf:
            return low, high
    raise ValueError(
        "Expected value_range=(lowest, highest), two finite numbers, the lower one first. "
        f"Received: {value_range!r}"
    )


def is_number(value: Any) -> bool:
    """Whether `value` is a real number, other than True and False."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


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
