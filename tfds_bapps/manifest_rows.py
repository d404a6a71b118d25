"""Reads and checks the rows of a table of judgements."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LARGEST = 1e100  # of opinions; squares of larger ones overflow


class Kind(NamedTuple):
    """One of the two kinds of judgements that a manifest may have."""

    images: dict[str, str]  # names of features, and the columns of their paths
    answer: str


KINDS = {
    "2afc": Kind({"ref": "reference", "p0": "image0", "p1": "image1"}, "judge"),
    "opinions": Kind({"ref": "reference", "p0": "image"}, "opinion"),
}


class Row(NamedTuple):
    """A row of a table."""

    id: str  # its number, from 1
    images: dict[str, str]  # names of features and their paths, relative to the table's folder
    answer: float
    columns: dict[str, Any]  # all of the row, by name


def read_rows(path: str | os.PathLike[str]) -> tuple[str, list[Row]]:
    """The kind of a table's judgements, and its rows with checked paths and numbers.

    Raises:
        OSError, ValueError: as `load_manifest` does.
    """
    path = Path(path)
    try:
        rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else list(_csv_rows(path))
    except OSError as error:
        raise OSError(f"Cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected a table in UTF-8. Received: {path}: {error}") from error
    except csv.Error as error:
        raise ValueError(f"Expected a table as CSV. Received: {path}: {error}") from error
    if not rows:
        raise ValueError(f"Expected a table with rows. Received: {path} without any")
    kind = _kind(path, list(rows[0]))
    return kind, [_row(path, kind, number, len(rows), row) for number, row in enumerate(rows, 1)]


def _kind(path: Path, columns: Sequence[str]) -> str:
    found = [
        kind
        for kind, (features, answer) in KINDS.items()
        if {*features.values(), answer} <= set(columns)
    ]
    if len(found) != 1:
        kinds = " or ".join(
            ", ".join((*features.values(), answer)) for features, answer in KINDS.values()
        )
        both = "both, in " if found else ""
        raise ValueError(
            f"Expected the columns {kinds}. Received: {both}{path} with {', '.join(columns)[:200]}"
        )
    return found[0]


def _row(table: Path, kind: str, number: int, count: int, columns: dict[str, Any]) -> Row:
    given = {feature: columns[column] for feature, column in KINDS[kind].images.items()}
    names = {feature: _path(table, number, name) for feature, name in given.items()}
    answer = _answer(table, number, kind, columns[KINDS[kind].answer])
    return Row(str(number).zfill(len(str(count))), names, answer, columns)


def _path(table: Path, number: int, name: Any) -> str:
    """A checked path, spelled in one way, so that equal references are found equal."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"Expected a path. Received: {table}, row {number}: {name!r}")
    path = os.path.normpath(name)
    if Path(path).is_absolute() or Path(path).parts[:1] in ((), ("..",)):
        raise ValueError(
            "Expected paths within the folder of the table. "
            f"Received: {table}, row {number}: {name}"
        )
    return path


def _answer(table: Path, number: int, kind: str, given: Any) -> float:
    try:
        value = math.nan if "_" in str(given) else float(given)  # Python takes 0_1 for 1
    except (TypeError, ValueError):
        value = math.nan
    low, high = (0, 1) if kind == "2afc" else (-LARGEST, LARGEST)
    if not low <= value <= high:  # or NaN
        expected = "a share of people, in [0, 1]" if kind == "2afc" else "a number"
        expected += f" up to {LARGEST:g}" if abs(value) > LARGEST else ""
        raise ValueError(
            f"Expected {KINDS[kind].answer} as {expected}. "
            f"Received: {table}, row {number}: {given!r}"
        )
    return value


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) < len(names):
            raise ValueError(
                f"Expected different columns. Received: {path} with {', '.join(names)}"
            )
        for number, row in enumerate(filter(None, reader), 1):
            if len(row) != len(names):
                raise ValueError(
                    f"Expected {len(names)} fields in each row. Received: {path}, row {number}, "
                    f"with {len(row)}"
                )
            yield dict(zip(names, row, strict=True))


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ImportError("Parquet files need PyArrow: pip install pyarrow") from error
    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(f"Expected a Parquet file. Received: {path}: {error}") from error
    return rows
