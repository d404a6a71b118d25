"""Warnings about tables of judgements: few references, and judgements the wrong way round."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

from lpips_tf.evaluation import Comparison
from lpips_tf_cli.console.text import counted
from lpips_tf_cli.judgements.results import OpinionResult, Result

FEW = 10  # references; their intervals may be too narrow (scripts/comparison_study.py)


def warn_of_few_references(references: Mapping[str, int]) -> None:
    """Warns of intervals that may be too narrow: resamples of few references differ little.

    Args:
        references: the number of references of each data set.
    """
    few = {name: count for name, count in references.items() if count < FEW}
    if few:
        name, count = next(iter(few.items()))
        others = f", and {counted(len(few) - 1, 'other data set')}" if len(few) > 1 else ""
        warnings.warn(
            f"with fewer than {FEW} references intervals may be too narrow, and with one there is "
            f"none: {name} has {count}{others}",
            stacklevel=2,
        )


def warn_of_results(found: Sequence[Result | OpinionResult], lower_is_better: bool) -> None:
    """Warns of few references, and where judgements seem to be meant the other way round."""
    defined = [r for r in found if r.references and not math.isnan(_highest(r))]
    warn_of_few_references({r.dataset: r.references or 0 for r in defined})
    high = [_highest(result) for result in found]
    if isinstance(found[0], OpinionResult) and high[-1] < 0:  # the last is of all
        warnings.warn(
            "the metric finds images with better opinions farther from their references. "
            + _other_direction(lower_is_better),
            stacklevel=2,
        )
    if isinstance(found[0], Result) and max(high) < 0.5:
        warnings.warn(
            "the metric chooses the other image more often than people do. Is judge the share of "
            "people who found image1 nearer, and not image0?",
            stacklevel=2,
        )


def warn_of_comparison(found: Comparison, opinions: bool, lower_is_better: bool) -> None:
    """Warns where people seem to say the opposite of a metric."""
    chance = 0 if opinions else 0.5
    low = [name for name, score in zip("AB", found[:2], strict=True) if score < chance]
    if low:
        advice = f". {_other_direction(lower_is_better)}" if opinions else ""
        warnings.warn(
            f"{' and '.join(low)} would agree better with the opposite of what people said{advice}",
            stacklevel=2,
        )


def _other_direction(lower_is_better: bool) -> str:
    better, how = ("higher", "without") if lower_is_better else ("lower", "with")
    return f"If {better} opinions are better, run evaluate {how} --lower-is-better"


def _highest(result: Result | OpinionResult) -> float:
    """The upper end of a score's interval or, where there is none, the score."""
    if isinstance(result, Result):
        return result.score if math.isnan(result.high) else result.high
    value, _, high = result.correlations.spearman
    return value if math.isnan(high) else high
