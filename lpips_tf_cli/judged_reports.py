"""The page of `evaluate`: scores, and the examples on which a metric and people disagree most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

import lpips_tf
from lpips_tf.evaluation import Columns
from lpips_tf_cli import pages, reports
from lpips_tf_cli.judging import Result
from lpips_tf_cli.pages import Value
from lpips_tf_cli.sources import Source, explaining

MOST = 500  # examples shown, of all data sets
ANSWERS = {"2afc": "people for p1", "jnd": "people see no difference"}


def page(
    spatial: lpips_tf.LPIPS | None,
    described: list[tuple[str, str]],
    sources: Sequence[Source],
    scored: Sequence[tuple[Result, Columns]],
    scores: Sequence[Sequence[str]],
) -> pages.Page:
    """The page of what `judging.score` gave for each source.

    Args:
        spatial: the metric with maps, or None if it has none.
        described: which metric it is.
        scores: the table of results that the command prints, its header first.
    """
    mode, columns = sources[0].mode, [columns for _, columns in scored]
    each = MOST // len(sources) or 1
    ranked = [
        found
        for source, its_columns in zip(sources, columns, strict=True)
        for found in _worst(source, its_columns, each)
    ]
    ranked.sort(key=lambda found: found[0], reverse=True)
    total = sum(len(its_columns["id"]) for its_columns in columns)
    return pages.Page(
        title=f"{mode.upper()} on BAPPS",
        notes=[
            f"Below are {len(ranked):,} of {total:,} examples, at most {each:,} of each data set: "
            "those on which the metric and people disagree most."
        ],
        figures=[("examples", f"{total:,}"), *described],
        distances=np.concatenate([c[name] for c in columns for name in _distances(c)]).tolist(),
        heading="Where the metric and people disagree",
        columns=(*_distances(columns[0]), ANSWERS[mode], "disagreement"),
        rows=reports.with_pictures(
            spatial, (example for _, example in ranked), len(ranked), 5 if mode == "2afc" else 3
        ),
        sorted_by="disagreement",
        scores=scores,
    )


def disagreement(columns: Columns) -> np.ndarray:
    """From 0 to 1 how much a metric and people disagree on each example.

    2AFC: the share of people who found the other image nearer. JND: how far the rank of the
    distance, from 0 for the smallest to 1, lies from the share of people who saw a difference.
    """
    if "judge" in columns:
        return np.abs(columns["judge"] - (1 + np.sign(columns["d0"] - columns["d1"])) / 2)
    ranks = np.argsort(np.argsort(columns["distance"])) / max(len(columns["distance"]) - 1, 1)
    return np.abs(ranks - (1 - columns["same"]))


def _distances(columns: Columns) -> list[str]:
    return [name for name in ("d0", "d1", "distance") if name in columns]


def _worst(
    source: Source, columns: Columns, count: int
) -> list[tuple[tuple[float, float], reports.Example]]:
    """The examples of most disagreement, each after what ranks it: of those with the same, the
    metric is surest of the first.
    """
    wrong = disagreement(columns)
    sure = columns["distance"] if "same" in columns else np.abs(columns["d0"] - columns["d1"])
    answers = columns["judge" if "judge" in columns else "same"]
    indices = np.sort(np.lexsort((sure, wrong))[::-1][:count])
    found = []
    for i, images in zip(indices, _images(source, indices), strict=True):
        values = [
            *(Value(float(x), f"{x:.4f}") for x in (columns[n][i] for n in _distances(columns))),
            *(Value(float(x), f"{x:.0%}") for x in (answers[i], wrong[i])),
        ]
        example = reports.Example(f"{source.name}/{columns['id'][i]}", values, images)
        found.append(((float(wrong[i]), float(sure[i])), example))
    return found


def _images(source: Source, indices: np.ndarray) -> list[list[tuple[str, np.ndarray]]]:
    """The pictures of the examples of ascending indices, with captions."""
    wanted = tf.constant(indices, tf.int64)
    chosen = source.stored.enumerate().filter(lambda i, _: tf.reduce_any(i == wanted))
    captions = {"ref": "reference", "p0": "p0", "p1": "p1"}
    with explaining(source):
        return [
            [(caption, example[name].numpy()) for name, caption in captions.items()
             if name in example]
            for example in source.read(chosen.map(lambda _, example: example))
        ]  # fmt: skip
