"""Convolutions by the TensorFlow kernels that are fast on this processor.

For a batch of one image, TensorFlow hands the weights of a two-dimensional convolution to oneDNN as
they are, and not in the order that oneDNN would choose (`MklConvFwdPrimitive::Setup` in
mkl_conv_ops.cc). Of the implementations for processors without AVX-512 only one takes such weights.
It unfolds the image's patches into a matrix, which makes VGG16 two times slower, and where that
takes more than 1 GiB oneDNN falls back to its reference implementation, with which a pair of
1024x1024 had no result after 25 minutes.

A three-dimensional convolution of depth 1 computes the same sums, and always gets oneDNN's own
order. For several images oneDNN then runs the same code as in two dimensions.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Any

import keras

_PORTABLE = contextvars.ContextVar("_PORTABLE", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """A scope, or a decorator, for graphs that are to run on any processor."""
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


def needs_depth(images: Any) -> bool:
    """Whether a convolution of images (N, H, W, C) is to have three dimensions.

    It needs none where the graph knows of several images, and XLA compiles two to faster code.
    """
    # The backend is asked each time: PyTorch's compiler traces this far, and warns of a cache.
    return (
        keras.backend.backend() == "tensorflow"
        and images.dtype == "float32"
        and images.shape[0] in (None, 1)
        and not _PORTABLE.get()
        and _single_images_are_slow()
    )


def convolution(images: Any, kernel: Any, bias: Any, stride: int, padding: str, depth: bool) -> Any:
    """relu(convolution + bias) under TensorFlow, (N, H, W, C) to (N, h, w, filters).

    Args:
        images, kernel, bias: tensors.
        stride: in both directions.
        padding: "SAME" or "VALID", as for `tf.nn.conv2d`.
        depth: whether it has three dimensions.
    """
    import tensorflow as tf

    if not depth:
        features = tf.nn.conv2d(images, kernel, stride, padding)
        return tf.nn.relu(tf.nn.bias_add(features, bias))
    images, kernel = tf.expand_dims(images, 1), tf.expand_dims(kernel, 0)
    features = tf.nn.conv3d(images, kernel, (1, 1, stride, stride, 1), padding)
    return tf.squeeze(tf.nn.relu(tf.nn.bias_add(features, bias)), 1)


@functools.cache
def _single_images_are_slow() -> bool:
    """Whether TensorFlow uses oneDNN on an x86 processor without AVX-512."""
    import tensorflow as tf

    try:  # there are no public names; without these single images only take longer
        from numpy._core._multiarray_umath import __cpu_features__
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:
        return False
    narrow = __cpu_features__.get("AVX512F") is False  # other processors than x86 lack the name
    kernels = bool(_pywrap_util_port.IsMklEnabled())
    return narrow and kernels and not tf.config.list_physical_devices("GPU")
