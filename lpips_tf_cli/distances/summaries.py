"""Summarises distances: mean, standard error, one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lpips_tf_cli.console.text import counted


def mean_or_nan(distances: Sequence[float]) -> float:
    """The mean, or NaN of no distances."""
    return math.fsum(distances) / len(distances) if distances else math.nan


def standard_error(distances: Sequence[float]) -> float:
    """The standard error of the mean of independent pairs; NaN for fewer than two, or infinity.

    It is computed as in the official `lpips_2dirs.py`.
    """
    import numpy as np

    count = len(distances)
    if count < 2 or not np.isfinite(distances).all():
        return math.nan
    return float(np.std(distances)) / math.sqrt(count)


def mean_and_error(mean: float, error: float) -> str:
    """The mean, and its standard error unless that is NaN."""
    return f"{mean:.5f}" + ("" if math.isnan(error) else f" ± {error:.5f}")


def figure_line(name: str, values: Sequence[float]) -> str:
    """One line with the mean of another measure; PSNR is infinite for equal images."""
    equal = sum(value == math.inf for value in values)
    counts = f" ({counted(equal, 'equal pair')})" if equal else ""
    return f"mean of {name}: {mean_and_error(mean_or_nan(values), standard_error(values))}{counts}"


def summary_line(mean: float, error: float, pairs: int, errors: int = 0, of: str = "") -> str:
    """One line with the mean, its standard error, and the counts."""
    counts = counted(pairs, "pair") + (f", {counted(errors, 'error')}" if errors else "")
    return f"mean{of}: {mean_and_error(mean, error) if pairs else 'none'} ({counts})"
