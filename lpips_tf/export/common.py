"""Functions that all exports share."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from lpips_tf.metric import LPIPS, check_metric


def check_exportable(metric: LPIPS) -> None:
    """Raises ValueError unless `metric` is an `LPIPS` that TensorFlow computes in float32."""
    check_metric(metric)
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Expected the TensorFlow backend. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    if metric.compute_dtype != "float32":
        raise ValueError(f"Expected a metric of float32. Received: dtype={metric.compute_dtype}")


def distance_graph(
    distance: Callable[[Any, Any], Any],
    number: int | None = None,
    height: int | None = None,
    width: int | None = None,
    dtype: tf.DType = tf.float32,
) -> Any:
    """Turns a metric, or a function like one, into a `tf.function` that returns {"distance": …}.

    Its arguments "in0" and "in1" are batches of images of some shape, in which None stands for any.
    """
    shape = (number, height, width, 3)
    specs = [tf.TensorSpec(shape, dtype, name=name) for name in ("in0", "in1")]
    return tf.function(
        lambda in0, in1: {"distance": distance(in0, in1)}, input_signature=specs, autograph=False
    )


def weights(metric: LPIPS) -> list[tf.Variable]:
    """Variables that a module has to hold so that its functions of a metric can be saved."""
    return [variable.value for variable in metric.variables]


def described(metric: LPIPS) -> dict[str, str]:
    """A description of the metric, for the file that holds it."""
    low, high = metric.value_range
    return {
        "lpips_net": metric.net,
        "lpips_version": metric.version,
        "lpips_heads": str(metric.lpips).lower(),
        "lpips_spatial": str(metric.spatial).lower(),
        "value_range": f"{low:g} {high:g}",
        "min_size": str(metric.min_size),  # in pixels
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences converters' warnings, which do not concern users."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
