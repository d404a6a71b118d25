"""Training a metric on the 2AFC judgements of BAPPS, as the paper trains its own (Zhang et al.,
CVPR 2018, section 3 and appendix B; the official train.py and `Trainer`).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from lpips_tf.inputs import check_choice
from lpips_tf.metric import LPIPS
from lpips_tf.scores import TwoAFC

MODES = ("heads", "tune", "scratch")
HIDDEN = 32  # units of the ranking network's two hidden layers
EPSILON = 0.1  # of its ratios of distances


@keras.saving.register_keras_serializable(package="lpips_tf")
class RankingModel(keras.Model):
    """A metric and the small network that guesses from two distances which image people chose.

    The network G sees d0, d1, d0 - d1, d0 / (d1 + 0.1) and d1 / (d0 + 0.1), and gives the logit of
    the fraction of people who found p1 nearer (the official `Dist2LogitLayer` and
    `BCERankingLoss`). `fit` takes ((ref, p0, p1), judge): images as the metric takes them, and (N,)
    fractions. It minimises the binary cross-entropy, and reports the loss and "two_afc", the
    agreement with people. A step passes the backbone three times.

    Args:
        metric: an `LPIPS` with heads; its weights are trained in place, the heads' kept
            non-negative by their constraint.
        mode: what is trained besides G: "heads", or with the backbone "tune" or "scratch" (the same
            thing, for a metric with `backbone_weights=None`).
        name: name of the model.

    Raises:
        ValueError: an unknown `mode`, or a metric without heads or with maps.

    Example:

    >>> model = RankingModel(lpips_tf.LPIPS(head_weights=None))
    >>> model.compile(optimizer())
    >>> model.fit((ref, p0, p1), judge, batch_size=50)
    """

    def __init__(self, metric: LPIPS, mode: str = "heads", name: str = "ranking", **kwargs):
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
        self.built = True

    def call(self, inputs, training=None):
        reference, image0, image1 = inputs
        d0, d1 = self.metric.distances(reference, image0, image1, training=training)
        return {"logit": self.rank(d0, d1), "distances": ops.stack([d0, d1], axis=1)}

    def rank(self, d0, d1):
        """Logits (N,) of the fraction of people who choose the second image."""
        seen = [d0, d1, d0 - d1, d0 / (d1 + EPSILON), d1 / (d0 + EPSILON)]
        return self.ranking(ops.stack(seen, axis=1))[:, 0]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits = y_pred["logit"]
        judge = ops.reshape(ops.cast(y, logits.dtype), (-1, 1))
        losses = keras.losses.binary_crossentropy(judge, logits[:, None], from_logits=True)
        if sample_weight is not None:
            losses = losses * ops.reshape(ops.cast(sample_weight, logits.dtype), (-1,))
        return ops.mean(losses)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.two_afc.update_state(y, y_pred["distances"], sample_weight)
        return self.get_metrics_result()

    def get_config(self) -> dict[str, Any]:
        return {
            "metric": keras.saving.serialize_keras_object(self.metric),
            "mode": self.mode,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**(config | {"metric": keras.saving.deserialize_keras_object(config["metric"])}))


def optimizer(learning_rate: float = 1e-4) -> keras.optimizers.Optimizer:
    """The official optimiser, Adam with β₁ = 0.5."""
    return keras.optimizers.Adam(learning_rate, beta_1=0.5)


def learning_rate(epoch: int, start: float = 1e-4, epochs: int = 5, decay_epochs: int = 5) -> float:
    """The learning rate of an epoch, counted from 0: `start` for `epochs` epochs and one more, then
    down by an equal step after each, to reach 0 after `epochs` + `decay_epochs` (the official
    train.py and `update_learning_rate`).
    """
    return start * (1 - max(0, epoch - epochs) / decay_epochs)


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
