"""Scores of how well a metric agrees with people, on the two kinds of judgements in BAPPS.

The scores are those of Zhang et al., CVPR 2018, section 2, as functions of arrays and as Keras
metrics.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from lpips_tf._backend.execution import replica
from lpips_tf._backend.tensors import accurate_dtype
from lpips_tf._support.arguments import check_count, shown


def two_afc_score(d0: Any, d1: Any, judge: Any) -> float:
    """Two-alternative forced choice: the share of people who chose as the metric does.

    The metric chooses the image that it finds nearer to the reference. A triplet counts 1 - `judge`
    if d0 < d1, `judge` if d1 < d0, and ½ for a tie; the score is the average (the official
    `score_2afc_dataset`).

    Args:
        d0, d1: (N,), the distances of the two images from the reference.
        judge: (N,) in [0, 1], the fraction of people who chose the second.

    Raises:
        ValueError: no or different numbers of values, a distance that is NaN, or a judgement
            outside [0, 1].
    """
    return float(np.mean(agreement(d0, d1, judge)))


def agreement(d0: Any, d1: Any, judge: Any) -> npt.NDArray[np.float64]:
    """What each triplet counts in `two_afc_score`, (N,), which takes the same arguments."""
    d0, d1, judge = _checked(d0=d0, d1=d1, judge=judge)
    return np.asarray((d0 < d1) * (1 - judge) + (d1 < d0) * judge + (d0 == d1) / 2)


def best_two_afc_score(judge: Any) -> float:
    """The highest 2AFC score that any metric can reach: people disagree with each other.

    It is that of always choosing as most people do, the mean of max(`judge`, 1 - `judge`).

    Args:
        judge: (N,) in [0, 1], the fraction of people who chose the second.

    Raises:
        ValueError: as `two_afc_score` does.
    """
    (judge,) = _checked(judge=judge)
    return float(np.mean(np.maximum(judge, 1 - judge)))


def jnd_score(distances: Any, same: Any) -> float:
    """Just noticeable differences: the area under the curve of precision and recall.

    The distance serves as a detector of pairs that look the same, which have small distances.
    Precision and recall count the fraction of people who saw no difference; the area is that under
    precision's envelope, as in VOC (the official `score_jnd_dataset` and `voc_ap`). Pairs of equal
    distance, which no threshold separates, enter together, so the order of pairs does not matter.

    Args:
        distances: (N,).
        same: (N,) in [0, 1], the fraction of people who saw no difference.

    Returns:
        The area in [0, 1]; NaN where nobody saw two equal images, as recall is not defined then.

    Raises:
        ValueError: as `two_afc_score` does.
    """
    distances, same = _checked(distances=distances, same=same)
    if same.sum() == 0:
        return float("nan")
    order = np.argsort(distances)
    distances, same = distances[order], same[order]
    ends = np.flatnonzero(np.append(distances[1:] != distances[:-1], True))
    found = np.cumsum(same)[ends]
    envelope = np.maximum.accumulate((found / (ends + 1))[::-1])[::-1]
    return float(np.sum(np.diff(found, prepend=0) * envelope) / found[-1])


@keras.saving.register_keras_serializable(package="lpips_tf")
class TwoAFC(keras.metrics.Mean):
    """`two_afc_score` as a Keras metric.

    `update_state(judge, distances)` takes judgements (N,) and the pair of distances (d0, d1), two
    arrays (N,) or one (N, 2). A distance that is NaN, or a judgement outside [0, 1], makes the
    result NaN.

    Args:
        name: name of the metric.
        dtype: of the sums; by default float64, or float32 under JAX.
    """

    def __init__(self, name: str = "two_afc", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype or accurate_dtype())

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of judgements (N,) and of pairs of distances."""
        judge = judgements_or_nan(_column(y_true, self.dtype))
        pair = isinstance(y_pred, (tuple, list)) and len(y_pred) == 2
        d0, d1 = y_pred if pair else ops.unstack(ops.convert_to_tensor(y_pred), axis=-1)
        d0, d1 = (_column(d, self.dtype) for d in (d0, d1))
        agreement = ops.where(d0 < d1, 1 - judge, ops.where(d1 < d0, judge, 0.5))
        agreement = ops.where(ops.isnan(d0 + d1 + judge), float("nan"), agreement)
        super().update_state(agreement, sample_weight)


