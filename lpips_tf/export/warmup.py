"""Warm-up requests, which TensorFlow Serving runs when it loads a model.

They make a user's first request as fast as later ones.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lpips_tf.metric import LPIPS

SIDE = 64  # of the images in requests
MODEL = "lpips"  # the name in requests, as in the README


def check_installed() -> None:
    """Raises ImportError where `tensorflow-serving-api` is missing."""
    if importlib.util.find_spec("tensorflow_serving") is None:
        raise ImportError(
            "Warm-up requests need tensorflow-serving-api, which is not installed: "
            'pip install "lpips-tf[serving]", or leave them out by warmup=False (--no-warmup)'
        )


def write_requests(folder: Path, metric: LPIPS, signatures: Iterable[str]) -> None:
    """Writes a request for each signature into the folder `assets.extra` of a SavedModel."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as records:
        for signature in signatures:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = MODEL
            request.model_spec.signature_name = signature
            for name, value in example(metric, signature).items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            records.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def example(metric: LPIPS, signature: str) -> dict[str, npt.NDArray[Any]]:
    """Random inputs of a signature, by name."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 1, SIDE, SIDE, 3), "uint8")
    if signature == "uint8":
        return {"in0": images[0], "in1": images[1]}
    if signature == "encoded":
        files = [
            np.array([tf.io.encode_png(image).numpy() for image in batch], object)
            for batch in images
        ]
        return {"in0": files[0], "in1": files[1]}
    low, high = metric.value_range
    floats = (images / 255 * (high - low) + low).astype("float32")
    if signature == "embed":
        return {"image": floats[0]}
    masks = {"mask": np.ones((1, SIDE, SIDE), "float32")} if signature == "masked" else {}
    return {"in0": floats[0], "in1": floats[1]} | masks
