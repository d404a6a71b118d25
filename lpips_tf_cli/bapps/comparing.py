"""Compares two files of `evaluate --save-distances`: which metric agrees better with people."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np

from lpips_tf import evaluation

KINDS = (["id", "d0", "d1", "judge"], ["id", "distance", "same"])


def compare_files(a: Path, b: Path) -> list[tuple[str, evaluation.Comparison]]:
    """The comparison on each data set and, where there are several, on all as "mean".

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not of `--save-distances`, or they have different examples.
    """
    found_a, found_b = _read(a), _read(b)
    if missing := sorted(found_a.keys() ^ found_b.keys()):
        only = a if missing[0] in found_a else b
        raise ValueError(
            f"Expected the same data sets in both files. Received: {missing[0]} in {only} only"
        )
    results = []
    for name, columns in found_a.items():
        try:
            results.append((name, evaluation.compare(columns, found_b[name])))
        except ValueError as error:
            raise ValueError(f"{name}, {a} and {b}: {error}") from error
    if len(results) > 1:
        both = [[found[name] for name in found_a] for found in (found_a, found_b)]
        results.append(("mean", evaluation.compare(*both)))
    return results


def comparison_rows(compared: list[tuple[str, evaluation.Comparison]]) -> list[tuple[str, ...]]:
    """The comparisons as text, the header first."""
    rows: list[tuple[str, ...]] = [("dataset", "A", "B", "A - B", "95% interval", "p")]
    for name, found in compared:
        scores = (f"{100 * score:.1f}%" for score in found[:2])
        interval = f"{100 * found.low:+.2f} – {100 * found.high:+.2f}"
        p_value = f"{found.p_value:.4f}"
        if math.isnan(found.low):
            interval = p_value = "–"
        rows.append((name, *scores, f"{100 * found.difference:+.2f}%", interval, p_value))
    return rows


def _read(path: Path) -> dict[str, evaluation.Columns]:
    """The columns of each data set; an id is the name of one and an example's, with a slash."""
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
    if names not in KINDS or not rows:
        raise ValueError(
            f"Expected a file of --save-distances, with {' or '.join(map(','.join, KINDS))}. "
            f"Received: {path} with {','.join(names)[:80]} and {len(rows)} rows"
        )
    tables: dict[str, list[list[Any]]] = {}
    for line, row in enumerate(rows, 2):
        try:
            example, *numbers = row
            values = [float(number) for number in numbers]
            if len(values) + 1 != len(names) or not np.isfinite(values).all():
                raise ValueError("other values")
        except ValueError as error:
            raise ValueError(
                f"Expected {', '.join(names)}, all but the first a number. "
                f"Received: {path}, line {line}: {','.join(row)[:80]}"
            ) from error
        tables.setdefault(example.rpartition("/")[0] or "all", []).append([example, *values])
    return {
        dataset: {
            name: np.array(column)
            for name, column in zip(names, zip(*table, strict=True), strict=True)
        }
        for dataset, table in tables.items()
    }
