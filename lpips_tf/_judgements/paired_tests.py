"""Whether one metric agrees better with people than another, on the same examples.

The scores of both come from the same judgements, so their difference is known better than either:
examples are resampled, and metrics swapped, for both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lpips_tf import scores
from lpips_tf._support.arguments import shown

RESAMPLES = 2000  # of the bootstrap
FLIPS = 9999  # of the signs; for JND, whose score is no mean, as many as RESAMPLES
CHUNK = 10_000_000  # random numbers drawn at a time

Columns = Mapping[str, npt.NDArray[Any]]
Numbers = npt.NDArray[np.float64]


class Comparison(NamedTuple):
    """The scores of two metrics on the same examples, and whether they differ."""

    score_a: float
    score_b: float
    difference: float  # score_a - score_b
    low: float  # its 95% confidence interval
    high: float
    p_value: float  # two-sided, of metrics that agree with people equally well


def compare(a: Columns | Sequence[Columns], b: Columns | Sequence[Columns]) -> Comparison:
    """Compares how well two metrics agree with people.

    The interval is a paired bootstrap: percentiles of the difference on resampled examples. The
    p-value is from random sign flips: how often a difference is as large as this one if, for each
    example, the two metrics are swapped at random. (For JND, whose score takes all distances
    together, the ranks of an example's distances are swapped.) Both are drawn with a fixed seed.

    Args:
        a: columns of one metric, as `distances` returns them; or a sequence of them, one for each
            data set. Scores are then the means over data sets, each counting the same, and examples
            are resampled within each.
        b: the same of another metric. The order of examples may differ.

    Returns:
        The comparison. The interval and the p-value are NaN for a single example, and where a JND
        score is, as nobody saw two equal images.

    Raises:
        ValueError: columns of different examples, judgements or kinds, or with NaN.
    """
    sets_a, sets_b = (list(x) if isinstance(x, (list, tuple)) else [x] for x in (a, b))
    if len(sets_a) != len(sets_b) or not sets_a:
        raise ValueError(
            f"Expected the same data sets of both. Received: {len(sets_a)} and {len(sets_b)}"
        )
    pairs = [_aligned(x, y) for x, y in zip(sets_a, sets_b, strict=True)]
    kinds = {"judge" in columns for columns, _ in pairs}
    if len(kinds) > 1:
        raise ValueError("Expected data sets of one kind. Received: 2AFC and JND")
    test = _TwoAFC if kinds.pop() else _JND
    return _compared([test(*pair) for pair in pairs])


class _TwoAFC:
    """The agreement of two metrics with people on each triplet; scores are their means."""

    flips = FLIPS

    def __init__(self, a: Columns, b: Columns) -> None:
        agreements = [scores.agreement(x["d0"], x["d1"], x["judge"]) for x in (a, b)]
        self.scores = [float(agreement.mean()) for agreement in agreements]
        self._differences = agreements[0] - agreements[1]
        self.count = len(self._differences)

    def resampled(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference of the scores on each of so many resamples."""
        return _in_chunks(times, self.count, lambda rows: self._resampled(rng, rows))

    def _resampled(self, rng: np.random.Generator, rows: int) -> Numbers:
        drawn = rng.integers(self.count, size=(rows, self.count))
        return np.asarray(self._differences[drawn].mean(axis=1))

    def flipped(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference where the metrics are swapped at random for each triplet."""
        moved = self._differences[self._differences != 0]
        return _in_chunks(times, len(moved), lambda rows: self._flipped(rng, moved, rows))

    def _flipped(self, rng: np.random.Generator, moved: Numbers, rows: int) -> Numbers:
        signs = rng.integers(2, size=(rows, len(moved)), dtype=np.int8) * 2 - 1
        return np.asarray(signs @ moved / self.count)


class _JND:
    """The ranks of two metrics' distances, from which alone their scores come."""

    flips = RESAMPLES

    def __init__(self, a: Columns, b: Columns) -> None:
        from scipy import stats

        self._same = np.asarray(a["same"], np.float64)
        self.scores = [scores.jnd_score(x["distance"], self._same) for x in (a, b)]
        self._ranks = [stats.rankdata(x["distance"]) for x in (a, b)]
        self.count = len(self._same)

    def resampled(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference of the scores on each of so many resamples."""
        a, b = self._ranks
        chosen = (rng.integers(self.count, size=self.count) for _ in range(times))
        return np.array([self._difference(a, b, rows) for rows in chosen])

    def flipped(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference where the metrics' ranks are swapped at random for each pair."""
        swaps = (rng.integers(2, size=self.count, dtype=bool) for _ in range(times))
        a, b = self._ranks
        return np.array(
            [self._difference(np.where(s, b, a), np.where(s, a, b), slice(None)) for s in swaps]
        )

    def _difference(self, a: Numbers, b: Numbers, rows: Any) -> float:
        same = self._same[rows]
        return scores.jnd_score(a[rows], same) - scores.jnd_score(b[rows], same)


def _compared(tests: Sequence[_TwoAFC | _JND]) -> Comparison:
    score_a, score_b = np.mean([test.scores for test in tests], axis=0).tolist()
    difference = score_a - score_b
    if max(test.count for test in tests) < 2 or np.isnan(difference):
        return Comparison(score_a, score_b, difference, *[float("nan")] * 3)
    rng = np.random.default_rng(0)
    resampled = np.mean([test.resampled(rng, RESAMPLES) for test in tests], axis=0)
    low, high = np.nanpercentile(resampled, (2.5, 97.5)).tolist()
    flips = min(test.flips for test in tests)
    flipped = np.mean([test.flipped(rng, flips) for test in tests], axis=0)
    # The swap that changes nothing is one of them; sums in another order differ by rounding.
    as_large = 1 + int(np.sum(np.abs(flipped) >= abs(difference) - 1e-12))
    return Comparison(score_a, score_b, difference, low, high, as_large / (1 + flips))


def _in_chunks(times: int, width: int, compute: Callable[[int], Numbers]) -> Numbers:
    rows = max(1, CHUNK // max(width, 1))
    parts = [compute(min(rows, times - start)) for start in range(0, times, rows)]
    return np.concatenate(parts)


def _aligned(a: Columns, b: Columns) -> tuple[Columns, Columns]:
    """The columns of both metrics, in the order of the first one's examples."""
    names = [_checked(columns) for columns in (a, b)]
    if names[0] != names[1]:
        raise ValueError(
            "Expected columns of one kind. Received: "
            + " and ".join(", ".join(sorted(n)) for n in names)
        )
    ids_a, ids_b = (np.asarray(columns["id"]) for columns in (a, b))
    unique_a, order_a = np.unique(ids_a, return_index=True)
    unique_b, order_b = np.unique(ids_b, return_index=True)
    if len(unique_a) < len(ids_a) or len(unique_b) < len(ids_b):
        raise ValueError("Expected each example once. Received: an id twice")
    if (different := np.setxor1d(unique_a, unique_b)).size:
        raise ValueError(
            f"Expected the same examples of both. Received: {len(ids_a)} and {len(ids_b)}, "
            f"and {different[0]} of only one"
        )
    orders = (order_a, order_b)
    found = [
        {name: np.asarray(columns[name])[order] for name in names[0]}
        for columns, order in zip((a, b), orders, strict=True)
    ]
    answer = "judge" if "judge" in names[0] else "same"
    if not np.allclose(found[0][answer], found[1][answer], rtol=0, atol=1e-6):
        raise ValueError("Expected the same judgements of both. Received: different ones")
    return found[0], found[1]


def _checked(columns: Columns) -> set[str]:
    kinds = ({"id", "d0", "d1", "judge"}, {"id", "distance", "same"})
    if not isinstance(columns, Mapping) or set(columns) not in kinds:
        received = ", ".join(columns) if isinstance(columns, Mapping) else shown(columns)
        raise ValueError(
            "Expected columns id, d0, d1 and judge, or id, distance and same. "
            f"Received: {received or 'none'}"
        )
    return set(columns)
