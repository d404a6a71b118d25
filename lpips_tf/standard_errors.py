"""Standard errors of mean distances whose pairs share images, and so are not independent.

The images count as independent draws, as they do for a generator's samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def of_all_pairs(distances: npt.NDArray[Any]) -> float:
    """The standard error of the mean over all pairs of distinct images.

    It is the jackknife that leaves out one image at a time (Arvesen 1969, "Jackknifing
    U-statistics").

    Args:
        distances: (N, N), symmetric with a diagonal of 0, as `distance_matrix` gives.

    Returns:
        The error; NaN for fewer than three images, and where a distance is NaN.
    """
    count = len(distances)
    if count < 3:
        return float("nan")
    of_image = distances.sum(axis=1, dtype=np.float64)
    pairs = (count - 1) * (count - 2) / 2  # that are left without an image
    return jackknife((of_image.sum() / 2 - of_image) / pairs)


def of_consecutive_pairs(distances: Sequence[float], starts: Sequence[int]) -> float:
    """The standard error of the mean distance of each image from the next.

    Neighbouring pairs share an image, so their covariance counts too: the error is √((γ₀ + 2 γ₁) /
    n), with the variance γ₀ of the distances and the covariance γ₁ of neighbouring ones.

    Args:
        distances: n numbers.
        starts: the index of the first image of each pair; where one is skipped, pairs share none.

    Returns:
        The error; NaN for fewer than two pairs, and where a distance is NaN.
    """
    count = len(distances)
    if count < 2:
        return float("nan")
    deviations = np.asarray(distances, np.float64) - np.mean(distances, dtype=np.float64)
    shared = np.diff(starts) == 1
    variance = deviations @ deviations / (count - 1)
    covariance = (deviations[1:] * deviations[:-1])[shared].sum() / (count - 1)
    # Independent images never make it negative: it is the variance that the shared image explains.
    return float(np.sqrt((variance + 2 * np.maximum(covariance, 0)) / count))


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95% confidence interval of the mean of paired differences, by Student's t.

    Args:
        differences: n numbers, drawn independently.

    Returns:
        (low, high); NaN for fewer than two differences, and where one is NaN.
    """
    count = len(differences)
    if count < 2:
        return float("nan"), float("nan")
    values = np.asarray(differences, np.float64)
    half = _t_quantile(count - 1) * values.std(ddof=1) / np.sqrt(count)
    return float(values.mean() - half), float(values.mean() + half)


def _t_quantile(freedom: int) -> float:
    """The 0.975 quantile of Student's t.

    More than 2,000 degrees of freedom are taken for 2,000, which widens intervals by 0.06%.
    """
    freedom = min(freedom, 2000)
    low, high = 0.0, 100.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        inside = _t_probability(middle, freedom) < 0.95
        low, high = (middle, high) if inside else (low, middle)
    return high


def _t_probability(t: float, freedom: int) -> float:
    """P(|T| < t), by the finite series of Abramowitz & Stegun 26.7.3 and 26.7.4."""
    angle = np.arctan(t / np.sqrt(freedom))
    odd = freedom % 2
    powers = np.arange(odd, freedom - 1, 2)  # of the cosine
    ratios = np.where(powers > odd, (powers - 1) / np.maximum(powers, 1), 1.0)
    series = float(np.sum(np.cumprod(ratios) * np.cos(angle) ** powers)) * np.sin(angle)
    return float(2 / np.pi * (angle + series)) if odd else float(series)


def jackknife(left_out: npt.NDArray[np.float64]) -> float:
    """The standard error of a statistic, from its values with each part left out in turn."""
    count = len(left_out)
    deviations = left_out - left_out.mean()
    return float(np.sqrt((count - 1) / count * (deviations @ deviations)))
