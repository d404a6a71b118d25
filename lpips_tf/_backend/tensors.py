"""Operations on tensors that differ between the Keras backends."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from lpips_tf._backend.execution import is_traced, replica


def as_tensors(*images: Any, min_size: int) -> tuple[Any, ...]:
    """Converts batches of images of one size to tensors; symbols of Keras stay what they are.

    Batches have three channels, and a mask among them one.

    A TensorFlow graph gets checks of the shapes that are not static. Without them TensorFlow's
    kernels would broadcast one batch to the other, and crash for an image that is too small to
    pool. Other backends know all shapes when they trace.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs.
    """
    if any(isinstance(image, keras.KerasTensor) for image in images):
        return images
    if keras.backend.backend() != "tensorflow":
        return tuple(keras.ops.convert_to_tensor(image) for image in images)
    import tensorflow as tf

    if not (tf.executing_eagerly() or tf.inside_function()):
        raise ValueError(
            "Expected eager execution or a tf.function. Received: images in a graph of TensorFlow 1"
        )
    tensors = [keras.ops.convert_to_tensor(image) for image in images]
    if not all(tensor.shape.is_fully_defined() for tensor in tensors):
        shape0, *shapes = [tf.shape(tensor) for tensor in tensors]
        conditions = [
            tf.Assert(
                tf.reduce_all(tf.equal(shape0[:3], shape[:3])),
                ["Expected images, and masks, of the same shape. Received:", shape0, shape],
            )
            for shape in shapes
        ]
        least = f"Expected images of at least {min_size}x{min_size} pixels. Received:"
        conditions += [tf.Assert(tf.reduce_all(shape0[1:3] >= min_size), [least, shape0])]
        # A last batch may be too small for all replicas to get a part of it.
        if replica()[1] == 1:
            conditions += [
                tf.Assert(shape0[0] > 0, ["Expected at least one image. Received:", shape0])
            ]
        with tf.control_dependencies(conditions):
            tensors = [tf.ensure_shape(tensor, open_shape(tensor)) for tensor in tensors]
    return tuple(tensors)


def open_shape(images: Any) -> tuple[None, None, None, int]:
    """The shape of a batch of any number and size: of images, or of masks if it has one channel."""
    return (None, None, None, 1 if images.shape[-1] == 1 else 3)


def nan_unless_comparable(results: Any, images: tuple[Any, ...], min_size: int) -> Any:
    """Replaces results by NaN where `as_tensors` raises an error when a graph runs.

    XLA drops the errors of TensorFlow's graphs. The gradients of such results are NaN too.
    """
    if keras.backend.backend() != "tensorflow":
        return results
    import tensorflow as tf

    if all(None not in image.shape for image in images):
        return results
    shape0, *shapes = [tf.shape(image) for image in images]
    right = tf.reduce_all(shape0[1:3] >= min_size)
    for shape in shapes:
        right &= tf.reduce_all(tf.equal(shape0[:3], shape[:3]))
    valid = tf.where(right, 1.0, float("nan"))
    return tf.nest.map_structure(lambda result: result * tf.cast(valid, result.dtype), results)


def is_uint8(images: Any) -> bool:
    """Whether an array, tensor or symbol has the dtype uint8."""
    return bool(keras.backend.standardize_dtype(images.dtype) == "uint8")


def has_float64() -> bool:
    """Whether there is float64 now: JAX computes in float32 instead until it is enabled."""
    if keras.backend.backend() != "jax":
        return True
    import jax

    return bool(jax.config.jax_enable_x64)


def accurate_dtype() -> str:
    """float64, or float32 under JAX, which disables float64 by default."""
    return "float32" if keras.backend.backend() == "jax" else "float64"


def mean(x: Any, axis: int | tuple[int, ...], keepdims: bool = False) -> Any:
    """`keras.ops.mean`, which under JAX and PyTorch computes that of float64 in float32."""
    if keras.backend.backend() == "tensorflow" or str(x.dtype).removeprefix("torch.") != "float64":
        return keras.ops.mean(x, axis=axis, keepdims=keepdims)
    axes = (axis,) if isinstance(axis, int) else axis
    count = math.prod(x.shape[i] for i in axes)
    return keras.ops.sum(x, axis=axes, keepdims=keepdims) / count


def mean_over_positions(features: Any) -> Any:
    """The mean over all positions, (N, h, w, C) to (N, 1, 1, C).

    The mean is taken row by row, because float32 loses four digits in a sum of millions. Reductions
    keep their axes: otherwise TensorFlow's gradients take the axes as tensors, and XLA recompiles a
    loaded SavedModel for each batch.
    """
    return mean(mean(features, axis=2, keepdims=True), axis=1, keepdims=True)


def values(tensor: Any) -> npt.NDArray[Any] | None:
    """The numbers in a tensor or array; None while a graph is traced, when a tensor has none."""
    if isinstance(tensor, np.ndarray):
        return tensor
    return None if is_traced(tensor) else keras.ops.convert_to_numpy(tensor)


def zero_padded(images: Any, pad: int) -> Any:
    """Images (N, H, W, C) with rows and columns of zeros at each side."""
    if keras.backend.backend() == "torch":  # which cannot compile `keras.ops.pad`
        import torch

        return torch.nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
    return keras.ops.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def resize_bilinear(maps: Any, size: tuple[Any, Any]) -> Any:
    """Resizes maps (N, h, w, C) to `size` (height, width) bilinearly with half-pixel centres.

    PyTorch calls that `align_corners=False`.
    """
    if keras.backend.backend() != "tensorflow":
        resize = keras.ops.image.resize
        return resize(maps, size, interpolation="bilinear", data_format="channels_last")
    # Keras' own resize refuses sizes that are known only when a graph runs.
    import tensorflow as tf

    if maps.dtype == tf.float64:  # TensorFlow's resize gives float32
        rows, columns = (_interpolation(tf.shape(maps)[i], size[i - 1]) for i in (1, 2))
        return tf.einsum("nhwc,yh,xw->nyxc", maps, rows, columns)
    return tf.cast(tf.image.resize(maps, size, method="bilinear"), maps.dtype)


def average_areas(maps: Any, size: tuple[Any, Any]) -> Any:
    """Resizes maps (N, H, W, 1) to a smaller `size` by averaging what each position covers.

    The mean of a map does not change, and a map of ones stays exactly one: overlaps are whole
    numbers, in units of 1/h of a pixel, until their sum is divided.
    """
    dtype = accurate_dtype()
    _, height, width, _ = keras.ops.shape(maps)
    rows, columns = _overlaps(height, size[0], dtype), _overlaps(width, size[1], dtype)
    equation, operands = "nhwc,yh,xw->nyxc", (keras.ops.cast(maps, dtype), rows, columns)
    if keras.backend.backend() == "jax":  # which multiplies with few digits on accelerators
        import jax.numpy as jnp

        sums = jnp.einsum(equation, *operands, precision="highest")
    else:
        sums = keras.ops.einsum(equation, *operands)
    return keras.ops.cast(sums / keras.ops.cast(height * width, dtype), maps.dtype)


def _overlaps(length: Any, size: Any, dtype: str) -> Any:
    """The overlap of each of `size` equal parts of an axis with its pixels, times `size`."""
    parts = keras.ops.cast(keras.ops.arange(size), dtype)[:, None]
    pixels = keras.ops.cast(keras.ops.arange(length), dtype)
    length, size = (keras.ops.cast(number, dtype) for number in (length, size))
    # By `where`: under PyTorch `minimum` and `maximum` of Keras give float32.
    end, end_of_pixel = (parts + 1) * length, (pixels + 1) * size
    start, start_of_pixel = parts * length, pixels * size
    end = keras.ops.where(end < end_of_pixel, end, end_of_pixel)
    start = keras.ops.where(start > start_of_pixel, start, start_of_pixel)
    return keras.ops.where(end > start, end - start, keras.ops.zeros_like(end))


def _interpolation(length: Any, size: Any) -> Any:
    """The matrix (size, length) in float64 that resizes an axis bilinearly."""
    import tensorflow as tf

    length, size = tf.cast(length, tf.float64), tf.cast(size, tf.float64)
    places = (tf.range(size) + 0.5) * length / size - 0.5
    places = tf.clip_by_value(places, 0, length - 1)
    return tf.maximum(1 - tf.abs(places[:, None] - tf.range(length)), 0)
