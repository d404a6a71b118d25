"""Embeddings of many images, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from lpips_tf.metric import LPIPS

BATCH = 64  # images that are embedded at once


def embed(metric: LPIPS, images: Any) -> npt.NDArray[Any]:
    """Embeddings (n, D) of one batch of images.

    Raises:
        ValueError: an embedding with NaN or infinity, for which FAISS would find any image or none.
    """
    embeddings: npt.NDArray[Any] = ops.convert_to_numpy(metric.embed(images))
    if not np.isfinite(embeddings).all():
        raise ValueError(
            "Expected a metric of finite embeddings. Received: embeddings with NaN or infinity. "
            "Check the weights of the metric"
        )
    return embeddings


def embed_in_batches(
    metric: LPIPS, images: Any, progress: Callable[[int, int], None] | None = None
) -> Iterator[npt.NDArray[Any]]:
    """Yields embeddings batch by batch.

    Args:
        metric: the `LPIPS` that embeds.
        images: (N, H, W, 3) uint8.
        progress: called as `progress(done, total)` after each batch.
    """
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        yield embed(metric, batch)
        if progress is not None:
            progress(start + len(batch), len(images))
