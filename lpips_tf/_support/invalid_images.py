"""Handles invalid images in compiled computations, where no error can be raised.

An image is invalid if no distance of it can be right, or if its values do not span `value_range`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import keras
from keras import ops

from lpips_tf._backend.execution import is_traced
from lpips_tf._backend.tensors import is_uint8
from lpips_tf._support.value_ranges import (
    Range,
    looks_8_bit,
    may_be_of_another_range,
    may_look_8_bit,
)

STEP = 8  # down and across, of the pixels looked at: one of 64 shows the range
STEPS = ("train_step", "test_step")  # Keras' names, which custom models keep


def nan_unless_valid(images: Any, value_range: Range) -> Any:
    """1 for each image, or NaN if no distance of the image is right.

    No distance is right if a pixel is NaN, infinite, or so large (about 1e15) that the norms of
    features overflow; or if the floats are those of an 8-bit image.

    TensorFlow's ReLU on a CPU turns NaN into 0, and features divided by an infinite norm are 0, so
    a diverged model would seem to have a low distance. Keras casts targets of uint8 to floats
    before a loss sees them.
    """
    if is_uint8(images):
        return ops.ones(1)
    large = ops.square(1e3 * ops.cast(images, "float32"))
    valid = ops.isfinite(ops.sum(large, axis=(1, 2, 3)))
    if may_look_8_bit(value_range):
        valid = valid & ~looks_8_bit(*_extremes(images, axis=(1, 2, 3)), value_range)
    return ops.where(valid, 1.0, float("nan"))


def tell_in_steps(images: Any, value_range: Range, tell: Callable[[float, float], None]) -> None:
    """Reports images of another range from a compiled step of Keras' `fit` or `evaluate`.

    The step calls `tell` with the lowest and the highest value of a batch when they may not span
    `value_range`. TensorFlow calls no Python from code that XLA compiles.
    """
    backends = {"tensorflow": _tell_tensorflow, "jax": _tell_jax}
    tell_backend = backends.get(keras.backend.backend())
    # `_in_step` is the slowest to find out, and comes last.
    if tell_backend is None or isinstance(images, keras.KerasTensor) or is_uint8(images):
        return
    if not is_traced(images) or not _in_step():
        return
    lowest, highest = _extremes(images)
    tell_backend(may_be_of_another_range(lowest, highest, value_range), tell, lowest, highest)


def _extremes(images: Any, axis: Any = None) -> tuple[Any, Any]:
    """The lowest and the highest of a sample of pixels."""
    some = ops.stop_gradient(images[:, ::STEP, ::STEP])
    return ops.amin(some, axis=axis), ops.amax(some, axis=axis)


def _in_step() -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in STEPS and isinstance(frame.f_locals.get("self"), keras.Model):
            return True
        frame = frame.f_back
    return False


def _tell_tensorflow(
    suspicious: Any, tell: Callable[[float, float], None], lowest: Any, highest: Any
) -> None:
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # there is no public name for this

    if control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
        return

    def call() -> Any:
        told = tf.py_function(lambda a, b: tell(float(a), float(b)), [lowest, highest], [])
        with tf.control_dependencies([told]):
            return tf.constant(True)

    tf.cond(suspicious, call, lambda: tf.constant(False))


def _tell_jax(
    suspicious: Any, tell: Callable[[float, float], None], lowest: Any, highest: Any
) -> None:
    import jax

    def call(a: Any, b: Any) -> None:
        jax.debug.callback(lambda a, b: tell(float(a), float(b)), a, b)

    jax.lax.cond(suspicious, call, lambda a, b: None, lowest, highest)
