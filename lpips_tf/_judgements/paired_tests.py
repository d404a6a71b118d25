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
from lpips_tf._judgements.resampling import checked_references, percentile_interval
from lpips_tf._support.arguments import check_flag, shown

KINDS = (  # the columns of 2AFC, JND and opinions
    ("id", "d0", "d1", "judge"),
    ("id", "d0", "d1", "judge", "reference"),
    ("id", "distance", "same"),
    ("id", "distance", "opinion", "reference"),
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
            data set. Scores are then the means over data sets, each counting the same. Examples are
            resampled within each data set, and references that several have, in all of them.
        b: the same of another metric. The order of examples may differ.
        lower_is_better: opinions are of differences (DMOS), and higher for worse images.

    Returns:
        The comparison. The interval and the p-value are NaN for a single example or reference, and
        where a score is: JND where nobody saw two equal images, a correlation of constant numbers.

    Raises:
        ValueError: columns of different examples, judgements or kinds, or with NaN; or data sets of
            opinions that share references: pass those as one data set.
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
    together = _sharing_references([columns for columns, _ in pairs])
    if name == "opinion":
        if len(together) < len(pairs):
            raise ValueError(
                "Expected data sets of opinions without common references, or one of all. "
                f"Received: {len(pairs)} that share some"
            )
        return _compared([Opinions(*pair, lower_is_better) for pair in pairs], len(pairs))
    if lower_is_better:
        raise ValueError(f"Expected lower_is_better with opinions only. Received: {name}")
    if name == "same":
        return _compared([JND(*pair) for pair in pairs], len(pairs))
    return _compared([TwoAFC([pairs[i] for i in indices]) for indices in together], len(pairs))


def _sharing_references(sets: Sequence[Columns]) -> list[list[int]]:
    """The indices of data sets, those together that share references, directly or by others."""
    found: list[tuple[set[Any], list[int]]] = []
    for i, columns in enumerate(sets):
        names = set(np.asarray(columns.get("reference", [])).tolist())
        same = [part for part in found if part[0] & names]
        found = [part for part in found if part not in same]
        indices = [index for _, part in same for index in part]
        found.append((names.union(*(part for part, _ in same)), [*indices, i]))
    return [indices for _, indices in found]


def _compared(tests: Sequence[TwoAFC | JND | Opinions], sets: int) -> Comparison:
    """The comparison of the means over so many data sets, given tests of their sums."""
    score_a, score_b = (np.sum([test.scores for test in tests], axis=0) / sets).tolist()
    difference = score_a - score_b
    if min(test.count for test in tests) < 2 or np.isnan(difference):
        return Comparison(score_a, score_b, difference, *[float("nan")] * 3)
    rng = np.random.default_rng(0)
    resamples = min(test.resamples for test in tests)
    resampled = np.sum([test.resampled(rng, resamples) for test in tests], axis=0) / sets
    low, high = percentile_interval(resampled, min(test.count for test in tests))
    flips = min(test.flips for test in tests)
    flipped = np.sum([test.flipped(rng, flips) for test in tests], axis=0) / sets
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
    for columns, ids in ((a, ids_a), (b, ids_b)):
        if len({ids.shape, *map(np.shape, columns.values())}) > 1 or ids.ndim != 1:
            shapes = ", ".join(f"{name} {np.shape(x)}" for name, x in columns.items())
            raise ValueError(f"Expected columns of one length (N,). Received: {shapes}")
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
    if "reference" in names[0]:
        references = [checked_references(x["reference"], len(ids_a)) for x in found]
        same = same and bool(np.all(references[0] == references[1]))
    if not same:
        raise ValueError("Expected the same judgements of both. Received: different ones")
    return found[0], found[1]


def _answer(columns: Columns) -> str:
    return next(name for name in ("judge", "same", "opinion") if name in columns)


def _checked(columns: Columns) -> set[str]:
    if not isinstance(columns, Mapping) or set(columns) not in map(set, KINDS):
        received = ", ".join(columns) if isinstance(columns, Mapping) else shown(columns)
        raise ValueError(
            "Expected columns id, d0, d1, judge and perhaps reference; id, distance and same; or "
            f"id, distance, opinion and reference. Received: {received or 'none'}"
        )
    return set(columns)
