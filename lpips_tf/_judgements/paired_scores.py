"""The scores of two metrics on the same judgements, resampled and with the metrics swapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lpips_tf import scores
from lpips_tf._judgements.correlations import checked, resampled_spearman, spearman
from lpips_tf._judgements.resampling import groups_of, resampled_weights

RESAMPLES = 2000  # of the bootstrap
RANK_RESAMPLES = 1000  # where each resample is ranked again
FLIPS = 9999  # of the signs
CHUNK = 10_000_000  # random numbers drawn at a time

Columns = Mapping[str, npt.NDArray[Any]]
Numbers = npt.NDArray[np.float64]


class TwoAFC:
    """The agreement of two metrics with people on each triplet; scores are their means.

    Triplets of one reference are resampled, and their metrics swapped, together: in all of several
    data sets that share references. Scores and differences are sums over these data sets.
    """

    resamples, flips = RESAMPLES, FLIPS

    def __init__(self, sets: Sequence[tuple[Columns, Columns]]) -> None:
        agreements = [
            [scores.agreement(x["d0"], x["d1"], x["judge"]) for x in pair] for pair in sets
        ]
        self.scores = np.sum([np.mean(pair, axis=1) for pair in agreements], axis=0).tolist()
        lengths = [len(a) for a, _ in agreements]
        columns = [pair[0] for pair in sets]
        if "reference" in columns[0]:
            columns = [{"reference": np.concatenate([x["reference"] for x in columns])}]
        groups = groups_of(columns[0], sum(lengths))
        self.count = int(groups.max()) + 1
        parts = np.split(groups, np.cumsum(lengths)[:-1])
        # Of each data set and reference: the triplets, and the sum of their differences.
        self._sizes = np.array([np.bincount(part, minlength=self.count) for part in parts])
        self._differences = np.array(
            [
                np.bincount(part, weights=a - b, minlength=self.count)
                for part, (a, b) in zip(parts, agreements, strict=True)
            ]
        )

    def resampled(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference of the scores on each of `times` resamples of references."""
        return _in_chunks(times, self._sizes.size, lambda rows: self._resampled(rng, rows))

    def _resampled(self, rng: np.random.Generator, rows: int) -> Numbers:
        drawn = rng.integers(self.count, size=(rows, self.count))
        found = np.zeros(rows)
        for differences, sizes in zip(self._differences, self._sizes, strict=True):
            with np.errstate(invalid="ignore"):  # none of a data set's triplets is drawn
                found += differences[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        return found

    def flipped(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference where the metrics are swapped at random for each reference."""
        shares = (self._differences / self._sizes.sum(axis=1, keepdims=True)).sum(axis=0)
        moved = shares[shares != 0]
        return _in_chunks(times, len(moved), lambda rows: self._flipped(rng, moved, rows))

    def _flipped(self, rng: np.random.Generator, moved: Numbers, rows: int) -> Numbers:
        signs = rng.integers(2, size=(rows, len(moved)), dtype=np.int8) * 2 - 1
        return np.asarray(signs @ moved)


class JND:
    """The ranks of two metrics' distances, from which alone their scores come."""

    resamples = flips = RESAMPLES

    def __init__(self, a: Columns, b: Columns) -> None:
        from scipy import stats

        self._same = np.asarray(a["same"], np.float64)
        self.scores = [scores.jnd_score(x["distance"], self._same) for x in (a, b)]
        self._ranks = [stats.rankdata(x["distance"]) for x in (a, b)]
        self.count = len(self._same)

    def resampled(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference of the scores on each of `times` resamples."""
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


class Opinions:
    """The ranks of two metrics' distances, the smallest last, and of people's opinions."""

    resamples, flips = RANK_RESAMPLES, FLIPS

    def __init__(self, a: Columns, b: Columns, lower_is_better: bool) -> None:
        from scipy import stats

        (distance_a, opinion, _), (distance_b, *_) = checked(a), checked(b)
        self._a, self._b = ranks = [stats.rankdata(-x) for x in (distance_a, distance_b)]
        self._opinion = stats.rankdata(-opinion if lower_is_better else opinion)
        self.scores = [spearman(x, self._opinion) for x in ranks]
        self._references = groups_of(a, len(opinion))
        self.count = int(self._references.max()) + 1

    def resampled(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference of the scores on each of `times` resamples of references."""
        draws = resampled_weights(self._references, times, rng)
        return np.concatenate([self._difference(weights) for weights in draws])

    def _difference(self, weights: npt.NDArray[np.int64]) -> Numbers:
        a, b = (resampled_spearman(x, self._opinion, weights) for x in (self._a, self._b))
        return a - b

    def flipped(self, rng: np.random.Generator, times: int) -> Numbers:
        """The difference where the metrics' ranks are swapped at random for each reference."""
        sums = [self._sums(ranks) for ranks in (self._a, self._b)]
        swaps = rng.integers(2, size=(times, self.count))
        both = sums[0].sum(0) + sums[1].sum(0)
        a = sums[0].sum(0) + swaps @ (sums[1] - sums[0])
        return self._correlation(a) - self._correlation(both - a)

    def _sums(self, ranks: Numbers) -> Numbers:
        """Of each reference's images: Σx, Σx² and Σxy for centred ranks x and opinions y."""
        x, y = (r - r.mean() for r in (ranks, self._opinion))
        sums = [np.bincount(self._references, weights=w) for w in (x, x * x, x * y)]
        return np.stack(sums, axis=1)

    def _correlation(self, sums: Numbers) -> Numbers:
        x, xx, xy = np.moveaxis(sums, -1, 0)
        count = len(self._opinion)
        spread = np.sqrt((xx - x * x / count) * count * self._opinion.var())
        return np.asarray(xy / spread)


def _in_chunks(times: int, width: int, compute: Callable[[int], Numbers]) -> Numbers:
    rows = max(1, CHUNK // max(width, 1))
    parts = [compute(min(rows, times - start)) for start in range(0, times, rows)]
    return np.concatenate(parts)
