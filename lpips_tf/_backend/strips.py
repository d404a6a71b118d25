"""Convolutions of large images by TensorFlow, strip by strip.

TensorFlow's oneDNN kernels for processors without AVX-512 unfold an image's patches into a matrix.
Where that takes more than 1 GiB, oneDNN falls back to its reference implementation
(`ref_convolution_fwd_t`), with which VGG16 had not compared a pair of 1024x1024 after 25 minutes.
Strips of rows keep below the bound, with the same sums.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from typing import Any

import keras

MOST_BYTES = 2**29  # of a whole image, half of oneDNN's bound
STRIP_BYTES = 2**26  # of a strip; about the fastest of 2**23 to 2**29 on the machine at hand
MOST_PIXELS = 2**18  # of images whose convolutions are small enough on up to 12 threads


def are_needed(*images: Any) -> bool:
    """Whether convolutions of images of this size may have to be computed strip by strip."""
    if not _bounded():
        return False
    most = MOST_PIXELS * min(1, 12 / _threads())
    return any(image.shape[1] * image.shape[2] >= most for image in images)


def number_of_strips(
    shape: tuple[int | None, ...], kernel_shape: tuple[int, ...], stride: int
) -> int:
    """Of how many strips a convolution is to be computed; 1 if the size is not known.

    Args:
        shape: of its input, (N, H, W, C).
        kernel_shape: (h, w, C, filters).
        stride: in both directions.
    """
    _, height, width, _ = shape
    if height is None or width is None or not _bounded():
        return 1
    rows, columns, channels, filters = kernel_shape
    # What oneDNN takes is one or the other, by its choice of what threads share.
    numbers = max(rows * columns * channels + filters, _threads() * filters)
    size = 4 * numbers * height * width / stride**2
    if size <= MOST_BYTES:
        return 1
    most = max(1, (height - rows) // stride)  # a strip has one row or more
    # Powers of two, so that there are few graphs.
    return int(2 ** min(math.ceil(math.log2(size / STRIP_BYTES)), math.floor(math.log2(most))))


def convolved(padded: Any, kernel: Any, stride: int, strips: int) -> Any:
    """`tf.nn.conv2d(padded, kernel, stride, "VALID")`, computed strip by strip."""
    import tensorflow as tf

    if strips == 1:
        return tf.nn.conv2d(padded, kernel, stride, "VALID")
    side = kernel.shape[0]
    rows = (tf.shape(padded)[1] - side) // stride + 1
    edges = [rows * i // strips for i in range(strips + 1)]
    parts = [
        tf.nn.conv2d(
            padded[:, start * stride : (stop - 1) * stride + side], kernel, stride, "VALID"
        )
        for start, stop in itertools.pairwise(edges)
    ]
    return tf.concat(parts, axis=1)


def _bounded() -> bool:
    """Whether convolutions are computed with the kernels that have the bound."""
    # The backend is asked each time: PyTorch's compiler traces this far, and warns of a cache.
    return keras.backend.backend() == "tensorflow" and _tensorflow_is_bounded()


@functools.cache
def _tensorflow_is_bounded() -> bool:
    import tensorflow as tf
    from numpy._core._multiarray_umath import __cpu_features__  # known on every system
    from tensorflow.python.util import _pywrap_util_port  # TensorFlow has no public name for it

    wide = __cpu_features__.get("AVX512F", False)
    kernels = bool(_pywrap_util_port.IsMklEnabled())
    return kernels and not wide and not tf.config.list_physical_devices("GPU")


def _threads() -> int:
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
