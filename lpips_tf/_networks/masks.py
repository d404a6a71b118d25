"""Masks: how much each position of an image counts in a distance."""

from __future__ import annotations

from typing import Any

from keras import ops

from lpips_tf._backend.tensors import average_areas, mean_over_positions


class Masks:
    """The masks of a batch of images.

    A mask's scale does not matter. A mask is invalid if a weight is negative, NaN or infinite, or
    if none is positive: its image has no distance.

    Args:
        masks: (N, H, W, 1), float32.
        dtype: of the distances.
    """

    def __init__(self, masks: Any, dtype: str) -> None:
        axes = (1, 2, 3)
        right = ops.all((masks >= 0) & (masks < float("inf")), axis=axes, keepdims=True)
        self._valid = right & ops.any(masks > 0, axis=axes, keepdims=True)
        # Ones in the place of an invalid mask keep its gradients finite.
        masks = ops.where(self._valid, masks, 1.0)
        largest = ops.stop_gradient(ops.amax(masks, axis=axes, keepdims=True))
        self._masks = ops.cast(masks / largest, dtype)

    def weights(self, size: tuple[Any, Any]) -> Any:
        """The weights (N, h, w, 1) of a layer's positions, of mean 1: averages of areas."""
        averages = average_areas(self._masks, size)
        return averages / mean_over_positions(averages)

    def pixel_weights(self) -> Any:
        """The weights (N, H, W, 1) of pixels, of mean 1."""
        return self._masks / mean_over_positions(self._masks)

    def nan_unless_valid(self, results: Any) -> Any:
        """Puts NaN in the place of results (N, …, 1) of invalid masks; their gradients are 0."""
        return ops.where(self._valid, results, float("nan"))
