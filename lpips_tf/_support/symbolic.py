"""The functions of a metric besides its call, within models that are built from `keras.Input`."""

from __future__ import annotations

from typing import Any

import keras

from lpips_tf._support.arguments import check_choice
from lpips_tf._support.sharing import HoldsMetric, serialized

FUNCTIONS = ("__call__", "distances", "embed", "explain", "layer_maps", "normalized_features")
TRAINABLE = ("__call__", "distances")  # functions that drop in training


def are_symbolic(*images: Any) -> bool:
    """Whether any of the batches is a symbol of Keras."""
    return any(isinstance(image, keras.KerasTensor) for image in images)


@keras.saving.register_keras_serializable(package="lpips_tf")
class MetricFunction(HoldsMetric, keras.layers.Layer):
    """A function of a metric as a layer.

    It takes the list of the function's batches of images. The function's mask is called `weights`,
    because Keras fills `mask` with masks of its own. A call is the one with `return_per_layer`:
    Keras expects all calls of one layer to have outputs of one structure.

    Args:
        metric: an `LPIPS`, which the layer holds and saves.
        function: one of `FUNCTIONS`.
    """

    def __init__(self, metric: keras.Model, function: str, **kwargs: Any) -> None:
        check_choice("function", function, FUNCTIONS)
        super().__init__(autocast=False, **kwargs)
        self.metric = metric
        self.function = function
        self.built = True

    def call(self, images: Any, weights: Any = None, training: bool | None = None) -> Any:
        """The function's result for a list of batches; an `Explanation` as a plain tuple."""
        options: dict[str, Any] = {} if weights is None else {"mask": weights}
        options |= {"training": training} if self.function in TRAINABLE else {}
        options |= {"return_per_layer": True} if self.function == "__call__" else {}
        found = getattr(self.metric, self.function)(*images, **options)
        return tuple(found) if self.function == "explain" else found

    def compute_output_spec(self, images: Any, **options: Any) -> Any:
        """The symbols of the result; what one batch knows of the shape holds for all."""
        sides = zip(*(image.shape for image in images), strict=True)
        shape = [next((side for side in known if side is not None), None) for known in sides]
        merged = [keras.KerasTensor(shape, image.dtype) for image in images]
        return super().compute_output_spec(merged, **options)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for Keras to save."""
        config: dict[str, Any] = super().get_config()
        return config | {"metric": serialized(self.metric), "function": self.function}
