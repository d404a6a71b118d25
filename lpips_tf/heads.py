"""The calibrated part of LPIPS: how much each channel of a layer counts."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="lpips_tf")
class Head(keras.layers.Layer):
    """A non-negative weight for each channel: the paper's vector w of one layer (Zhang et al. 2018,
    equation 1).

    The official implementation writes it as a dropout and a 1x1 convolution without bias to one
    channel (`NetLinLayer` in lpips.py). It computes in float32 whatever the dtype policy.

    Args:
        channels: number of channels C; the weights are random and non-negative until loaded.
        dropout: share of the squared differences that training drops. Like Keras'
            BatchNormalization, a head that is frozen (`trainable=False`) behaves as in inference.
    """

    def __init__(self, channels, dropout=0.5, **kwargs):
        super().__init__(**(kwargs | {"dtype": "float32", "autocast": False}))
        self.channels = channels
        self.dropout = keras.layers.Dropout(dropout, dtype="float32")
        self.kernel = self.add_weight(
            shape=(channels,),
            initializer=keras.initializers.RandomUniform(0, channels**-0.5),
            constraint=keras.constraints.NonNeg(),
            name="kernel",
        )
        self.built = True

    def call(self, squared_differences):
        """Weighs and sums the channels: (…, C) to (…, 1)."""
        kernel = self.kernel if self.trainable else ops.stop_gradient(self.kernel)
        kernel = ops.cast(kernel, squared_differences.dtype)
        return ops.sum(squared_differences * kernel, axis=-1, keepdims=True)

    def drops(self, training: bool | None) -> bool:
        """Whether a call with `training` drops anything."""
        return bool(training) and self.trainable and self.dropout.rate > 0

    def get_config(self):
        return super().get_config() | {"channels": self.channels, "dropout": self.dropout.rate}
