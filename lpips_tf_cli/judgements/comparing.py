"""Compares two files of `evaluate --save-distances`: which metric agrees better with people."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lpips_tf import evaluation
from lpips_tf.evaluation import Columns, Comparison

KINDS = (
    ["id", "d0", "d1", "judge"],
    ["id", "distance", "same"],
    ["id", "distance", "opinion", "reference"],
)
ERROR = "error"  # the column of a file with --skip-errors
TEXTS = ("id", "reference")
Row = tuple[str, ...]


def compare_files(
    a: Path, b: Path, lower_is_better: bool
) -> tuple[list[tuple[str, Comparison]], bool]:
    """The comparison on each data set and, where there are several, on all; whether of opinions.

    Scores of opinions on all, called "all", come from all images together; other scores, called
    "mean", are the means over data sets.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not of `--save-distances`, or they have different examples; or
            `lower_is_better` without opinions.
    """
    found_a, found_b = _read(a), _read(b)
    if missing := sorted(found_a.keys() ^ found_b.keys()):
        only = a if missing[0] in found_a else b
        raise ValueError(
            f"Expected the same data sets in both files. Received: {missing[0]} in {only} only"
        )
    opinions = "opinion" in next(iter(found_a.values()))
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
    return results, opinions


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


def _read(path: Path) -> dict[str, Columns]:
    """The columns of each data set; an id is the name of one and an example's, with a slash.

    Examples that could not be read are left out.
    """
    names, rows = _lines(path)
    errors = names[-1:] == [ERROR]
    kind = names[:-1] if errors else names
    if kind not in KINDS or not rows:
        expected = " or ".join(map(",".join, KINDS))
        raise ValueError(
            f"Expected a file of --save-distances, with {expected}. "
            f"Received: {path} with {','.join(names)[:80]} and {len(rows)} rows"
        )
    tables: dict[str, list[list[Any]]] = {}
    for line, row in enumerate(rows, 2):
        if errors and len(row) == len(names) and row[-1]:
            continue
        values = _values(path, kind, line, row[: len(kind)] if errors else row)
        tables.setdefault(values[0].rpartition("/")[0] or "all", []).append(values)
    if not tables:
        raise ValueError(f"Expected distances. Received: {path} with errors only")
    return {
        dataset: dict(zip(kind, map(np.array, zip(*table, strict=True)), strict=True))
        for dataset, table in tables.items()
    }


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
    return names, rows


def _values(path: Path, names: list[str], line: int, row: list[str]) -> list[Any]:
    """The values of a row, numbers where they are no texts."""
    try:
        values = [
            value if name in TEXTS else float(value) for name, value in zip(names, row, strict=True)
        ]
        if not np.isfinite([value for value in values if isinstance(value, float)]).all():
            raise ValueError("not finite")
    except ValueError as error:
        raise ValueError(
            f"Expected {', '.join(names)}, all but {' and '.join(n for n in TEXTS if n in names)} "
            f"numbers. Received: {path}, line {line}: {','.join(row)[:80]}"
        ) from error
    return values
