"""Bootstrap intervals of judgements whose rows share references.

Rows of one reference are not independent, so references are resampled with all of their rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
CHUNK = 2_000_000  # weights at a time
ROUNDING = 1e-26  # of float64, squared


def groups_of(columns: Mapping[str, Any], count: int) -> npt.NDArray[np.int64]:
    """Returns the index of each row's reference, by first appearance, or of the row itself.

    Raises:
        ValueError: "reference" does not name one for each row.
    """
    if "reference" not in columns:
        return np.arange(count)
    _, first, which = np.unique(
        checked_references(columns["reference"], count), return_index=True, return_inverse=True
    )
    return np.asarray(np.argsort(np.argsort(first))[which])


def checked_references(references: Any, count: int) -> npt.NDArray[Any]:
    """The references as an array (count,) that can be sorted; raises ValueError otherwise."""
    found = np.asarray(references)
    if found.shape != (count,):
        raise ValueError(
            f"Expected a reference for each of {count} examples. Received: shape {found.shape}"
        )
    missing = [name for name in found.tolist() if name is None or name != name]  # NaN differs
    if missing or (found.dtype.kind == "O" and len({type(name) for name in found}) > 1):
        raise ValueError(
            "Expected references of one type, such as names. "
            f"Received: {missing[0] if missing else 'several types'}"
        )
    return found


def resampled_weights(
    groups: npt.NDArray[np.int64], times: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yields how often each row is in each of `times` resamples, in parts (n, N).

    A resample has as many groups as there are, drawn with replacement. There is none for a single
    group.
    """
    count = int(groups.max()) + 1
    at_once = max(1, CHUNK // len(groups))
    for start in range(0, times if count > 1 else 0, at_once):
        rows = min(at_once, times - start)
        drawn = rng.integers(count, size=(rows, count))
        places = drawn + count * np.arange(rows)[:, None]
        yield np.bincount(places.ravel(), minlength=rows * count).reshape(rows, count)[:, groups]


def weighted_ranks(values: Numbers, weights: npt.NDArray[np.int64]) -> Numbers:
    """The average ranks (n, N) of values (N,) that occur as often as weights (n, N) say."""
    _, which = np.unique(values, return_inverse=True)
    order = np.argsort(which, kind="stable")
    starts = np.flatnonzero(np.diff(which[order], prepend=-1))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.cumsum(counts, axis=1) - (counts - 1) / 2
    return np.asarray(ranks[:, which])


def weighted_pearson(x: Numbers, y: Numbers, weights: npt.NDArray[np.int64]) -> Numbers:
    """Pearson's correlation of x and y for each row of weights (n, N); NaN where one is constant.

    Args:
        x, y: (N,) or (n, N).
        weights: how often each number occurs.
    """
    total = weights.sum(axis=1, keepdims=True)
    squares = [(weights * v * v).sum(axis=1) for v in (x, y)]
    x, y = (v - (weights * v).sum(axis=1, keepdims=True) / total for v in (x, y))
    xx, yy, xy = ((weights * a * b).sum(axis=1) for a, b in ((x, x), (y, y), (x, y)))
    # What rounding leaves of equal numbers does not vary.
    varies = (xx > ROUNDING * squares[0]) & (yy > ROUNDING * squares[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(varies, xy / np.sqrt(xx * yy), np.nan))


class Kendall:
    """Kendall's τ-b of resamples, from the order of the rows of each two groups.

    τ-b is a ratio of sums over pairs of rows, so that the sums over pairs of two groups are enough.
    """

    def __init__(self, x: Numbers, y: Numbers, groups: npt.NDArray[np.int64]) -> None:
        order = np.argsort(groups, kind="stable")
        x, y, groups = x[order], y[order], groups[order]
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        self._first = order[starts]  # a row of each group
        shape = len(starts), len(starts)
        self._both, self._x, self._y = (np.zeros(shape) for _ in range(3))
        at_once = max(1, CHUNK // len(x))
        for start in range(0, len(x), at_once):
            part = slice(start, start + at_once)
            sx, sy = (np.sign(v[part, None] - v).astype(np.int8) for v in (x, y))
            for sums, signs in ((self._both, sx * sy), (self._x, sx != 0), (self._y, sy != 0)):
                found = np.add.reduceat(signs, starts, axis=1, dtype=np.int64)
                np.add.at(sums, groups[part], found)

    def __call__(self, weights: npt.NDArray[np.int64]) -> Numbers:
        """τ-b for each row of weights (n, N), equal within a group; NaN where it is undefined."""
        counts = weights[:, self._first]
        both, x, y = (((counts @ m) * counts).sum(axis=1) for m in (self._both, self._x, self._y))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where((x > 0) & (y > 0), both / np.sqrt(x * y), np.nan))


def expanded(confidence: float, count: int) -> float:
    """Returns the level at which a percentile interval has the coverage `confidence`.

    Resamples of few groups vary too little: their variance is (n - 1) / n of what it estimates, and
    that estimate is uncertain. The expanded percentile interval (Hesterberg, What teachers should
    know about the bootstrap, The American Statistician 2015, section 3.3) makes up for both by the
    quantile of Student's t distribution.

    Args:
        confidence: such as 0.95.
        count: number of resampled units, 2 or more.
    """
    from scipy import stats

    quantile = stats.t.ppf((1 + confidence) / 2, count - 1) * math.sqrt(count / (count - 1))
    return float(1 - 2 * stats.norm.sf(quantile))


def percentile_interval(values: Any, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The expanded percentile interval of a score, from its values on resamples of `count` groups.

    Values that are NaN, as of resamples whose score is not defined, do not count.
    """
    outside = 50 * (1 - expanded(confidence, count))
    low, high = np.nanpercentile(values, (outside, 100 - outside)).tolist()
    return low, high
