"""Whether one metric agrees better with people than another, on the same examples.

The scores of both come from the same judgements, so their difference is known better than either:
examples are resampled, and metrics swapped, for both at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lpips_tf._judgements.paired_scores import JND, Opinions, TwoAFC
from lpips_tf._judgements.resampling import percentile_interval
from lpips_tf._support.arguments import check_flag, shown

KINDS = (
    {"id", "d0", "d1", "judge"},
    {"id", "d0", "d1", "judge", "reference"},
    {"id", "distance", "same"},
    {"id", "distance", "opinion", "reference"},
)

Columns = Mapping[str, npt.NDArray[Any]]


class Comparison(NamedTuple):
    """The scores of two metrics on the same examples, and whether they differ."""

    score_a: float
    score_b: float
    difference: float  # score_a - score_b
    low: float  # its 95% confidence interval
    high: float
    p_value: float  # two-sided, of metrics that agree with people equally well


def compare(
    a: Columns | Sequence[Columns], b: Columns | Sequence[Columns], lower_is_better: bool = False
) -> Comparison:
    """Compares how well two metrics agree with people.

    Scores are 2AFC or JND scores or, for opinions, Spearman's correlation, positive where the
    metric agrees with people. The interval is a paired bootstrap: expanded percentiles of the
    difference on resampled examples. The p-value is from random sign flips: how often a difference
    is as large as this one if, for each example, the two metrics are swapped at random. For JND and
    opinions, whose scores take all distances together, the ranks of an example's distances are
    swapped. Examples of one reference are not independent: where columns say "reference", whole
    references are resampled, and metrics swapped for all of their examples. Both are drawn with a
    fixed seed.

    Args:
        a: columns of one metric, as `distances` returns them; or a sequence of them, one for each
            data set. Scores are then the means over data sets, each counting the same, and examples
            are resampled within each.
        b: the same of another metric. The order of examples may differ.
        lower_is_better: opinions are of differences (DMOS), and higher for worse images.

    Returns:
        The comparison. The interval and the p-value are NaN for a single example or reference, and
        where a score is: JND where nobody saw two equal images, a correlation of constant numbers.

    Raises:
        ValueError: columns of different examples, judgements or kinds, or with NaN.
    """
    sets_a, sets_b = (list(x) if isinstance(x, (list, tuple)) else [x] for x in (a, b))
    if len(sets_a) != len(sets_b) or not sets_a:
        raise ValueError(
            f"Expected the same data sets of both. Received: {len(sets_a)} and {len(sets_b)}"
        )
    check_flag("lower_is_better", lower_is_better)
    pairs = [_aligned(x, y) for x, y in zip(sets_a, sets_b, strict=True)]
    names = {_answer(columns) for columns, _ in pairs}
    if len(names) > 1:
        raise ValueError(f"Expected data sets of one kind. Received: {' and '.join(sorted(names))}")
    name = names.pop()
    if name == "opinion":
        return _compared([Opinions(*pair, lower_is_better) for pair in pairs])
    if lower_is_better:
        raise ValueError(f"Expected lower_is_better with opinions only. Received: {name}")
    return _compared([(TwoAFC if name == "judge" else JND)(*pair) for pair in pairs])


def _compared(tests: Sequence[TwoAFC | JND | Opinions]) -> Comparison:
    score_a, score_b = np.mean([test.scores for test in tests], axis=0).tolist()
    difference = score_a - score_b
    if min(test.count for test in tests) < 2 or np.isnan(difference):
        return Comparison(score_a, score_b, difference, *[float("nan")] * 3)
    rng = np.random.default_rng(0)
    resamples = min(test.resamples for test in tests)
    resampled = np.mean([test.resampled(rng, resamples) for test in tests], axis=0)
    low, high = percentile_interval(resampled, min(test.count for test in tests))
    flips = min(test.flips for test in tests)
    flipped = np.mean([test.flipped(rng, flips) for test in tests], axis=0)
    # The swap that changes nothing is one of them; sums in another order differ by rounding.
    as_large = 1 + int(np.sum(np.abs(flipped) >= abs(difference) - 1e-12))
    return Comparison(score_a, score_b, difference, low, high, as_large / (1 + flips))


def _aligned(a: Columns, b: Columns) -> tuple[Columns, Columns]:
    """The columns of both metrics, in the same order of examples."""
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
    answer = _answer(found[0])
    same = np.allclose(found[0][answer], found[1][answer], rtol=1e-6, atol=1e-6)
    if not same or (
        "reference" in names[0] and np.any(found[0]["reference"] != found[1]["reference"])
    ):
        raise ValueError("Expected the same judgements of both. Received: different ones")
    return found[0], found[1]


def _answer(columns: Columns) -> str:
    return next(name for name in ("judge", "same", "opinion") if name in columns)


def _checked(columns: Columns) -> set[str]:
    if not isinstance(columns, Mapping) or set(columns) not in KINDS:
        received = ", ".join(columns) if isinstance(columns, Mapping) else shown(columns)
        raise ValueError(
            "Expected columns id, d0, d1, judge and perhaps reference; id, distance and same; or "
            f"id, distance, opinion and reference. Received: {received or 'none'}"
        )
    return set(columns)
