"""LPIPS as Keras metrics: the mean distance from targets, and the diversity of outputs."""

from __future__ import annotations

from typing import Any, Unpack

import keras
from keras import ops

from lpips_tf import metric as metric_module
from lpips_tf._backend.execution import at_once
from lpips_tf._backend.tensors import accurate_dtype
from lpips_tf._support.arguments import check_count, checked_size, shown
from lpips_tf._support.image_batches import as_array
from lpips_tf._support.sample_weights import split
from lpips_tf._support.sharing import HoldsMetric, serialized
from lpips_tf.metric import Options, made_or_given


@keras.saving.register_keras_serializable(package="lpips_tf", name="LPIPSMetric")
class LPIPS(HoldsMetric, keras.metrics.Mean):
    """The mean LPIPS of images as a `keras.metrics.Metric`, with AlexNet by default.

    Batches of any size count by their images, also over replicas and hosts. Callbacks with
    `mode="auto"` know that lower is better, except in models with several outputs. The mean of no
    images is NaN.

    Args:
        net: "alex" by default, or another network of `lpips_tf.LPIPS`.
        metric: an `lpips_tf.LPIPS` to compute with, instead of one that `net`, `dtype` and
            `options` describe: a loss and metrics that share one hold its network once.
        name: name of the metric.
        dtype: of the backbone, a dtype or policy; not of the sums, as in Keras' metrics. These are
            float64, or float32 under JAX.
        options: the other arguments of `lpips_tf.LPIPS`, such as `value_range`.

    Attributes:
        metric: the `lpips_tf.LPIPS` that computes the distances.

    Raises:
        ValueError: `metric` beside other arguments of a metric, or what `lpips_tf.LPIPS` refuses.
    """

    def __init__(
        self,
        net: str | None = None,
        *,
        metric: metric_module.LPIPS | None = None,
        name: str = "lpips",
        dtype: Any = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(name=name, dtype=accurate_dtype())
        self.metric = made_or_given(metric, net, "alex", dtype, options)
        self._direction = "down"  # which callbacks of Keras ask for

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None
    ) -> None:
        """Adds a batch of image pairs.

        Args:
            y_true, y_pred: images (N, H, W, 3), as for a call of `lpips_tf.LPIPS`.
            sample_weight: weights of images in the mean, (N,). Weights of pixels, (N, H, W) or (N,
                H, W, 1), weigh the maps of a spatial metric, and are the `mask` of any other.
            mask: as for a call of `lpips_tf.LPIPS`.

        Raises:
            ValueError: as a call of `lpips_tf.LPIPS` does; weights of another shape, or a `mask`
                beside weights of pixels.
        """
        y_true, y_pred = as_array(y_true), as_array(y_pred)
        sample_weight, mask = split(sample_weight, mask, y_pred, self.metric.spatial)
        distances = self.metric(y_true, y_pred, mask=mask)
        if self.metric.spatial:
            distances = ops.squeeze(distances, -1)
            if sample_weight is not None:  # Keras expects those of images as (N,)
                sample_weight = ops.broadcast_to(sample_weight, ops.shape(distances))
        super().update_state(distances, sample_weight)

    def result(self) -> Any:
        """The mean so far."""
        return self.total / self.count

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' serialisation."""
        return {"metric": serialized(self.metric), "name": self.name}


