"""The report of `evaluate`: scores, and the examples on which metric and people disagree most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import lpips_tf
from lpips_tf.evaluation import Columns
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.judgements.metrics import Metric
from lpips_tf_cli.judgements.results import Scored
from lpips_tf_cli.judgements.sources import Source
from lpips_tf_cli.judgements.tables import Table
from lpips_tf_cli.reports import pages
from lpips_tf_cli.reports.drawing import Captioned, Drawing, Drawn
from lpips_tf_cli.reports.pages import Value

MOST = 500  # examples shown, of all data sets
ANSWERS = {
    "2afc": ("judge", "people for p1"),
    "jnd": ("same", "people see no difference"),
    "opinions": ("opinion", "opinion"),
}
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
    scored: Sequence[Scored],
    scores: Sequence[Sequence[str]],
    lower_is_better: bool = False,
) -> None:
    """Writes the page of `evaluate`.

    It reads its examples again, because they are known only after all have been compared.

    Args:
        metric: an `LPIPS`, whose maps are shown, or a baseline, which has none.
        described: the metric, in terms and values.
        scored: the data sets, of one mode, with their results and distances.
        scores: the table of results that the command prints, its header first.
        lower_is_better: opinions are lower for better images.
    """
    each = MOST // len(scored) or 1
    wrong = [disagreement(columns, lower_is_better) for _, _, columns in scored]
    worst = [_worst(w, s[2], each) for w, s in zip(wrong, scored, strict=True)]
    count = sum(map(len, worst))
    images = 5 if scored[0][0].mode == "2afc" else 3
    ranked: list[_Ranked] = []
    with Drawing(count, images) as drawing:
        with progress_bar("drawing") as progress:
            for part, part_wrong, places in zip(scored, wrong, worst, strict=True):
                for found in _ranked(drawing, metric, part, part_wrong, places):
                    ranked.append(found)
                    progress(len(ranked), count)
        ranked.sort(key=lambda found: found[:2], reverse=True)
        pages.write_page(path, _page(ranked, each, described, scored, scores))


def _page(
    ranked: Sequence[_Ranked],
    each: int,
    described: list[tuple[str, str]],
    scored: Sequence[Scored],
    scores: Sequence[Sequence[str]],
) -> pages.Page:
    first, columns = scored[0][0], [columns for _, _, columns in scored]
    mode = first.mode
    where = first.path.name if isinstance(first, Table) else "BAPPS"
    total = sum(len(its_columns["id"]) for its_columns in columns)
    return pages.Page(
        title=f"{'Opinions' if mode == 'opinions' else mode.upper()} on {where}",
        notes=[
            f"Below are {len(ranked):,} of {total:,} examples, at most {each:,} of each data set: "
            "those on which the metric and people disagree most."
        ],
        figures=[("examples", f"{total:,}"), *described],
        distances=np.concatenate([c[name] for c in columns for name in _distances(c)]).tolist(),
        heading="Where the metric and people disagree",
        columns=(*_distances(columns[0]), ANSWERS[mode][1], "disagreement"),
        rows=(found.drawn.row() for found in ranked),
        sorted_by="disagreement",
        scores=scores,
    )


def disagreement(columns: Columns, lower_is_better: bool = False) -> np.ndarray:
    """The disagreement of a metric and people on each example, from 0 to 1.

    2AFC: the share of people who found the other image nearer. JND: the difference between the rank
    of the distance, from 0 for the smallest to 1, and the share of people who saw a difference.
    Opinions: the difference between the ranks of distance and opinion, the best image first.
    """
    if "judge" in columns:
        shares = columns["judge"] - (1 + np.sign(columns["d0"] - columns["d1"])) / 2
    elif "same" in columns:
        shares = _rank_shares(columns["distance"]) - (1 - columns["same"])
    else:
        worse = columns["opinion"] if lower_is_better else -columns["opinion"]
        shares = _rank_shares(columns["distance"]) - _rank_shares(worse)
    return np.asarray(np.abs(shares))


def _rank_shares(values: np.ndarray) -> np.ndarray:
    """The ranks, from 0 for the smallest value to 1."""
    from scipy import stats

    return np.asarray((stats.rankdata(values) - 1) / max(len(values) - 1, 1))


def _distances(columns: Columns) -> list[str]:
    return [name for name in ("d0", "d1", "distance") if name in columns]


def _sureness(columns: Columns) -> np.ndarray:
    if "judge" in columns:
        return np.asarray(np.abs(columns["d0"] - columns["d1"]))
    return columns["distance"]


def _worst(wrong: np.ndarray, columns: Columns, count: int) -> np.ndarray:
    """The places of the examples with the most disagreement, ascending."""
    return np.sort(np.lexsort((_sureness(columns), wrong))[::-1][:count])


def _ranked(
    drawing: Drawing, metric: Metric, scored: Scored, wrong: np.ndarray, places: np.ndarray
) -> Iterator[_Ranked]:
    """The examples at some places of the columns, drawn."""
    source, result, columns = scored
    sure, (answer, _) = _sureness(columns), ANSWERS[source.mode]
    share = "{:g}" if answer == "opinion" else "{:.0%}"
    for i, images, maps in _compared(metric, source, places.tolist()):
        said = float(columns[answer][i])
        values = [
            *(Value(float(x), f"{x:.4f}") for x in (columns[n][i] for n in _distances(columns))),
            Value(said, share.format(said)),
            Value(float(wrong[i]), f"{wrong[i]:.0%}"),
        ]
        drawn = drawing.draw_row(f"{result.dataset}/{columns['id'][i]}", values, images, maps)
        yield _Ranked(float(wrong[i]), float(sure[i]), drawn)


def _compared(
    metric: Metric, source: Source | Table, places: Sequence[int]
) -> Iterator[tuple[int, Captioned, Captioned]]:
    """The places and captioned images of examples, and the maps of all but the first image."""
    for found, batch in source.read(places):
        images = {CAPTIONS[name]: batch[name] for name in CAPTIONS if name in batch}
        (_, reference), *others = images.items()
        maps = {}
        if isinstance(metric, lpips_tf.LPIPS):
            maps = {name: metric.maps(reference, image)[..., 0].numpy() for name, image in others}
        for place, i in enumerate(found):
            yield i, _captioned(images, place), _captioned(maps, place)


def _captioned(batches: dict[str, np.ndarray], i: int) -> Captioned:
    return [(caption, batch[i]) for caption, batch in batches.items()]
