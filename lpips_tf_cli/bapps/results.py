"""A metric's scores on data sets of BAPPS, under a progress bar."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lpips_tf
from lpips_tf import evaluation
from lpips_tf_cli.bapps.sources import Source, translated_read_errors
from lpips_tf_cli.console.metric_options import MetricOptions
from lpips_tf_cli.console.progress import progress_bar

Metric = Callable[..., Any]  # two batches of images to their distances
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
    return Result(source.name, evaluation.score(columns), low, high, count, seconds), columns


def mean_score(results: list[Result]) -> float:
    """The mean of the scores, each data set counting the same."""
    return float(np.mean([result.score for result in results]))
