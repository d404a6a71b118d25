"""The results of `evaluate`: as a table of text, as JSON, and as a file of distances."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from lpips_tf._support.floats import short_float
from lpips_tf.evaluation import Correlation
from lpips_tf_cli.judgements import results
from lpips_tf_cli.judgements.comparing import ERROR, LOWER
from lpips_tf_cli.judgements.options import TableOptions
from lpips_tf_cli.judgements.results import OpinionResult, Result, Scored
from lpips_tf_cli.judgements.sources import Source
from lpips_tf_cli.judgements.tables import Table
from tfds_bapps.manifest_rows import KINDS

Row = tuple[str, ...]


def text_rows(found: Sequence[Result | OpinionResult]) -> list[Row]:
    """The results, all of one kind, as a table of text, the header first."""
    scores = [result for result in found if isinstance(result, Result)]
    correlations = [result for result in found if isinstance(result, OpinionResult)]
    return _scores(scores) if scores else _correlations(correlations)


def _scores(found: Sequence[Result]) -> list[Row]:
    """2AFC or JND scores as text, the header first, with the means of the paper's families."""
    people = not math.isnan(found[0].best_score)  # who disagree, so that 100% is out of reach
    best = ("of best",) if people else ()
    rows: list[Row] = [("dataset", "score", "95% interval", *best, "count", "seconds")]
    for result in found:
        interval = f"{100 * result.low:.1f} – {100 * result.high:.1f}"
        if math.isnan(result.low):
            interval = "–"
        share = (f"{100 * result.score / result.best_score:.1f}%",) if people else ()
        figures = (f"{100 * result.score:.1f}%", interval, *share, str(result.count))
        rows.append((result.dataset, *figures, f"{result.seconds:.1f}"))
    means = results.family_scores(found)
    if len(found) > 1:
        means["mean"] = results.mean_score(found)
    blank = [""] * (len(rows[0]) - 2)
    return rows + [(name, f"{100 * score:.1f}%", *blank) for name, score in means.items()]


def _correlations(found: Sequence[OpinionResult]) -> list[Row]:
    """Correlations as text, the header first."""
    header = ("dataset", "Spearman", "95% interval", "Kendall", "Pearson", "fitted")
    rows: list[Row] = [(*header, "count", "seconds")]
    for result in found:
        spearman, *others = result.correlations
        figures = (_shown(spearman.value), _interval(spearman), *(_shown(c.value) for c in others))
        rows.append((result.dataset, *figures, str(result.count), f"{result.seconds:.1f}"))
    return rows


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _interval(found: Correlation) -> str:
    return "–" if math.isnan(found.low) else f"{found.low:.3f} – {found.high:.3f}"


def as_json(found: Sequence[Result | OpinionResult]) -> dict[str, Any]:
    """The results for JSON; of scores also the means."""
    answer: dict[str, Any] = {"datasets": [result.fields() for result in found]}
    scores = [result for result in found if isinstance(result, Result)]
    if scores:
        answer["families"] = results.family_scores(scores)
        answer["mean"] = results.mean_score(scores)
    return answer


def distance_rows(
    judged: Sequence[Source | Table], scored: Sequence[Scored], options: TableOptions
) -> tuple[Row, Iterator[Sequence[Any]]]:
    """The header and the rows of the file of distances.

    An id is the data set and the name of the example in it. With --lower-is-better a column says
    so, and with --skip-errors another has the errors, whose rows are the last.
    """
    columns = tuple(name for name in scored[0][2] if name != "id")
    direction = ("1",) if options.lower_is_better else ()
    header = ("id", *columns, *((LOWER,) if direction else ()))
    rows = ((*row, *direction) for row in _rows(scored, columns))
    if not options.skip_errors:
        return header, rows
    errors = ((*row, *direction, error) for row, error in _skipped(judged, columns))
    return (*header, ERROR), itertools.chain(((*row, None) for row in rows), errors)


def _rows(scored: Sequence[Scored], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for _, result, columns in scored:
        values = ([_plain(x) for x in columns[name]] for name in names)
        ids = (f"{result.dataset}/{name}" for name in columns["id"])
        yield from zip(ids, *values, strict=True)


def _skipped(
    judged: Sequence[Source | Table], names: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], str]]:
    """The rows of tables that could not be read, without distances, and their errors."""
    for table in judged:
        for skipped, error in table.skipped if isinstance(table, Table) else ():
            said = {"reference": skipped.images["ref"], KINDS[table.mode].answer: skipped.answer}
            given = (said.get(name) for name in names)
            yield (f"{table.name}/{skipped.id}", *given), error


def _plain(value: Any) -> str | float:
    if value.dtype.kind == "U":
        return str(value)
    return short_float(value) if value.dtype == "float32" else float(value)
