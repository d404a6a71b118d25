"""Summarises distances: mean, standard error, one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lpips_tf_cli.console.text import counted


def mean(distances: Sequence[float]) -> float:
    return math.fsum(distances) / len(distances) if distances else math.nan


def standard_error(distances: Sequence[float]) -> float:
    """The standard error of the mean of independent pairs, as the official `lpips_2dirs.py`
    computes it; NaN for fewer than two.
    """
    import numpy as np

    count = len(distances)
    return float(np.std(distances)) / count**0.5 if count > 1 else math.nan


def mean_and_error(mean: float, error: float) -> str:
    """The mean, and its standard error unless that is NaN."""
    return f"{mean:.5f}" + ("" if math.isnan(error) else f" ± {error:.5f}")


def summary(mean: float, error: float, pairs: int, errors: int = 0) -> str:
    """Sums up distances in a line."""
    counts = counted(pairs, "pair") + (f", {counted(errors, 'error')}" if errors else "")
    return f"mean: {mean_and_error(mean, error) if pairs else 'none'} ({counts})"
