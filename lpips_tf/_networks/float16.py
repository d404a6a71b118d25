"""Bounds and gradient scales for float16, whose numbers end at 65,504 and begin at 6e-8.

Bounds keep out infinity, which leads to NaN. Scales give gradients a size that float16 can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from lpips_tf._backend import custom_gradients

# The number of a batch's pixels over this is in the middle of the factors that do no harm, measured
# with AlexNet and VGG16 for losses as they are and for losses times 2^15.
PIXELS = 256


@keras.saving.register_keras_serializable(package="lpips_tf")
def bounded(x: Any) -> Any:
    """`x`, and its gradient, with the largest finite number in place of infinity, and 0 for NaN."""
    if keras.backend.backend() == "tensorflow":
        return _call(_bounded, x)

    @ops.custom_gradient
    def identity(x: Any) -> tuple[Any, Callable[..., Any]]:
        return ops.nan_to_num(x), lambda *args, upstream=None: ops.nan_to_num(
            args[-1] if upstream is None else upstream
        )

    return identity(x)


def with_gradient_times(x: Any, factor: Any) -> Any:
    """`x`, with its gradient multiplied by `factor`."""
    if keras.backend.backend() == "tensorflow":
        return _call(_times, x, ops.cast(ops.stop_gradient(factor), x.dtype))

    @ops.custom_gradient
    def identity(x: Any) -> tuple[Any, Callable[..., Any]]:
        return x, lambda *args, upstream=None: factor * (args[-1] if upstream is None else upstream)

    return identity(x)


def _bounded(x: Any) -> tuple[Any, Callable[..., Any]]:
    return ops.nan_to_num(x), ops.nan_to_num


def _times(x: Any, factor: Any) -> tuple[Any, Callable[..., Any]]:
    return x, lambda upstream: (factor * upstream, ops.zeros_like(factor))


def _call(function: Callable[..., Any], x: Any, *others: Any) -> Any:
    import tensorflow as tf

    inputs = [tf.convert_to_tensor(tensor) for tensor in (x, *others)]
    specs = tuple(tf.TensorSpec([None] * len(i.shape), i.dtype) for i in inputs)
    return tf.ensure_shape(custom_gradients.call(function, *inputs, specs=specs), x.shape)


def gradient_scale(images: Any) -> Any:
    """The factor for gradients before they enter a float16 backbone.

    A feature's gradient is about 1 / (its norm x the number of positions), and the losses of a
    batch are averaged: in float16 many would be 0 (at 256x256 VGG16's gradient loses a quarter of
    its norm). The loss scale of 2^15 with which Keras' LossScaleOptimizer starts still fits.
    """
    count, height, width, _ = ops.shape(images)
    return ops.cast(count * height * width, "float32") / PIXELS
