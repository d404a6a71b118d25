"""Validates arguments other than images."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from lpips_tf._backend.tensors import has_float64


def is_array(value: Any) -> bool:
    """Whether `value` is an array, tensor or symbol, and neither ragged nor sparse."""
    ragged = type(value).__name__ in ("RaggedTensor", "SparseTensor")
    return hasattr(value, "shape") and hasattr(value, "dtype") and not ragged


def shown(value: Any) -> str:
    """Describes a received value in a few words."""
    if is_array(value):
        return f"{type(value).__name__} of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, (list, tuple, dict, set)):
        return type(value).__name__
    return reprlib.repr(value)


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Raises ValueError unless `value` is one of the choices."""
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        raise ValueError(
            f"Expected {name} to be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={shown(value)}"
        )


def check_flag(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"Expected {name} to be True or False. Received: {name}={shown(value)}")


def check_whole(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is an integer."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise ValueError(f"Expected {name} as a whole number. Received: {name}={shown(value)}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raises ValueError unless `value` is an integer of at least `least`."""
    check_whole(name, value)
    if value < least:
        raise ValueError(f"Expected {name} of at least {least}. Received: {value}")


def checked_size(name: str, size: Any) -> tuple[int, int]:
    """The (height, width) that was given; raises ValueError unless both are at least 1."""
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"Expected {name}=(height, width). Received: {name}={shown(size)}")
    for side, number in zip(("height", "width"), size, strict=True):
        check_count(f"{name}'s {side}", number)
    return int(size[0]), int(size[1])


def check_share(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a number in [0, 1)."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"Expected {name} in [0, 1). Received: {name}={shown(value)}")


def checked_source(name: str, source: Any) -> str | None:
    """The source of weights as text; raises ValueError for one that is no name or path."""
    if source is None:
        return None
    if not isinstance(source, (str, os.PathLike)) or not os.fspath(source):
        raise ValueError(
            f"Expected {name} to be a name, a path or None. Received: {name}={shown(source)}"
        )
    return os.fspath(source)


def checked_policy(dtype: Any) -> keras.DTypePolicy:
    """A Keras dtype policy; raises ValueError unless it computes with floats that there are."""
    try:
        policy = keras.dtype_policies.get(dtype)
        floating = "float" in policy.compute_dtype
    except (TypeError, ValueError, AttributeError):
        floating = False
    if floating and policy.compute_dtype == "float64" and not has_float64():
        raise ValueError(
            "Expected jax.config.update('jax_enable_x64', True) before dtype='float64', which JAX "
            "would compute in float32"
        )
    if floating:
        return policy
    raise ValueError(
        "Expected a dtype or policy of floats, such as 'float32' or 'mixed_bfloat16'. "
        f"Received: dtype={shown(dtype)}"
    )


def is_number(value: Any) -> bool:
    """Whether `value` is a real number, other than True and False."""
    numbers = (int, float, np.integer, np.floating)
    return isinstance(value, numbers) and not isinstance(value, bool)
