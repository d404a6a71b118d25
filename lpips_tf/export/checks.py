"""What all exports have in common."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import keras

from lpips_tf.metric import LPIPS


def check_exportable(metric: LPIPS) -> None:
    """Raises ValueError for a metric that is not computed by TensorFlow in float32."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Expected the TensorFlow backend. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    if metric.compute_dtype != "float32":
        raise ValueError(f"Expected a metric of float32. Received: dtype={metric.compute_dtype}")


def described(metric: LPIPS) -> dict[str, str]:
    """What a file says of the metric in it."""
    low, high = metric.value_range
    return {
        "lpips_net": metric.net,
        "lpips_version": metric.version,
        "lpips_heads": str(metric.lpips).lower(),
        "lpips_spatial": str(metric.spatial).lower(),
        "value_range": f"{low:g} {high:g}",
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps converters from logging what is no fault."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