@keras.saving.register_keras_serializable(package="lpips_tf")
class JND(keras.metrics.Metric):
    """`jnd_score` as a Keras metric.

    `update_state(same, distances)` takes judgements and distances, both (N,). The score needs all
    of them at the end, so they are kept. The result is NaN if a distance is, if a judgement lies
    outside [0, 1], or if there were more than `capacity` pairs (in all replicas together; those
    need Keras 3.10).

    Args:
        capacity: how many pairs there is room for. BAPPS has about 9,600.
        name: name of the metric.
        dtype: of the sums; by default float64, or float32 under JAX.
    """

    def __init__(self, capacity: int = 16384, name: str = "jnd", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype or accurate_dtype())
        check_count("capacity", capacity)
        self.capacity = int(capacity)
        # Each replica fills places of its own, and reading adds the replicas' tables up.
        self.table = self.add_variable((self.capacity, 3), "zeros", self.dtype, name="table")
        self.count = self.add_variable((), "zeros", "int32", name="count")
        self.lost = self.add_variable((), "zeros", "int32", name="lost")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of judgements and distances, both (N,)."""
        same = judgements_or_nan(_column(y_true, self.dtype))
        distances = _column(y_pred, self.dtype)
        weights = ops.ones_like(same)
        if sample_weight is not None:
            weights = weights * _column(sample_weight, self.dtype)
        index, replicas = replica()
        added = ops.shape(same)[0]
        places = (self.count + ops.arange(added, dtype="int32")) * replicas + index
        self.lost.assign_add(ops.sum(ops.cast(places >= self.capacity, "int32")))
        places = ops.minimum(places, self.capacity - 1)[:, None]
        rows = ops.stack([distances, same, weights], axis=1)
        self.table.assign(ops.scatter_update(self.table, places, rows))
        self.count.assign_add(added)

    def result(self) -> Any:
        """The score of all pairs so far."""
        distances, same, weights = ops.unstack(ops.convert_to_tensor(self.table), axis=1)
        order = ops.argsort(distances)
        distances, same, weights = (ops.take(x, order) for x in (distances, same, weights))
        found, seen = ops.cumsum(same * weights), ops.cumsum(weights)
        ends = ops.concatenate([distances[1:] != distances[:-1], ops.ones(1, "bool")])
        precision = ops.where(ends & (seen > 0), found / ops.where(seen > 0, seen, 1), 0)
        envelope = _maximum_from_here_on(precision)
        score = ops.sum(same * weights * envelope) / found[-1]
        bad = (self.lost > 0) | ops.any(ops.isnan(distances + same))
        return ops.where(bad, float("nan"), score)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for Keras' serialisation."""
        config: dict[str, Any] = super().get_config()
        return config | {"capacity": self.capacity}


def _checked(**arrays: Any) -> list[npt.NDArray[np.float64]]:
    """The arrays as vectors of float64; all but the last hold distances, the last judgements."""
    vectors = {name: _vector(name, array) for name, array in arrays.items()}
    lengths = {name: len(vector) for name, vector in vectors.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ValueError(
            "Expected the same number of values, at least one, of each. "
            f"Received: {', '.join(f'{count} of {name}' for name, count in lengths.items())}"
        )
    *distances, (judged, judgements) = vectors.items()
    for name, vector in distances:
        if np.isnan(vector).any():
            raise ValueError(
                f"Expected distances. Received: {name} with {np.isnan(vector).sum()} NaN"
            )
    check_judgements(judged, judgements)
    return list(vectors.values())


def _vector(name: str, array: Any) -> npt.NDArray[np.float64]:
    try:
        vector = np.asarray(ops.convert_to_numpy(array), np.float64)
    except (TypeError, ValueError) as error:  # strings, None, lists of several lengths
        raise ValueError(f"Expected {name} as numbers (N,). Received: {shown(array)}") from error
    if vector.size > max(vector.shape, default=1):  # a matrix, whose order may be another's
        raise ValueError(f"Expected {name} as numbers (N,). Received: {name}.shape={vector.shape}")
    return vector.ravel()


def check_judgements(name: str, judgements: Any) -> None:
    """Raises ValueError if a judgement is NaN or outside [0, 1]."""
    judgements = np.asarray(judgements)
    outside = ~((judgements >= 0) & (judgements <= 1))
    if outside.any():
        raise ValueError(
            "Expected judgements as fractions of people, in [0, 1]. Received: "
            f"{name} with {judgements[outside][0]}"
        )


def judgements_or_nan(judgements: Any) -> Any:
    """The judgements, with NaN in place of those outside [0, 1]: graphs cannot raise errors."""
    return ops.where((judgements >= 0) & (judgements <= 1), judgements, float("nan"))


def _maximum_from_here_on(values: Any) -> Any:
    """The largest value from each place of a vector to its end, of values that are not negative."""
    # Keras' associative_scan does not compile with XLA under TensorFlow.
    reach, length = 1, values.shape[0]
    while reach < length:  # each value covers as many after it as `reach` says
        values = ops.maximum(values, ops.pad(values[reach:], ((0, reach),)))
        reach *= 2
    return values


def _column(values: Any, dtype: Any) -> Any:
    return ops.reshape(ops.cast(values, dtype), (-1,))
