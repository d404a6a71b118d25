"""Validates the sample weights of losses and metrics of images."""

from __future__ import annotations

from typing import Any

from keras import ops

from lpips_tf._support.arguments import shown


def split(sample_weight: Any, mask: Any, images: Any, spatial: bool) -> tuple[Any, Any]:
    """Splits `sample_weight` into weights of the metric's results and a mask.

    Weights of images are (N,), or (N, 1, 1) for the maps of a spatial metric; weights of pixels,
    (N, H, W), are those of its maps, or the mask of any other.

    Raises:
        ValueError: the weights have another shape, or there are a mask and weights of pixels.
    """
    if sample_weight is None:
        return None, mask
    weights = ops.convert_to_tensor(sample_weight)
    if getattr(weights.shape, "rank", 0) is None:
        raise ValueError(
            "Expected weights of known rank: of images, (N,), or of pixels, (N, H, W). Received: "
            "unknown shape. Call `compile` again before a model goes from one kind to the other"
        )
    shape, size = tuple(weights.shape), tuple(images.shape[:3])
    if shape == ():
        return weights, mask
    if len(shape) == 4 and shape[3] == 1:
        weights, shape = ops.squeeze(weights, -1), shape[:3]
    elif len(shape) == 2 and shape[1] == 1:
        weights, shape = ops.squeeze(weights, -1), shape[:1]
    fits = all(a == b or None in (a, b) for a, b in zip(shape, size, strict=False))
    if len(shape) not in (1, 3) or not fits:
        raise ValueError(
            f"Expected a weight for each of the images, {size[:1]}, or for each pixel, {size}. "
            f"Received: {shown(sample_weight)}"
        )
    if len(shape) == 1:
        return (ops.reshape(weights, (-1, 1, 1)) if spatial else weights), mask
    if spatial:
        return weights, mask
    if mask is not None:
        raise ValueError("Expected a mask or weights of pixels, which are a mask. Received: both")
    return None, weights
