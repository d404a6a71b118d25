"""A convolution that is as fast for a single image as for a batch."""

from __future__ import annotations

from typing import Any

import keras

from lpips_tf._backend import kernels


@keras.saving.register_keras_serializable(package="lpips_tf")
class Conv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D` as the backbones have it.

    The arguments are those of `keras.layers.Conv2D`; `call` relies on a bias, a ReLU, channels last
    and no dilation.
    """

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) to (N, h, w, filters)."""
        if not kernels.needs_depth(inputs):
            return super().call(inputs)
        stride, padding = self.strides[0], self.padding.upper()
        return kernels.convolution(inputs, self.kernel, self.bias, stride, padding, depth=True)
