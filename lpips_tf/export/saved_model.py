"""A metric as a SavedModel: for TensorFlow Serving, and as a loss where this package is not
installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from lpips_tf.export import warmup as warmups
from lpips_tf.export.common import check_exportable, distance_graph, weights
from lpips_tf.files import folder_written_whole
from lpips_tf.metric import LPIPS

FLOATS = tf.TensorSpec((None, None, None, 3), tf.float32)
FILES = tf.TensorSpec((None,), tf.string)


def export_saved_model(
    metric: LPIPS, path: str | os.PathLike, number: int | None = None, warmup: bool = True
) -> Path:
    """Writes a metric where TensorFlow Serving looks for it: to `path/1`, or the next free number.

    Signatures, each of "in0" and "in1" to "distance" (N,), or for a spatial metric maps
    (N, H, W, 1):

    - "serving_default": float32 images (N, H, W, 3) in the metric's `value_range`;
    - "uint8": images of that type;
    - "encoded": (N,) strings, the contents of PNG or JPEG files. The two of a pair have one size;
      pairs may differ, but not where maps are asked for;
    - "embed", unless spatial: "image" (N, H, W, 3) in float32 to "embedding" (N, D).

    `tf.saved_model.load(path / "1")` is called like the metric with float32 images, and has its
    gradients.

    Args:
        metric: its weights are kept once for all signatures.
        path: folder of the model. TensorFlow Serving may be watching it: a version appears whole.
        number: the version, from 1.
        warmup: also write a request of each signature, which TensorFlow Serving then runs when it
            loads the model; needs `tensorflow-serving-api`.

    Returns:
        The folder of the version.

    Raises:
        ValueError: `number` is below 1, or there is such a version; or the metric is not of
            float32, or Keras' backend is not TensorFlow.
        OSError: the folder cannot be written to.
        ImportError: `tensorflow-serving-api` is missing.
    """
    check_exportable(metric)
    root = Path(path)
    version = _next_number(root) if number is None else number
    folder = root / str(version)
    if version < 1 or folder.exists():
        raise ValueError(f"Expected the number of a new version from 1. Received: {folder}")
    if warmup:
        warmups.check_installed()
    with folder_written_whole(folder) as temporary:
        signatures = _signatures(metric)
        tf.saved_model.save(_Exported(metric), str(temporary), signatures=signatures)
        if warmup:
            warmups.write(temporary, metric, signatures)
    return folder


class _Exported(tf.Module):
    """What is called like the metric, with the weights that it and the signatures read."""

    def __init__(self, metric: LPIPS):
        super().__init__(name="lpips")
        self.weights = weights(metric)
        self._compute = lambda y_true, y_pred: metric(y_true, y_pred)  # not the Keras model itself

    @tf.function(input_signature=[FLOATS, FLOATS], autograph=False)
    def __call__(self, y_true, y_pred):
        return self._compute(y_true, y_pred)


def _signatures(metric: LPIPS) -> dict[str, Callable]:
    def pair(files):
        return metric(*(_decoded(content)[None] for content in files))[0]

    def of_files(in0, in1):
        result = tf.TensorSpec((None, None, 1) if metric.spatial else (), tf.float32)
        return {"distance": tf.map_fn(pair, (in0, in1), fn_output_signature=result)}

    signatures = {
        "serving_default": distance_graph(metric),
        "uint8": distance_graph(metric, dtype=tf.uint8),
        "encoded": _graph(of_files, FILES, FILES),
    }
    if not metric.spatial:
        signatures["embed"] = _graph(lambda image: {"embedding": metric.embed(image)}, FLOATS)
    return signatures


def _graph(function: Callable, *specs: tf.TensorSpec) -> Callable:
    return tf.function(function, input_signature=specs, autograph=False)


def _decoded(content: tf.Tensor) -> tf.Tensor:
    """The content of a PNG or JPEG file as (H, W, 3) uint8."""
    return tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(content, channels=3),
    )


def _next_number(root: Path) -> int:
    taken = [int(p.name) for p in root.iterdir() if p.name.isdecimal()] if root.is_dir() else []
    return max(taken, default=0) + 1