@keras.saving.register_keras_serializable(package="lpips_tf")
class MeanPairwiseLPIPS(HoldsMetric, keras.metrics.Metric):
    """The mean distance over all pairs of images, a usual measure of diversity; higher is better.

    One pass over the images computes it, as `lpips_tf.mean_pairwise_distance` does: each condition
    keeps two sums, of embeddings and of their squared norms, to which batches and replicas add.
    With `conditions` it is the mean over conditions of the mean over the pairs within each, as
    papers on image translation report it, and `standard_error()` is the standard error of that
    mean.

    The result is NaN while a condition has only one image, and if a condition's number is not one
    of 0 to `conditions` - 1.

    Args:
        net: "alex" by default, or another network of `lpips_tf.LPIPS`.
        conditions: how many there are; None if all images belong to one.
        image_size: (H, W) of the images; None takes that of the first batch. A compiled step of a
            model whose output has no static size needs it.
        metric: an `lpips_tf.LPIPS` to compute with, as for `LPIPS`.
        name: name of the metric.
        dtype: of the backbone, as for `LPIPS`. Sums are float64, or float32 under JAX; there are
            `conditions` · D of them, for embeddings of D numbers (AlexNet: 31,872 at 64x64, 640,128
            at 256x256).
        options: the other arguments of `lpips_tf.LPIPS`, such as `value_range`.

    Attributes:
        metric: the `lpips_tf.LPIPS` that embeds the images.

    Raises:
        ValueError: fewer than one condition, an `image_size` that is no (H, W) or too small for the
            network, `metric` beside other arguments of a metric, or what `lpips_tf.LPIPS` refuses.
    """

    def __init__(
        self,
        net: str | None = None,
        *,
        conditions: int | None = None,
        image_size: tuple[int, int] | None = None,
        metric: metric_module.LPIPS | None = None,
        name: str = "mean_pairwise_lpips",
        dtype: Any = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(name=name, dtype=accurate_dtype())
        if conditions is not None:
            check_count("conditions", conditions)
        self.conditions = None if conditions is None else int(conditions)
        self.metric = made_or_given(metric, net, "alex", dtype, options)
        self.image_size: tuple[int, int] | None = None
        self._direction = "up"
        rows = self.conditions or 1
        self.counts = self.add_variable((rows,), "zeros", self.dtype, name="counts")
        self.squares = self.add_variable((rows,), "zeros", self.dtype, name="squares")
        self.totals: Any = None  # made when the size of images is known
        if image_size is not None:
            self._build(image_size)

    def _build(self, image_size: tuple[int, int]) -> None:
        height, width = self.image_size = checked_size("image_size", image_size)
        with at_once():
            length = self.metric.embed(keras.KerasTensor((1, height, width, 3))).shape[1]
            self.totals = self.add_variable(
                (self.conditions or 1, length), "zeros", self.dtype, name="totals"
            )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of images.

        Args:
            y_true: with `conditions` the number of each image's condition, (N,), from 0; ignored
                otherwise.
            y_pred: images (N, H, W, 3), as for `lpips_tf.LPIPS.embed`.
            sample_weight: must be None, as a pair has no weight.

        Raises:
            ValueError: as `lpips_tf.LPIPS.embed` does; images of another size than the first, or
                whose size is not known; a number of conditions that is not the number of images; or
                a `sample_weight`.
        """
        if sample_weight is not None:
            raise ValueError("Expected no sample_weight, as pairs have none. Received: weights")
        y_pred = as_array(y_pred)
        self._check_size(y_pred)
        embeddings = ops.cast(self.metric.embed(y_pred), self.dtype)
        if self.conditions is None:
            rows = ops.zeros(ops.shape(embeddings)[:1], "int32")
        else:
            rows = self._checked_conditions(y_true, y_pred)
        known = (rows >= 0) & (rows < self.counts.shape[0])
        embeddings = embeddings * ops.cast(ops.where(known, 1.0, float("nan")), self.dtype)[:, None]
        rows = ops.where(known, rows, 0)
        for variable, values in (
            (self.counts, ops.ones_like(embeddings[:, 0])),
            (self.squares, ops.sum(ops.square(embeddings), axis=1)),
            (self.totals, embeddings),
        ):
            variable.assign_add(ops.segment_sum(values, rows, self.counts.shape[0]))

    def _check_size(self, images: Any) -> None:
        shape = tuple(images.shape)
        if len(shape) != 4:
            return  # which `embed` refuses
        if self.image_size is None:
            if None in shape[1:3]:
                raise ValueError(
                    f"Expected images of a known size. Received: y_pred.shape={shape}. "
                    "Pass image_size=(H, W) to MeanPairwiseLPIPS"
                )
            self._build((shape[1], shape[2]))
        elif any(b not in (a, None) for a, b in zip(self.image_size, shape[1:3], strict=True)):
            height, width = self.image_size
            raise ValueError(
                f"Expected images (N, {height}, {width}, 3). Received: y_pred.shape={shape}"
            )

    def _checked_conditions(self, conditions: Any, images: Any) -> Any:
        if conditions is None or getattr(getattr(conditions, "dtype", None), "kind", "f") in "OSU":
            raise ValueError(
                "Expected y_true as the number of each image's condition, (N,). "
                f"Received: {shown(conditions)}"
            )
        numbers = ops.convert_to_tensor(conditions)
        shape = tuple(numbers.shape)
        if len(shape) == 2 and shape[1] == 1:
            shape = shape[:1]
        if len(shape) != 1 or (
            shape[0] != images.shape[0] and None not in (shape[0], images.shape[0])
        ):
            raise ValueError(
                "Expected y_true as the number of each image's condition, (N,). "
                f"Received: y_true.shape={tuple(numbers.shape)}"
            )
        whole = ops.cast(numbers, "int32")
        same = ops.cast(whole, "float32") == ops.cast(numbers, "float32")
        return ops.reshape(ops.where(same, whole, -1), (-1,))

    def result(self) -> Any:
        """The mean so far."""
        means, seen = self._means()
        return ops.sum(ops.where(seen, means, 0)) / ops.sum(ops.cast(seen, self.dtype))

    def standard_error(self) -> Any:
        """The standard error of the mean over conditions; NaN for fewer than two of them."""
        means, seen = self._means()
        count = ops.sum(ops.cast(seen, self.dtype))
        squares = ops.sum(ops.where(seen, ops.square(means - self.result()), 0))
        variance = squares / ops.where(count > 1, count - 1, float("nan"))
        return ops.sqrt(variance / count)

    def _means(self) -> tuple[Any, Any]:
        """The mean over the pairs of each condition, and which conditions have been seen."""
        counts = ops.convert_to_tensor(self.counts)
        if self.totals is None:
            return counts * float("nan"), counts > 0
        norms = ops.sum(ops.square(self.totals), axis=1)
        pairs = ops.where(counts > 1, counts * (counts - 1), float("nan"))
        means = 2 * (counts * self.squares - norms) / pairs
        return ops.where(means < 0, 0, means), counts > 0

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing: sums belong to one evaluation, and can be larger than the model."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing, as nothing was saved."""

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' serialisation."""
        return {
            "conditions": self.conditions, "image_size": self.image_size,
            "metric": serialized(self.metric), "name": self.name,
        }  # fmt: skip
