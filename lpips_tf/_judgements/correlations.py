"""Correlations of distances with people's opinion scores, as quality databases have them.

TID2013, KADID-10k and others have an opinion score for each distorted image of a few references.
Images of one reference are not independent, so intervals come from resampling references.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lpips_tf._judgements.resampling import (
    Kendall,
    groups_of,
    percentile_interval,
    resampled_weights,
    weighted_pearson,
    weighted_ranks,
)
from lpips_tf._support.arguments import check_flag, shown

RESAMPLES = 1000  # of the bootstrap
PARAMETERS = 4  # of the logistic curve

Numbers = npt.NDArray[np.float64]


class Correlation(NamedTuple):
    """A correlation and its 95% confidence interval."""

    value: float
    low: float
    high: float


class Correlations(NamedTuple):
    """How well distances agree with opinions: 1 at best, 0 for none."""

    spearman: Correlation  # of ranks
    kendall: Correlation  # τ-b, of the order of each two images
    pearson: Correlation  # of the numbers
    fitted_pearson: Correlation  # of the numbers, after a logistic curve is fitted to the opinions


def correlations(columns: Mapping[str, Any], lower_is_better: bool = False) -> Correlations:
    """Correlates a metric's distances with people's opinions.

    A correlation is positive if the metric agrees with people: distances are negated, because good
    images have small distances and high opinions. The fitted correlation is positive if the curve
    rises.

    The curve is that of VQEG (Final report on the validation of objective models, 2000), with four
    parameters: (b1 - b2) / (1 + exp(-(x - b3) / |b4|)) + b2. It is fitted once, to all images.

    Args:
        columns: "reference", (N,), what each image is a distortion of; "distance" and "opinion",
            (N,) numbers.
        lower_is_better: opinions are of differences (DMOS), and higher for worse images.

    Returns:
        The correlations, with percentile bootstrap intervals over references. A correlation of
        constant numbers is not defined, and NaN; so is the fitted one for fewer than five images,
        or where the fit does not converge, and an interval for a single reference.

    Raises:
        ValueError: columns that are missing, of different lengths, empty, or with NaN.
    """
    check_flag("lower_is_better", lower_is_better)
    distance, opinion, references = checked(columns)
    x, y = -distance, -opinion if lower_is_better else opinion
    fitted = fit_logistic(x, y)
    fitted = fitted * np.sign(pearson(x, fitted))  # which would always correlate positively
    values = spearman(x, y), kendall(x, y), pearson(x, y), pearson(fitted, y)
    groups = groups_of({"reference": references}, len(x))
    count = int(groups.max()) + 1
    resampled_kendall = Kendall(x, y, groups)
    unit_x, unit_y, unit_fitted = map(_unit, (x, y, fitted))
    resampled = [
        (
            resampled_spearman(x, y, weights),
            resampled_kendall(weights),
            weighted_pearson(unit_x, unit_y, weights),
            weighted_pearson(unit_fitted, unit_y, weights),
        )
        for weights in resampled_weights(groups, RESAMPLES, np.random.default_rng(0))
    ]
    found = np.concatenate(resampled, axis=1) if resampled else np.zeros((4, 0))
    return Correlations(*(_with_interval(*x, count) for x in zip(values, found, strict=True)))


def _with_interval(value: float, resampled: Numbers, count: int) -> Correlation:
    if np.isnan(value) or not resampled.size:
        return Correlation(value, float("nan"), float("nan"))
    return Correlation(value, *percentile_interval(resampled, count))


def resampled_spearman(x: Numbers, y: Numbers, weights: npt.NDArray[np.int64]) -> Numbers:
    """Spearman's correlation for each row of weights (n, N): how often each row occurs."""
    return weighted_pearson(weighted_ranks(x, weights), weighted_ranks(y, weights), weights)


def spearman(x: Numbers, y: Numbers) -> float:
    """Spearman's rank correlation; NaN where it is not defined."""
    from scipy import stats

    return pearson(stats.rankdata(x), stats.rankdata(y))


def kendall(x: Numbers, y: Numbers) -> float:
    """Kendall's τ-b; NaN where it is not defined."""
    from scipy import stats

    return float(stats.kendalltau(x, y).statistic) if _varies(x) and _varies(y) else float("nan")


def pearson(x: Numbers, y: Numbers) -> float:
    """Pearson's correlation; NaN where it is not defined."""
    if not (_varies(x) and _varies(y)):
        return float("nan")
    return float(np.corrcoef(_unit(x), _unit(y))[0, 1])


def _unit(values: Numbers) -> Numbers:
    """Numbers of another unit, with a range of 1: squares of very small ones would be 0."""
    return (values - values.mean()) / np.ptp(values) if _varies(values) else values


def fit_logistic(x: Numbers, y: Numbers) -> Numbers:
    """The values at `x` of the curve of VQEG that is nearest to `y`; NaN where none is found."""
    from scipy import optimize

    nothing = np.full(len(x), np.nan)
    if len(x) <= PARAMETERS or not (_varies(x) and _varies(y)):
        return nothing
    start = (y.max(), y.min(), x.mean(), x.std() / PARAMETERS)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # of curves that are tried
            warnings.simplefilter("ignore", optimize.OptimizeWarning)  # the parameters' covariance
            found, _ = optimize.curve_fit(_logistic, x, y, start, maxfev=20_000)
            return np.asarray(_logistic(x, *found))
    except RuntimeError:  # it does not converge
        return nothing


def _logistic(x: Numbers, high: float, low: float, middle: float, width: float) -> Numbers:
    return (high - low) / (1 + np.exp(-(x - middle) / abs(width))) + low


def _varies(values: Numbers) -> bool:
    return bool(np.ptp(values) > 0)  # False for NaN


def checked(columns: Mapping[str, Any]) -> tuple[Numbers, Numbers, npt.NDArray[Any]]:
    """Distances, opinions and references, of one length and finite."""
    names = ("distance", "opinion", "reference")
    if not isinstance(columns, Mapping) or not set(names) <= columns.keys():
        received = ", ".join(columns) if isinstance(columns, Mapping) else shown(columns)
        raise ValueError(
            f"Expected columns distance, opinion and reference. Received: {received or 'none'}"
        )
    try:
        distance, opinion = (np.asarray(columns[name], np.float64) for name in names[:2])
    except (TypeError, ValueError) as error:
        raise ValueError("Expected distances and opinions as numbers (N,)") from error
    references = np.asarray(columns["reference"])
    shapes = [x.shape for x in (distance, opinion, references)]
    if len(set(shapes)) > 1 or distance.ndim != 1 or not distance.size:
        raise ValueError(f"Expected columns of one length (N,). Received: {shapes}")
    for name, values in (("distance", distance), ("opinion", opinion)):
        if not np.isfinite(values).all():
            raise ValueError(f"Expected finite numbers. Received: {name} with NaN or infinity")
    return distance, opinion, references
