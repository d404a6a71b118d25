"""The calibrated part of LPIPS: how much each channel of a layer counts."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="lpips_tf")
class Head(keras.layers.Layer):
    """A non-negative weight for each channel of one layer.

    The weights are the paper's vector w (Zhang et al. 2018, equation 1). The official
    implementation writes a head as a dropout and a 1x1 convolution without bias to one channel
    (`NetLinLayer` in lpips.py). A head computes in float32 whatever the dtype policy.

    Args:
        channels: number of channels C; the weights are random and non-negative until loaded.
        dropout: share of the squared differences that training drops. Like Keras'
            BatchNormalization, a head that is frozen (`trainable=False`) behaves as in inference.
    """

    def __init__(self, channels: int, dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**(kwargs | {"dtype": "float32", "autocast": False}))
        self.channels = channels
        self.dropout = dropout
        if dropout > 0:
            # `keras.layers.Dropout` names its own by how many were made before, and so the keys of
            # PyTorch's state dictionaries.
            self.seed_generator = keras.random.SeedGenerator(name=f"{self.name}_seed")

    def build(self, squared_differences_shape: tuple[int | None, ...]) -> None:
        """Makes the kernel, (C,).

        Raises:
            ValueError: the squared differences have another number of channels.
        """
        if squared_differences_shape[-1] != self.channels:
            raise ValueError(
                f"Expected squared differences of {self.channels} channels. "
                f"Received: shape {tuple(squared_differences_shape)}"
            )
        self.kernel = self.add_weight(
            shape=(self.channels,),
            initializer=keras.initializers.RandomUniform(0, self.channels**-0.5),
            constraint=keras.constraints.NonNeg(),
            name="kernel",
        )

    def compute_output_shape(
        self, squared_differences_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """(…, C) to (…, 1)."""
        return (*squared_differences_shape[:-1], 1)

    def call(self, squared_differences: Any) -> Any:
        """Weighs and sums the channels: (…, C) to (…, 1)."""
        kernel = self.kernel if self.trainable else ops.stop_gradient(self.kernel)
        kernel = ops.cast(kernel, squared_differences.dtype)
        return ops.sum(squared_differences * kernel, axis=-1, keepdims=True)

    def drop(self, squared_differences: Any) -> Any:
        """Drops a share of the squared differences, and scales the others up."""
        return keras.random.dropout(squared_differences, self.dropout, seed=self.seed_generator)

    def drops(self, training: bool | None) -> bool:
        """Whether a call with `training` drops anything."""
        return bool(training) and self.trainable and self.dropout > 0

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for Keras to save."""
        config: dict[str, Any] = super().get_config()
        return config | {"channels": self.channels, "dropout": self.dropout}
