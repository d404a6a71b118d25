"""Distances of image files within a graph, those of one size in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from lpips_tf._support.image_batches import BATCH_PIXELS

PARALLEL = 4  # batches at once
PNG_HEADER = 24  # bytes of a PNG file up to the end of its width and height


def distances_of_files(
    distance: Callable[[Any, Any], Any], in0: tf.Tensor, in1: tf.Tensor, shape: tuple[Any, ...]
) -> tf.Tensor:
    """The distances of pairs of PNG or JPEG files, computed in batches of pairs of one size.

    Args:
        distance: of two batches of uint8 images.
        in0, in1: (N,) strings, the contents of the files.
        shape: of what `distance` gives for a pair.

    Raises:
        tf.errors.InvalidArgumentError: no files, different numbers of files, a file that is neither
            PNG nor JPEG, sizes that `distance` refuses, or maps of several sizes.
    """
    counts = ["Expected one file or more in in0, and as many in in1. Received:"]
    counts += [tf.size(in0), tf.size(in1)]
    right = (tf.size(in0) > 0) & (tf.size(in0) == tf.size(in1))
    with tf.control_dependencies([tf.Assert(right, counts)]):
        in0 = tf.identity(in0)
    batches = _batches(tf.concat([_sizes(in0), _sizes(in1)], axis=1))
    results = tf.TensorArray(tf.float32, tf.size(in0), element_shape=shape)

    def compute(i: tf.Tensor, results: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        rows = tf.cast(tf.where(batches == i)[:, 0], tf.int32)
        images = [_decoded(tf.gather(files, rows)) for files in (in0, in1)]
        return i + 1, results.scatter(rows, distance(*images))

    start = (tf.constant(0), results)
    most = tf.reduce_max(batches)
    _, results = tf.while_loop(lambda i, _: i <= most, compute, start, parallel_iterations=PARALLEL)
    return results.stack()


def _batches(sizes: tf.Tensor) -> tf.Tensor:
    """The number of each pair's batch, (N,), from 0, given the heights and widths (N, 4)."""
    _, group, counts = tf.raw_ops.UniqueWithCountsV2(x=sizes, axis=[0])
    order = tf.argsort(group, stable=True)
    place = tf.range(tf.size(group)) - tf.gather(
        tf.cumsum(counts, exclusive=True), tf.gather(group, order)
    )  # of the sorted pairs, among those of their size
    place = tf.scatter_nd(order[:, None], place, tf.shape(group))
    pixels = tf.maximum(sizes[:, 0] * sizes[:, 1], 1)
    length = tf.cast(tf.maximum(BATCH_PIXELS // pixels, 1), tf.int32)
    keys = tf.cast(group, tf.int64) * tf.size(group, tf.int64) + tf.cast(place // length, tf.int64)
    return tf.unique(keys).idx


def _sizes(files: tf.Tensor) -> tf.Tensor:
    """The heights and widths in the headers of files, (N, 2)."""
    return tf.map_fn(_size, files, fn_output_signature=tf.TensorSpec((2,), tf.int64))


def _size(content: tf.Tensor) -> tf.Tensor:
    png = tf.strings.substr(content, 0, 4) == b"\x89PNG"
    png &= tf.strings.length(content) >= PNG_HEADER
    jpeg = tf.io.is_jpeg(content)
    known = tf.Assert(png | jpeg, ["Expected images as the content of PNG or JPEG files."])
    with tf.control_dependencies([known]):
        content = tf.identity(content)

    def of_png() -> tf.Tensor:
        sides = tf.strings.substr(content, PNG_HEADER - 8, 8)
        sides = tf.reshape(tf.io.decode_raw(sides, tf.int32, little_endian=False), (2,))
        return tf.reverse(sides, [0])  # the width comes first

    size = tf.cond(jpeg, lambda: tf.io.extract_jpeg_shape(content)[:2], of_png)
    return tf.cast(size, tf.int64)


def _decoded(files: tf.Tensor) -> tf.Tensor:
    """Decodes PNG or JPEG files of one size to (N, H, W, 3) uint8."""
    return tf.map_fn(
        lambda content: tf.cond(
            tf.io.is_jpeg(content),
            lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(content, channels=3),
        ),
        files,
        fn_output_signature=tf.TensorSpec((None, None, 3), tf.uint8),
    )
