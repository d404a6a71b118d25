"""A convolution that stays fast for large images."""

from __future__ import annotations

from typing import Any

import keras

from lpips_tf._backend import strips
from lpips_tf._backend.tensors import zero_padded


@keras.saving.register_keras_serializable(package="lpips_tf")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, which TensorFlow computes strip by strip where it has to.

    See `lpips_tf._backend.strips`. The arguments are those of `keras.layers.Conv2D`.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias and activation."""
        stride, side = self.strides[0], kernel.shape[0]
        number = strips.number_of_strips(tuple(inputs.shape), tuple(kernel.shape), stride)
        if number == 1 or (self.padding == "same" and stride > 1):
            return super().convolution_op(inputs, kernel)
        padded = zero_padded(inputs, side // 2) if self.padding == "same" else inputs
        return strips.convolved(padded, kernel, stride, number)
