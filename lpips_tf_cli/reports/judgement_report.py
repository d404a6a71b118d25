"""The report of `evaluate`: scores, and the examples on which metric and people disagree most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import lpips_tf
from lpips_tf.evaluation import Columns
from lpips_tf_cli.bapps.results import Metric, Result
from lpips_tf_cli.bapps.sources import Source, translated_read_errors
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.reports import pages
from lpips_tf_cli.reports.drawing import Captioned, Drawing, Drawn
from lpips_tf_cli.reports.pages import Value

MOST = 500  # examples shown, of all data sets
AT_ONCE = 50  # examples whose maps are computed together
ANSWERS = {"2afc": "people for p1", "jnd": "people see no difference"}
CAPTIONS = {"ref": "reference", "p0": "p0", "p1": "p1"}


class _Ranked(NamedTuple):
    """An example on the page, and the keys that it is sorted by."""

    disagreement: float
    sureness: float  # of the metric; the surest first where disagreement is equal
    drawn: Drawn


def write_judgement_report(
    path: Path,
    metric: Metric,
    described: list[tuple[str, str]],
    scored: Sequence[tuple[Source, Result, Columns]],
    scores: Sequence[Sequence[str]],
) -> None:
    """Writes the page of `evaluate`.

    Its examples are read once more, as they are known only after all have been compared.

    Args:
        metric: an `LPIPS`, whose maps are shown, or a baseline, which has none.
        described: the metric, in terms and values.
        scored: the data sets, of one mode, with the values of `results.score_on` for each.
        scores: the table of results that the command prints, its header first.
    """
    each = MOST // len(scored) or 1
    worst = [_worst(columns, each) for _, _, columns in scored]
    count = sum(map(len, worst))
    images = 5 if scored[0][0].mode == "2afc" else 3
    ranked: list[_Ranked] = []
    with Drawing(count, images) as drawing:
        with progress_bar("drawing") as progress:
            for (source, _, columns), indices in zip(scored, worst, strict=True):
                for found in _ranked(drawing, metric, source, columns, indices):
                    ranked.append(found)
                    progress(len(ranked), count)
        ranked.sort(key=lambda found: found[:2], reverse=True)
        pages.write_page(path, _page(ranked, each, described, scored, scores))


def _page(
    ranked: Sequence[_Ranked],
    each: int,
    described: list[tuple[str, str]],
    scored: Sequence[tuple[Source, Result, Columns]],
    scores: Sequence[Sequence[str]],
) -> pages.Page:
    mode, columns = scored[0][0].mode, [columns for _, _, columns in scored]
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
        rows=(found.drawn.row() for found in ranked),
        sorted_by="disagreement",
        scores=scores,
    )


def disagreement(columns: Columns) -> np.ndarray:
    """The disagreement of a metric and people on each example, from 0 to 1.

    2AFC: the share of people who found the other image nearer. JND: the difference between the rank
    of the distance, from 0 for the smallest to 1, and the share of people who saw a difference.
    """
    if "judge" in columns:
        shares = columns["judge"] - (1 + np.sign(columns["d0"] - columns["d1"])) / 2
    else:
        ranks = np.argsort(np.argsort(columns["distance"])) / max(len(columns["distance"]) - 1, 1)
        shares = ranks - (1 - columns["same"])
    return np.asarray(np.abs(shares))


def _distances(columns: Columns) -> list[str]:
    return [name for name in ("d0", "d1", "distance") if name in columns]


def _sureness(columns: Columns) -> np.ndarray:
    return columns["distance"] if "same" in columns else np.abs(columns["d0"] - columns["d1"])


def _worst(columns: Columns, count: int) -> np.ndarray:
    """The indices of the examples with the most disagreement, ascending."""
    return np.sort(np.lexsort((_sureness(columns), disagreement(columns)))[::-1][:count])


def _ranked(
    drawing: Drawing, metric: Metric, source: Source, columns: Columns, indices: np.ndarray
) -> Iterator[_Ranked]:
    """The examples of ascending indices, drawn."""
    wrong, sure = disagreement(columns), _sureness(columns)
    answers = columns["judge" if "judge" in columns else "same"]
    for i, (images, maps) in zip(indices, _compared(metric, source, indices), strict=True):
        values = [
            *(Value(float(x), f"{x:.4f}") for x in (columns[n][i] for n in _distances(columns))),
            *(Value(float(x), f"{x:.0%}") for x in (answers[i], wrong[i])),
        ]
        drawn = drawing.draw_row(f"{source.name}/{columns['id'][i]}", values, images, maps)
        yield _Ranked(float(wrong[i]), float(sure[i]), drawn)


def _compared(
    metric: Metric, source: Source, indices: np.ndarray
) -> Iterator[tuple[Captioned, Captioned]]:
    """The captioned images of examples, and the maps of all but the first image."""
    wanted = tf.constant(indices, tf.int64)
    chosen = source.stored.enumerate().filter(lambda i, _: tf.reduce_any(i == wanted))
    examples = source.read_examples(chosen.map(lambda _, example: example))
    with translated_read_errors(source):
        for batch in examples.batch(AT_ONCE):
            images = {CAPTIONS[name]: batch[name] for name in CAPTIONS if name in batch}
            (_, reference), *others = images.items()
            maps = {}
            if isinstance(metric, lpips_tf.LPIPS):
                maps = {name: metric.maps(reference, image)[..., 0] for name, image in others}
            for i in range(len(reference)):
                yield _captioned(images, i), _captioned(maps, i)


def _captioned(tensors: dict[str, tf.Tensor], i: int) -> Captioned:
    return [(caption, tensor[i].numpy()) for caption, tensor in tensors.items()]
