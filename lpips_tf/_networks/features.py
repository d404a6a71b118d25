"""Turns images into what a distance compares: features of every layer, unit-normalised."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from lpips_tf._backend.compilation import CompiledByJax, frozen_weights
from lpips_tf._backend.tensors import is_uint8
from lpips_tf._networks import float16
from lpips_tf._support.invalid_images import nan_unless_valid
from lpips_tf._support.value_ranges import Range

EPSILON = 1e-10  # of the normalisation, in the official `normalize_tensor` (lpips/__init__.py)

# The official `ScalingLayer` (lpips.py) subtracts SHIFT from images in [-1, 1] and divides them by
# SCALE: float32 numbers, also where all else is float64.
SHIFT: list[float] = np.array([-0.030, -0.088, -0.188], np.float32).tolist()
SCALE: list[float] = np.array([0.458, 0.448, 0.450], np.float32).tolist()


class Features:
    """A function of batches of images to the unit-normalised features of each.

    Args:
        backbone: from scaled images to the list of the layers' features.
        scaled: whether the network's inputs are shifted and scaled, as since LPIPS 0.1.
        value_range: the (lowest, highest) value that float images span.
        compute_dtype: that of the backbone.
    """

    def __init__(
        self, backbone: keras.Model, scaled: bool, value_range: Range, compute_dtype: str
    ) -> None:
        self._backbone = backbone
        self._scaled = scaled
        self._value_range = value_range
        self._compute_dtype = compute_dtype
        self._of_batch = CompiledByJax(self._normalized, backbone.variables)

    @property
    def dtype(self) -> str:
        """The dtype of all but the backbone: float64 if that is the backbone's, else float32."""
        return "float64" if self._compute_dtype == "float64" else "float32"

    def __call__(self, *batches: Any) -> list[list[Any]]:
        """For each batch (N, H, W, 3) a list with (N, h, w, C) for each layer."""
        with frozen_weights(self._backbone.variables):
            return [self._of_batch(images) for images in batches]

    def validity(self, *batches: Any) -> Any:
        """(N, 1, 1, 1) of 1, or NaN where no distance between the batches' images is right."""
        valid = [nan_unless_valid(images, self._value_range) for images in batches]
        product = valid[0] if len(valid) == 1 else valid[0] * valid[1]
        return ops.reshape(ops.cast(product, self.dtype), (-1, 1, 1, 1))

    def _normalized(self, images: Any) -> list[Any]:
        return [_unit_normalize(taps) for taps in self._taps(self.scale(images))]

    def scale(self, images: Any) -> Any:
        """Scales images from their own range to what the backbone expects.

        Each step rounds as the official code does (`im2tensor`, `ScalingLayer`): a different last
        bit may choose another winner in a max-pool whose inputs are almost equal, and move its
        gradient.
        """
        low, high = (0, 255) if is_uint8(images) else self._value_range
        images = ops.cast(images, self.dtype)
        if (low, high) != (-1, 1):
            half = (high - low) / 2
            images = ops.subtract(ops.divide(images, half), 1 + low / half)
        if not self._scaled:
            return images
        # Rows of 3 W numbers vectorise well, unlike the three channels of a pixel.
        count, height, width, channels = ops.shape(images)
        rows = ops.reshape(images, (count, height, width * channels))
        shift, scale = (
            ops.tile(ops.convert_to_tensor(numbers, rows.dtype), (width,))
            for numbers in (SHIFT, SCALE)
        )
        rows = ops.divide(ops.subtract(rows, shift), scale)
        return ops.reshape(rows, (count, height, width, channels))

    def _taps(self, images: Any) -> list[Any]:
        """The features of every layer of scaled images, in `dtype`."""
        if self._compute_dtype != "float16":
            taps = self._backbone(images)
            return [ops.cast(tap, self.dtype) for tap in taps]
        # Gradients of weights would keep the factor, so where these are trained Keras'
        # LossScaleOptimizer does what can be done.
        frozen = not self._backbone.trainable_variables
        scale = float16.gradient_scale(images) if frozen else 1.0
        images = float16.with_gradient_times(images, self.validity(images) / scale)
        taps = self._backbone(images)
        return [float16.with_gradient_times(ops.cast(tap, "float32"), scale) for tap in taps]


def _unit_normalize(features: Any) -> Any:
    """`f / (‖f‖ + ε)` over the last axis.

    The square root has an infinite gradient at 0. The 1e-36 under it, far below what ε hides, keeps
    gradients finite everywhere. (Keras' `maximum` under PyTorch gives float32.)
    """
    squares = ops.sum(ops.square(features), axis=-1, keepdims=True)
    norms = ops.sqrt(squares + 1e-36)
    return features * ops.reciprocal(norms + EPSILON)
