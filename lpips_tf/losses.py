"""LPIPS as a Keras loss."""

from __future__ import annotations

from typing import Any, Unpack

import keras
from keras import ops

from lpips_tf import metric as metric_module
from lpips_tf._backend.keras_internals import reduce_weighted_values
from lpips_tf._support.image_batches import as_array
from lpips_tf._support.sample_weights import split
from lpips_tf._support.sharing import HoldsMetric, serialized
from lpips_tf.metric import Options, made_or_given


@keras.saving.register_keras_serializable(package="lpips_tf", name="LPIPSLoss")
class LPIPS(HoldsMetric, keras.losses.Loss):
    """LPIPS as a `keras.losses.Loss`, with VGG16 by default.

    Unlike Keras' own losses it does not cast targets: uint8 targets span 0 to 255.

    Args:
        net: "vgg" by default, or another network of `lpips_tf.LPIPS`.
        metric: an `lpips_tf.LPIPS` to compute with, instead of one that `net`, `dtype` and
            `options` describe: a loss and metrics that share one hold its network once.
        reduction: of the images' distances: "sum_over_batch_size" or "mean", their mean; "sum";
            "mean_with_sample_weight", their weighted mean; or "none".
        name: name of the loss.
        dtype: dtype or policy that the backbone computes in; distances are float32, or float64 if
            that is it.
        options: further arguments of `lpips_tf.LPIPS`, such as `value_range`.

    Attributes:
        metric: the `lpips_tf.LPIPS` that computes the loss.

    Raises:
        ValueError: `metric` beside other arguments of a metric, an unknown `reduction`, or what
            `lpips_tf.LPIPS` refuses.

    Examples:
        >>> loss = lpips_tf.losses.LPIPS(value_range=(0, 1))
        >>> watched = lpips_tf.metrics.LPIPS("alex", value_range=(0, 1))
        >>> model.compile("adam", loss=loss, metrics=[watched])
    """

    def __init__(
        self,
        net: str | None = None,
        *,
        metric: metric_module.LPIPS | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "lpips",
        dtype: Any = None,
        **options: Unpack[Options],
    ) -> None:
        self.metric = made_or_given(metric, net, "vgg", dtype, options)
        wide = self.metric.compute_dtype == "float64"
        super().__init__(name=name, reduction=reduction, dtype="float64" if wide else "float32")

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None
    ) -> Any:
        """The loss of a batch of images.

        Args:
            y_true, y_pred: images (N, H, W, 3), as for a call of `lpips_tf.LPIPS`.
            sample_weight: weights of images, (N,), by which their distances are multiplied. Weights
                of pixels, (N, H, W) or (N, H, W, 1), multiply the maps of a spatial metric, and are
                the `mask` of any other.
            mask: as for a call of `lpips_tf.LPIPS`.

        Returns:
            A number; for `reduction="none"` distances (N,), or of a spatial metric (N, H, W).

        Raises:
            ValueError: as a call of `lpips_tf.LPIPS` does; weights of another shape, or a `mask`
                beside weights of pixels.
        """
        y_true, y_pred = as_array(y_true), as_array(y_pred)
        sample_weight, mask = split(sample_weight, mask, y_pred, self.metric.spatial)
        with keras.name_scope(self.name):
            distances = self.call(y_true, y_pred, mask=mask)
            if sample_weight is not None:  # of every pixel, for means by their sum
                sample_weight = ops.broadcast_to(sample_weight, ops.shape(distances))
            return reduce_weighted_values(
                distances,
                sample_weight=sample_weight,
                reduction=self.reduction,
                dtype=self.dtype,
            )

    def call(self, y_true: Any, y_pred: Any, mask: Any = None) -> Any:
        """The distance of each pair of images, (N,), or of a spatial metric (N, H, W)."""
        distances = self.metric(y_true, y_pred, mask=mask)
        return ops.squeeze(distances, -1) if self.metric.spatial else distances

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' serialisation."""
        return {
            "metric": serialized(self.metric), "reduction": self.reduction, "name": self.name
        }  # fmt: skip
