"""A metric as a LiteRT (TensorFlow Lite) file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from lpips_tf._backend.kernels import portable
from lpips_tf._support.arguments import check_choice, checked_size
from lpips_tf._support.sizes import check_min_size
from lpips_tf._support.whole_files import written_whole
from lpips_tf.export.common import check_exportable, described, distance_graph, quiet, weights
from lpips_tf.metric import LPIPS

QUANTIZATIONS = (None, "dynamic", "float16")


@portable()
def export_litert(
    metric: LPIPS,
    path: str | os.PathLike[str],
    input_shape: tuple[int, int] = (64, 64),
    quantize: str | None = None,
) -> None:
    """Writes a metric to a LiteRT file, for one pair of images of a fixed size.

    Its signature "serving_default" takes "in0" and "in1", float32 images (1, H, W, 3) in the
    metric's `value_range`, to "distance" (1,), or for a spatial metric a map (1, H, W, 1). The
    file's description is JSON with the network, the version, the value range, the minimum size of
    images and whether there are heads and maps.

    Args:
        metric: its weights are copied.
        path: of the file, which appears whole or not at all.
        input_shape: (height, width) of the images.
        quantize: "float16" halves the weights, "dynamic" makes them 8-bit integers; None keeps
            float32.

    Raises:
        ValueError: an unknown `quantize`, a size that the network does not take, or Keras' backend
            is not TensorFlow.
        OSError: the file cannot be written.
    """
    check_exportable(metric)
    check_choice("quantize", quantize, QUANTIZATIONS)
    height, width = checked_size("input_shape", input_shape)
    received = f"input_shape={height, width}"
    check_min_size((height, width), metric.min_size, f"net={metric.net!r}", received)
    module = tf.Module()
    module.weights = weights(metric)
    with quiet():
        function = distance_graph(metric, 1, height, width).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
    with written_whole(Path(path)) as temporary:
        with quiet():
            model = flatbuffer_utils.convert_bytearray_to_object(converter.convert())
        model.description = json.dumps(described(metric))
        temporary.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
