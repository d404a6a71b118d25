"""A metric as a SavedModel, for TensorFlow Serving and for programs without this package."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from lpips_tf._backend.kernels import portable
from lpips_tf._support.arguments import check_whole
from lpips_tf._support.whole_files import next_number, numbered_folder
from lpips_tf.export import warmup as warmups
from lpips_tf.export.common import check_exportable, described, distance_graph
from lpips_tf.export.encoded import distances_of_files
from lpips_tf.metric import LPIPS

FILES = tf.TensorSpec((None,), tf.string)
NAMES = ("y_true", "y_pred")  # of the arguments of `__call__`
MASKS = tf.TensorSpec((None, None, None), tf.float32, "mask")
EXTRA = "assets.extra"  # the folder for files that TensorFlow does not read
MOST = 2**63 - 1  # of TensorFlow Serving's version numbers


@portable()
def export_saved_model(
    metric: LPIPS, path: str | os.PathLike[str], number: int | None = None, warmup: bool = True
) -> Path:
    """Writes a metric where TensorFlow Serving looks for it: to `path/1`, or the next free number.

    Signatures, each of "in0" and "in1" to "distance" (N,), or for a spatial metric maps
    (N, H, W, 1):

    - "serving_default": float32 images (N, H, W, 3) in the metric's `value_range`;
    - "uint8": images of that type;
    - "encoded": (N,) strings, the contents of PNG or JPEG files. The two of a pair have one size;
      pairs may differ, but not where maps are asked for;
    - "masked": float32 images, and "mask" (N, H, W) in float32, how much each pixel counts;
    - "embed", unless spatial or a head has negative weights: "image" (N, H, W, 3) in float32 to
      "embedding" (N, D).

    `tf.saved_model.load(path / "1")` is called like the metric, with two batches of float32 or two
    of uint8 images and perhaps a mask, and has its gradients, so it may be a loss. Its weights are
    frozen.
    `assets.extra/lpips.json` describes the metric.

    Args:
        metric: its weights are kept once for all signatures.
        path: folder of the model. TensorFlow Serving may be watching it: a version appears whole.
        number: the version, at least 1; None takes the next free number.
        warmup: also write a request of each signature, which TensorFlow Serving then runs when it
            loads the model; needs `tensorflow-serving-api`.

    Returns:
        The folder of the version.

    Raises:
        ValueError: `number` is below 1 or above 2⁶³ − 1, or the metric is not of float32, or Keras'
            backend is not TensorFlow.
        OSError: there is such a version, or the folder cannot be written to.
        ImportError: `tensorflow-serving-api` is missing.
    """
    check_exportable(metric)
    root = Path(path)
    if number is not None:
        check_whole("number", number)
    version = next_number(root) if number is None else number
    if not 1 <= version <= MOST:
        raise ValueError(f"Expected a version from 1 to {MOST}. Received: {root / str(version)}")
    if (root / str(version)).exists():
        raise FileExistsError(f"Expected a new version. There is {root / str(version)} already")
    if warmup:
        warmups.check_installed()

    def write(folder: Path) -> None:
        exported = _Exported(metric)
        signatures = exported.signatures()
        try:
            tf.saved_model.save(exported, str(folder), signatures=signatures)
            (folder / EXTRA).mkdir()
            (folder / EXTRA / "lpips.json").write_text(json.dumps(described(metric), indent=2))
            if warmup:
                warmups.write_requests(folder / EXTRA, metric, signatures)
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0].split("; ")[-1].split(" [Op:")[0]
            raise OSError(f"Cannot write {root / str(version)}: {reason}") from error

    return numbered_folder(root, write, number)


class _Exported(tf.Module):
    """A module that is called like the metric, with frozen copies of its weights.

    The signatures read these copies too.
    """

    def __init__(self, metric: LPIPS) -> None:
        super().__init__(name="lpips")
        self.weights = [tf.Variable(v.value, trainable=False) for v in metric.variables]
        # As an attribute the Keras model would be saved too.
        self._metric: Callable[[], LPIPS] = lambda: metric

    @tf.function(autograph=False)
    def __call__(self, y_true: Any, y_pred: Any, mask: Any = None) -> Any:
        return self._distance(y_true, y_pred, mask)

    def signatures(self) -> dict[str, Callable[..., Any]]:
        """The functions that TensorFlow Serving calls, by name."""
        images = tf.TensorSpec((None, None, None, 3), tf.float32)
        signatures = {
            "serving_default": distance_graph(self._traced_first),
            "uint8": distance_graph(self, dtype=tf.uint8),
            "encoded": tf.function(self._of_files, [FILES, FILES], autograph=False),
            "masked": tf.function(self._masked, [images, images, MASKS], autograph=False),
        }
        if _has_embedding(self._metric()):
            signatures["embed"] = tf.function(self._embed, [images], autograph=False)
        return signatures

    def _traced_first(self, in0: Any, in1: Any) -> Any:
        """Traces `__call__` for all kinds of arguments, then calls it.

        This is the signature that TensorFlow traces first while it saves. What is traced before
        `save`, or with arguments of other names, is traced once more.
        """
        with tf.init_scope():
            for dtype in (tf.uint8, tf.float32):  # arrays go to the first that takes them
                pair = [tf.TensorSpec((None, None, None, 3), dtype, name) for name in NAMES]
                self.__call__.get_concrete_function(*pair)
                self.__call__.get_concrete_function(*pair, MASKS)
        return self(in0, in1)

    def _distance(self, in0: Any, in1: Any, mask: Any = None) -> Any:
        with self._own_weights():
            return self._metric()(in0, in1, mask=mask)

    def _masked(self, in0: Any, in1: Any, mask: Any) -> dict[str, Any]:
        return {"distance": self(in0, in1, mask)}

    def _embed(self, image: Any) -> dict[str, Any]:
        with self._own_weights():
            return {"embedding": self._metric().embed(image)}

    def _own_weights(self) -> keras.StatelessScope:
        return keras.StatelessScope(list(zip(self._metric().variables, self.weights, strict=True)))

    def _of_files(self, in0: Any, in1: Any) -> dict[str, Any]:
        shape = (None, None, 1) if self._metric().spatial else ()
        return {"distance": distances_of_files(self, in0, in1, shape)}


def _has_embedding(metric: LPIPS) -> bool:
    kernels = [head.get_weights()[0] for head in metric.heads]
    return not metric.spatial and all(kernel.min() >= 0 for kernel in kernels)
