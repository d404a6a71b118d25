"""Compares two files of `evaluate --save-distances`: which metric agrees better with people."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lpips_tf import evaluation
from lpips_tf._judgements.paired_tests import KINDS
from lpips_tf.evaluation import Columns, Comparison
from lpips_tf_cli.judgements.cautions import warn_of_comparison, warn_of_few_references

LOWER = "lower_is_better"  # the column of a file of such opinions
ERROR = "error"  # the column of a file with --skip-errors
TEXTS = ("id", "reference")
Row = tuple[str, ...]


def compare_files(a: Path, b: Path) -> tuple[list[tuple[str, Comparison]], bool]:
    """The comparison on each data set and, where there are several, on all; whether of opinions.

    Scores of opinions on all, called "all", come from all images together; other scores, called
    "mean", are the means over data sets. Warnings name few references, and metrics that would
    agree better with the opposite of what people said.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not of `--save-distances`, or they have different examples.
    """
    (found_a, lower_is_better), (found_b, other) = _read(a), _read(b)
    both = [next(iter(found.values())) for found in (found_a, found_b)]
    if lower_is_better != other and both[0].keys() == both[1].keys():
        raise ValueError(
            "Expected both files with --lower-is-better or none. "
            f"Received: {a if lower_is_better else b} alone with it"
        )
    if missing := sorted(found_a.keys() ^ found_b.keys()):
        only = a if missing[0] in found_a else b
        raise ValueError(
            f"Expected the same data sets in both files. Received: {missing[0]} in {only} only"
        )
    opinions = "opinion" in both[0]
    results = []
    for name, columns in found_a.items():
        try:
            results.append((name, evaluation.compare(columns, found_b[name], lower_is_better)))
        except ValueError as error:
            raise ValueError(f"{name}, {a} and {b}: {error}") from error
    if len(results) > 1:
        sets_a, sets_b = ([found[name] for name in found_a] for found in (found_a, found_b))
        if opinions:
            pooled = _pooled(sets_a), _pooled(sets_b)
            results.append(("all", evaluation.compare(*pooled, lower_is_better)))
        else:
            results.append(("mean", evaluation.compare(sets_a, sets_b)))
    if "same" not in both[0]:
        warn_of_comparison(results[-1][1], opinions, lower_is_better)
    if "reference" in both[0]:
        warn_of_few_references({name: _references(x) for name, x in found_a.items()})
    return results, opinions


def _references(columns: Columns) -> int:
    return len(np.unique(columns["reference"]))


def _pooled(sets: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([columns[name] for columns in sets]) for name in sets[0]}


def comparison_rows(compared: list[tuple[str, Comparison]], opinions: bool) -> list[Row]:
    """The comparisons as text, the header first: of correlations, or of shares in percent."""
    score, difference = ("{:.3f}", "{:+.3f}") if opinions else ("{:.1%}", "{:+.2%}")
    rows: list[Row] = [("dataset", "A", "B", "A - B", "95% interval", "p")]
    for name, found in compared:
        if math.isnan(found.difference):
            rows.append((name, *(["–"] * 5)))
            continue
        interval = p_value = "–"
        if not math.isnan(found.low):
            ends = (difference.format(end).rstrip("%") for end in (found.low, found.high))
            interval, p_value = " – ".join(ends), f"{found.p_value:.4f}"
        scores = (score.format(value) for value in found[:2])
        rows.append((name, *scores, difference.format(found.difference), interval, p_value))
    return rows


def _read(path: Path) -> tuple[dict[str, Columns], bool]:
    """The columns of each data set, and whether they have opinions that are lower for better.

    An id is the name of a data set and an example's, with a slash. Examples that could not be read
    are left out.
    """
    names, rows = _lines(path)
    kind = tuple(name for name in names if name not in (LOWER, ERROR))
    if kind not in KINDS or len(set(names)) < len(names) or not rows:
        expected = " or ".join(map(",".join, KINDS))
        raise ValueError(
            f"Expected a file of --save-distances, with {expected}. "
            f"Received: {path} with {','.join(names)[:80]} and {len(rows)} rows"
        )
    tables: dict[str, list[list[Any]]] = {}
    directions = set()
    for line, row in enumerate(rows, 2):
        by_name = dict(zip(names, row, strict=False))
        if not row or (len(row) == len(names) and by_name.get(ERROR)):
            continue
        values = _values(path, kind, line, names, row)
        directions.add(by_name.get(LOWER))
        tables.setdefault(values[0].rpartition("/")[0] or "all", []).append(values)
    if not tables:
        raise ValueError(f"Expected distances. Received: {path} with errors only")
    if directions not in ({None}, {"1"}):
        raise ValueError(
            f"Expected 1 in each row of {LOWER}. "
            f"Received: {path} with {' and '.join(map(repr, sorted(map(str, directions))))}"
        )
    found = {
        dataset: dict(zip(kind, map(np.array, zip(*table, strict=True)), strict=True))
        for dataset, table in tables.items()
    }
    return found, directions == {"1"}


def _lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names, *rows = list(csv.reader(file, strict=True)) or [[]]
    except OSError as error:
        raise OSError(f"Cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ValueError(
            f"Expected a file of --save-distances. Received: {path}: {error}"
        ) from error
    if not names:
        raise ValueError(f"Expected a file of --save-distances. Received: {path} without a line")
    return [name.strip() for name in names], rows


def _values(path: Path, kind: Row, line: int, names: list[str], row: list[str]) -> list[Any]:
    """The values of a row, numbers where they are no texts."""
    try:
        given = dict(zip(names, row, strict=True))
        values = [given[name] if name in TEXTS else float(given[name]) for name in kind]
        if any("_" in given[name] for name in kind if name not in TEXTS):
            raise ValueError("Python takes 1_0 for 10")
        if not np.isfinite([value for value in values if isinstance(value, float)]).all():
            raise ValueError("not finite")
    except ValueError as error:
        raise ValueError(
            f"Expected {', '.join(kind)}, all but {' and '.join(n for n in TEXTS if n in kind)} "
            f"numbers. Received: {path}, line {line}: {','.join(row)[:80]}"
        ) from error
    return values
