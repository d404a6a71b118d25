"""How well a metric agrees with people on data sets of judgements."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lpips_tf import evaluation, scores
from lpips_tf.evaluation import Columns
from lpips_tf_cli.console.tables import without_nan
from lpips_tf_cli.judgements.metrics import Metric
from lpips_tf_cli.judgements.sources import Source
from lpips_tf_cli.judgements.tables import Table

FAMILIES = {
    "distortions": ("traditional", "cnn"),
    "algorithms": ("superres", "deblur", "color", "frameinterp"),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """A metric's score on one data set of triplets or pairs."""

    dataset: str
    score: float
    low: float  # of the 95% confidence interval
    high: float
    count: int
    seconds: float
    best_score: float  # that any metric can reach, as people disagree; NaN for JND
    references: int | None = None  # that the rows of a table have

    def fields(self) -> dict[str, Any]:
        """The fields for JSON."""
        fields = without_nan(dataclasses.asdict(self))
        return {k: v for k, v in fields.items() if k != "references" or v is not None}


@dataclasses.dataclass(frozen=True)
class OpinionResult:
    """How a metric's distances correlate with people's opinions on one data set."""

    dataset: str
    correlations: evaluation.Correlations
    references: int
    count: int
    seconds: float

    def fields(self) -> dict[str, Any]:
        """The fields for JSON."""
        found = {name: without_nan(c._asdict()) for name, c in self.correlations._asdict().items()}
        counts = {"references": self.references, "count": self.count, "seconds": self.seconds}
        return {"dataset": self.dataset} | found | counts


Scored = tuple[Source | Table, Result | OpinionResult, Columns]


def score_all(
    judged: Sequence[Source | Table], metric: Metric, batch_size: int, lower_is_better: bool
) -> list[Scored]:
    """Scores a metric on data sets of one kind.

    A group of a table without an image that can be read is left out, with a warning, if others
    have some.

    Raises:
        OSError, ValueError: an image cannot be read. The message names it.
    """
    scored: list[Scored] = []
    for part in judged:
        start = time.perf_counter()
        columns = part.distances(metric, batch_size)
        seconds = time.perf_counter() - start
        if not len(columns["id"]):
            warnings.warn(f"{part.name}: no image can be read", stacklevel=2)
            continue
        if "opinion" in columns:
            result = opinion_result(part.name, columns, seconds, lower_is_better)
            scored.append((part, result, columns))
        else:
            scored.append((part, _result(part.name, columns, seconds), columns))
    if not scored:
        raise ValueError("Expected images that can be read. Received: errors in all rows")
    return scored


def _result(name: str, columns: Columns, seconds: float) -> Result:
    low, high = evaluation.confidence_interval(columns)
    count = len(columns["id"])
    best = scores.best_two_afc_score(columns["judge"]) if "judge" in columns else math.nan
    references = len(np.unique(columns["reference"])) if "reference" in columns else None
    return Result(name, evaluation.score(columns), low, high, count, seconds, best, references)


def opinion_result(
    name: str, columns: Columns, seconds: float, lower_is_better: bool
) -> OpinionResult:
    """The correlations; where they are not defined, a warning says why."""
    found = evaluation.correlations(columns, lower_is_better)
    count = len(columns["id"])
    for numbers, what in (("opinion", "opinions"), ("distance", "distances")):
        if np.ptp(columns[numbers]) == 0:
            why = "of a single image" if count == 1 else f"as all {count:,} {what} are equal"
            warnings.warn(f"{name}: correlations are not defined {why}", stacklevel=2)
            break
    references = len(np.unique(columns["reference"]))
    return OpinionResult(name, found, references, count, seconds)


def all_results(scored: Sequence[Scored], lower_is_better: bool) -> list[Result | OpinionResult]:
    """The results; those of several groups of opinions, and of all together."""
    found = [result for _, result, _ in scored]
    if len(found) > 1 and isinstance(found[0], OpinionResult):
        found.append(_all_opinions(scored, lower_is_better))
    return found


def _all_opinions(scored: Sequence[Scored], lower_is_better: bool) -> OpinionResult:
    """The correlations over all groups together, which may share references."""
    parts = [columns for _, _, columns in scored]
    pooled = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    seconds = sum(result.seconds for _, result, _ in scored)
    return opinion_result("all", pooled, seconds, lower_is_better)


def family_scores(results: Sequence[Result]) -> dict[str, float]:
    """The means over families of data sets that the paper's Table 5 has, where all are there."""
    scored = {result.dataset: result.score for result in results}
    return {
        family: float(np.mean([scored[f"val/{name}"] for name in members]))
        for family, members in FAMILIES.items()
        if len(scored) > len(members) and {f"val/{name}" for name in members} <= scored.keys()
    }


def mean_score(results: Sequence[Result]) -> float:
    """The mean of the scores, each data set counting the same."""
    return float(np.mean([result.score for result in results]))
