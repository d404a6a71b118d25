"""A metric as an ONNX file."""

from __future__ import annotations

import os
from pathlib import Path

from lpips_tf._backend.kernels import portable
from lpips_tf._support.whole_files import written_whole
from lpips_tf.export.common import check_exportable, described, distance_graph, quiet
from lpips_tf.metric import LPIPS

OPSET = 18


@portable()
def export_onnx(metric: LPIPS, path: str | os.PathLike[str]) -> None:
    """Writes a metric to an ONNX file of opset 18.

    Its inputs are "in0" and "in1", float32 images (N, H, W, 3) in the metric's `value_range`, of
    any number and size; its output is "distance" (N,), or for a spatial metric maps (N, H, W, 1).
    The file's properties have the network, the version, the value range, the minimum size of images
    and whether there are heads and maps. An ONNX file checks nothing. The caller must refuse
    smaller images, which crash some runtimes, and batches of different lengths, one of which may be
    broadcast.

    Args:
        metric: its weights become constants.
        path: of the file, which appears whole or not at all.

    Raises:
        ValueError: Keras' backend is not TensorFlow.
        OSError: the file cannot be written.
        ImportError: `onnx` or `tf2onnx` is missing.
    """
    check_exportable(metric)
    try:
        with quiet():
            import onnx
            import tf2onnx
    except ModuleNotFoundError as error:
        raise ImportError(
            f'ONNX needs {error.name}, which is not installed: pip install "lpips-tf[onnx]"'
        ) from error
    function = distance_graph(metric)
    specs = function.input_signature
    with written_whole(Path(path)) as temporary:
        with quiet():
            model, _ = tf2onnx.convert.from_function(function, specs, opset=OPSET)
        onnx.helper.set_model_props(model, described(metric))
        for value in (*model.graph.input, *model.graph.output):
            dimensions = value.type.tensor_type.shape.dim
            for dimension, name in zip(dimensions, ("batch", "height", "width"), strict=False):
                dimension.dim_param = name
        onnx.checker.check_model(model)
        onnx.save(model, str(temporary))
