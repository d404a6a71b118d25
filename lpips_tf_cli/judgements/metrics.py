"""The metrics that `evaluate` scores."""

from __future__ import annotations

import lpips_tf
from lpips_tf import baselines
from lpips_tf_cli.console.metric_options import MetricOptions

Metric = lpips_tf.LPIPS | baselines.Baseline
BASELINES = {"l2": baselines.L2, "dssim": baselines.DSSIM}


def build_metric(model: str, options: MetricOptions, colorspace: str) -> Metric:
    """The metric that the command's options describe."""
    return BASELINES[model](colorspace) if model in BASELINES else options.load()
