"""A metric's scores on data sets of BAPPS, under a progress bar."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import lpips_tf
from lpips_tf import evaluation
from lpips_tf_cli import work
from lpips_tf_cli.sources import Source, explaining
from lpips_tf_cli.startup import load_metric

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


def build(
    model: str,
    net: str,
    version: str,
    colorspace: str,
    head_weights: Path | None,
    backbone_weights: Path | None,
    spatial: bool = False,
) -> Callable:
    """The metric that the command's options describe; of a network also the one that gives maps."""
    if model in BASELINES:
        return BASELINES[model](colorspace)
    return load_metric(
        net, version, model == "baseline", head_weights, backbone_weights, spatial=spatial
    )


def score(metric: Callable, source: Source, batch_size: int) -> tuple[Result, evaluation.Columns]:
    """The score of a metric on a data set, and the distances that it comes from.

    Raises:
        ValueError: an image cannot be decoded; which one is said.
    """
    start = time.perf_counter()
    batches = []
    with work.progress(int(source.stored.cardinality()), source.name) as bar, explaining(source):
        for batch in evaluation.batch_distances(metric, source.examples, batch_size):
            batches.append(batch)
            bar.advance(bar.task_ids[0], len(batch["id"]))
    columns = evaluation.joined(batches)
    seconds = time.perf_counter() - start
    low, high = evaluation.confidence_interval(columns)
    count = len(columns["id"])
    return Result(source.name, evaluation.score(columns), low, high, count, seconds), columns


def mean(results: list[Result]) -> float:
    return float(np.mean([result.score for result in results]))
