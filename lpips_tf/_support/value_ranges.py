"""Validates the range of float images."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from lpips_tf._backend.tensors import is_uint8, values
from lpips_tf._support.arguments import is_number

Range = tuple[float, float]
SLACK = 0.1  # share of a range by which networks overshoot
OF_8_BITS = (
    "Scale 8-bit images, pass value_range=(0, 255), or pass images of dtype uint8, which Keras "
    "casts to floats if they are the targets of a loss."
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
    lowest, highest = float(numbers.min()), float(numbers.max())
    if looks_8_bit(lowest, highest, value_range):
        raise ValueError(
            f"Expected {name} in value_range={value_range}. "
            f"Received: floats from {lowest:.4g} to {highest:.4g}. {OF_8_BITS}"
        )
    return True, warn_of_range(name, lowest, highest, value_range, stacklevel + 1)


def warn_of_range(
    name: str, lowest: float, highest: float, value_range: Range, stacklevel: int = 1
) -> bool:
    """Warns if `lowest` to `highest` hardly spans `value_range`, and returns whether it did."""
    if advice := _range_advice(lowest, highest, *value_range):
        warnings.warn(
            f"{name} spans {lowest:.4g} to {highest:.4g}, but value_range={value_range}. {advice}",
            stacklevel=stacklevel + 1,
        )
    return bool(advice)


def looks_8_bit(lowest: Any, highest: Any, value_range: Range) -> Any:
    """Whether `lowest` to `highest` looks like 8-bit images in floats, not like `value_range`.

    Such images are nowhere negative, and more than ten times as bright as `value_range` allows, but
    no brighter than 256. A network that diverges has outputs of other values.
    """
    low, high = value_range
    return (lowest >= 0) & (highest > low + 10 * (high - low)) & (highest <= 256)


def may_look_8_bit(value_range: Range) -> bool:
    """Whether there are images that look 8-bit and not of `value_range`."""
    return bool(looks_8_bit(0.0, 255.0, value_range))


def may_be_of_another_range(lowest: Any, highest: Any, value_range: Range) -> Any:
    """Whether `lowest` to `highest`, numbers or tensors, may deserve a warning."""
    low, high = value_range
    slack = SLACK * (high - low)
    suspicious = (lowest < low - slack) | (highest > high + slack)
    if (low, high) == (-1, 1):
        suspicious |= (lowest >= 0) & (highest <= 1)
    elif high - low >= 100:
        suspicious |= (lowest >= -1) & (highest <= 1)
    return suspicious


def _range_advice(lowest: float, highest: float, low: float, high: float) -> str:
    slack = SLACK * (high - low)
    if looks_8_bit(lowest, highest, (low, high)):
        return f"The distance is NaN. {OF_8_BITS}"
    if lowest < low - slack or highest > high + slack:
        return "Pass value_range, or images of dtype uint8."
    if (low, high) == (-1, 1) and 0 <= lowest < highest and 0.5 < highest <= 1:
        return "If these images lie in [0, 1], pass value_range=(0, 1)."
    if high - low >= 100 and -1 <= lowest < highest <= 1:
        return "If these images lie in [-1, 1] or [0, 1], pass that as value_range."
    return ""
