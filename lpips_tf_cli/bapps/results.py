"""A metric's scores on data sets of BAPPS, under a progress bar."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lpips_tf
from lpips_tf import evaluation, scores
from lpips_tf_cli.bapps.sources import Source, translated_read_errors
from lpips_tf_cli.console.metric_options import MetricOptions
from lpips_tf_cli.console.progress import progress_bar

Metric = Callable[..., Any]  # two batches of images to their distances
FAMILIES = {
    "distortions": ("traditional", "cnn"),
    "algorithms": ("superres", "deblur", "color", "frameinterp"),
}
BASELINES = {"l2": lpips_tf.baselines.L2, "dssim": lpips_tf.baselines.DSSIM}


@dataclasses.dataclass(frozen=True)
class Result:
    """A metric's score on one data set."""

    dataset: str
    score: float
    low: float  # of the 95% confidence interval
    high: float
    count: int
    seconds: float
    best_score: float  # that any metric can reach, as people disagree; NaN for JND


def build_metric(model: str, options: MetricOptions, colorspace: str) -> Metric:
    """The metric that the command's options describe."""
    return BASELINES[model](colorspace) if model in BASELINES else options.load()


def score_on(source: Source, metric: Metric, batch_size: int) -> tuple[Result, evaluation.Columns]:
    """The score of a metric on a data set, and the distances that it comes from.

    Raises:
        ValueError: an image cannot be decoded. The message names it.
    """
    start = time.perf_counter()
    with progress_bar(source.name) as progress, translated_read_errors(source):
        columns = evaluation.distances(metric, source.examples, batch_size, progress)
    seconds = time.perf_counter() - start
    low, high = evaluation.confidence_interval(columns)
    count = len(columns["id"])
    best = scores.best_two_afc_score(columns["judge"]) if "judge" in columns else math.nan
    score = evaluation.score(columns)
    return Result(source.name, score, low, high, count, seconds, best), columns


def family_scores(results: list[Result]) -> dict[str, float]:
    """The means over families of data sets that the paper's Table 5 has, where all are there."""
    scored = {result.dataset: result.score for result in results}
    return {
        family: float(np.mean([scored[f"val/{name}"] for name in members]))
        for family, members in FAMILIES.items()
        if len(scored) > len(members) and {f"val/{name}" for name in members} <= scored.keys()
    }


def mean_score(results: list[Result]) -> float:
    """The mean of the scores, each data set counting the same."""
    return float(np.mean([result.score for result in results]))
