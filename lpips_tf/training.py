"""Training a metric on the 2AFC judgements of BAPPS, as the paper trains its own.

The method is that of Zhang et al., CVPR 2018, section 3 and appendix B, and of the official
train.py and `Trainer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from lpips_tf._support.arguments import check_choice
from lpips_tf._support.several_hosts import FitsOnHosts
from lpips_tf._support.sharing import HoldsMetric, serialized
from lpips_tf.metric import LPIPS, check_metric
from lpips_tf.scores import TwoAFC, check_judgements, judgements_or_nan

MODES = ("heads", "tune", "scratch")
HIDDEN = 32  # units of the ranking network's two hidden layers
EPSILON = 0.1  # of its ratios of distances


@keras.saving.register_keras_serializable(package="lpips_tf")
class RankingModel(HoldsMetric, FitsOnHosts):
    """A metric and the small network that predicts from two distances which image people choose.

    The network G sees d0, d1, d0 - d1, d0 / (d1 + 0.1) and d1 / (d0 + 0.1), and gives the logit of
    the fraction of people who found p1 nearer (the official `Dist2LogitLayer` and
    `BCERankingLoss`). `fit` takes ((ref, p0, p1), judge): images as the metric takes them, and (N,)
    fractions. It minimises the binary cross-entropy, and reports the loss and "two_afc", the
    agreement with people. Arrays of judgements outside [0, 1] are refused; within a data set they
    make both NaN. A step runs the backbone three times. `fit` distributes it to the devices of a
    `tf.distribute` strategy in whose scope metric and model were created, on several hosts too.

    Args:
        metric: an `LPIPS` with heads; its weights are trained in place, the heads' kept
            non-negative by their constraint.
        mode: what is trained besides G. "heads" trains the heads, "tune" and "scratch" the backbone
            too (both do the same; "scratch" is for a metric with `backbone_weights=None`).
        name: name of the model.

    Raises:
        ValueError: an unknown `mode`, or a metric without heads or with maps.

    Examples:
        >>> model = RankingModel(lpips_tf.LPIPS(head_weights=None))
        >>> model.compile(optimizer())
        >>> model.fit((ref, p0, p1), judge, batch_size=50)
    """

    def __init__(
        self, metric: LPIPS, mode: str = "heads", name: str = "ranking", **kwargs: Any
    ) -> None:
        check_metric(metric)
        check_choice("mode", mode, MODES)
        if not metric.lpips or metric.spatial:
            raise ValueError(
                "Expected a metric with heads that gives numbers. "
                f"Received: lpips={metric.lpips}, spatial={metric.spatial}"
            )
        super().__init__(name=name, **kwargs)
        self.metric = metric
        self.mode = mode
        metric.backbone.trainable = mode != "heads"
        for head in metric.heads:
            head.trainable = True
        self.ranking = _ranking_network()
        self.two_afc = TwoAFC()
        self._cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Any]:
        """The logits (N,) and the distances (N, 2) of triplets (reference, image0, image1)."""
        d0, d1 = self.distances(inputs, training=training)
        return {"logit": self.rank(d0, d1), "distances": ops.stack([d0, d1], axis=1)}

    def distances(self, inputs: Any, training: bool | None = None) -> Sequence[Any]:
        """The distances (N,) of the two images from the reference."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 3:
            raise ValueError(f"Expected (reference, image0, image1). Received: {_shapes(inputs)}")
        found: list[Any] = self.metric.distances(*inputs, training=training)
        return found

    def rank(self, d0: Any, d1: Any) -> Any:
        """Logits (N,) of the fraction of people who choose the second image."""
        seen = [d0, d1, d0 - d1, d0 / (d1 + EPSILON), d1 / (d0 + EPSILON)]
        return self.ranking(ops.stack(seen, axis=1))[:, 0]

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does.

        Raises:
            ValueError: a judgement in an array, or in `validation_data`, is outside [0, 1].
        """
        _check_answers(y)
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)) and len(validation) > 1:
            _check_answers(validation[1], "validation_data's judge")
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does.

        Raises:
            ValueError: a judgement in an array is outside [0, 1].
        """
        _check_answers(y)
        return super().evaluate(x, y, *args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The binary cross-entropy between judgements and logits, averaged.

        Raises:
            ValueError: there are no judgements.
        """
        if y is None:
            raise ValueError("Expected ((ref, p0, p1), judge). Received: no judge")
        logits = ops.reshape(y_pred["logit"], (-1, 1))
        judge = judgements_or_nan(ops.reshape(ops.cast(y, logits.dtype), (-1, 1)))
        return self._cross_entropy(judge, logits, sample_weight)  # knows of `tf.distribute`

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates "two_afc" by a batch, and returns all metrics by name."""
        self.two_afc.update_state(y, y_pred["distances"], sample_weight)
        results: dict[str, Any] = self.get_metrics_result()
        return results

    def reseed(self, *entropy: int) -> None:
        """Seeds the dropout that follows, for example with a seed and an epoch.

        A resumed training then equals an uninterrupted one.
        """
        for i, generator in enumerate(self._noise_generators()):
            generator.state.assign(np.random.SeedSequence([*entropy, i]).generate_state(2))

    def _noise_generators(self) -> list[keras.random.SeedGenerator]:
        return [head.seed_generator for head in self.metric.heads if head.dropout]

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' serialisation."""
        return {
            "metric": serialized(self.metric),
            "mode": self.mode,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="lpips_tf")
class CachedRankingModel(RankingModel):
    """A `RankingModel` that trains heads from the averaged differences in a `feature_cache`.

    It needs neither images nor the backbone. `fit` takes ((N, 2, 2, C), judge): the results of
    `feature_cache.averaged_differences` for p0 and p1. Loss and gradients are those of
    `RankingModel`. In place of its dropout, normal noise is added to each distance, with the
    variance that dropout gives it (Wang and Manning, "Fast dropout training", ICML 2013): a
    distance sums the tens of thousands of differences that dropout leaves.

    Args:
        metric: as for `RankingModel`; the share that its heads drop sets the noise.
        mode: "heads".
        name: name of the model.

    Raises:
        ValueError: as for `RankingModel`, or another `mode`.
    """

    def __init__(
        self, metric: LPIPS, mode: str = "heads", name: str = "ranking", **kwargs: Any
    ) -> None:
        check_choice("mode", mode, ("heads",))
        super().__init__(metric, mode, name, **kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def distances(self, inputs: Any, training: bool | None = None) -> Sequence[Any]:
        """The distances (N,) of the two images from the reference, from averaged differences."""
        channels = sum(head.channels for head in self.metric.heads)
        if getattr(inputs, "shape", ())[1:] != (2, 2, channels):
            raise ValueError(
                f"Expected averaged differences (N, 2, 2, {channels}). Received: {_shapes(inputs)}"
            )
        averages, variances = inputs[:, :, 0], inputs[:, :, 1]
        kernel = ops.concatenate([head.kernel for head in self.metric.heads])
        distances = ops.sum(averages * kernel, axis=-1)
        rate = self.metric.dropout
        if training and rate:
            variance = rate / (1 - rate) * ops.sum(variances * ops.square(kernel), axis=-1)
            # The bound keeps the root's gradient finite where images are equal.
            deviation = ops.sqrt(ops.maximum(variance, 1e-36))
            noise = keras.random.normal(ops.shape(deviation), seed=self.seed_generator)
            distances += deviation * noise
        return distances[:, 0], distances[:, 1]

    def _noise_generators(self) -> list[keras.random.SeedGenerator]:
        return [self.seed_generator]


@keras.saving.register_keras_serializable(package="lpips_tf")
class Adam(keras.optimizers.Adam):
    """Adam as PyTorch computes it.

    Epsilon is added to the root of the second moment after its bias is corrected, not before.
    Gradients of heads are so small that this changes the first steps.
    """

    epsilon: Any  # a number, and during a step a tensor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable by its gradient."""
        epsilon = self.epsilon
        step = ops.cast(self.iterations + 1, variable.dtype)
        correction = ops.sqrt(1 - ops.power(ops.cast(self.beta_2, variable.dtype), step))
        self.epsilon = epsilon * correction
        try:
            super().update_step(gradient, variable, learning_rate)
        finally:
            self.epsilon = epsilon


def optimizer(learning_rate: float = 1e-4) -> keras.optimizers.Optimizer:
    """The official optimiser, Adam with β₁ = 0.5 and ε = 10⁻⁸."""
    return Adam(learning_rate, beta_1=0.5, epsilon=1e-8)


def learning_rate(
    epoch: int, *, start: float = 1e-4, epochs: int = 5, decay_epochs: int = 5
) -> float:
    """The learning rate of an epoch, counted from 0.

    It is `start` for the first `epochs` + 1 epochs, as in the official train.py and
    `update_learning_rate`. Then it falls by equal steps, and is 0 from epoch `epochs` +
    `decay_epochs` on.
    """
    return start * max(0.0, 1 - max(0, epoch - epochs) / max(1, decay_epochs))


def _check_answers(judge: Any, name: str = "judge") -> None:
    """Refuses judgements outside [0, 1]. With data sets `judge` is None."""
    if judge is not None:
        check_judgements(name, ops.convert_to_numpy(judge))


def _ranking_network() -> keras.Sequential:
    """G, its dense layers initialised as PyTorch's."""
    network = keras.Sequential(name="ranking_network")
    network.add(keras.Input((5,)))
    for i in (1, 2):
        network.add(_dense(HIDDEN, f"hidden{i}"))
        network.add(layers.LeakyReLU(negative_slope=0.2, dtype="float32"))
    network.add(_dense(1, "logit"))
    return network


def _dense(units: int, name: str) -> layers.Dense:
    initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Dense(units, kernel_initializer=initializer, name=name, dtype="float32")


def _shapes(inputs: Any) -> Any:
    return keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
