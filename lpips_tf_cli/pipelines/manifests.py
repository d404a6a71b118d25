"""Reads manifests: lists of image pairs, CSV or Parquet, on any file system that Beam knows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow
import pyarrow.parquet
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import PCollection

Element = dict[str, Any]

NEEDED = ("reference", "image")
ADDED = ("distance", "error", "layers", "resized")
GIVEN = "paths as given"  # a field of elements within the pipeline


class UnfitError(ValueError):
    """A manifest that can be read, but lacks what it needs."""


def schema(path: str) -> pyarrow.Schema:
    """The columns of a manifest; those of a CSV file are text.

    Raises:
        OSError: the manifest cannot be read.
        ValueError: it is damaged, has no rows, lacks a column, or has a column with the name of a
            result.
    """
    try:
        found, rows = _parquet_schema(path) if _is_parquet(path) else _csv_schema(path)
    except (pyarrow.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"Cannot read {path}: {error}") from error
    except UnfitError:
        raise
    except Exception as error:  # each file system has its own
        raise OSError(f"Cannot read {path}: {error}") from error
    missing = [name for name in NEEDED if name not in found.names]
    taken = [name for name in ADDED if name in found.names]
    named = ", ".join(found.names)
    if missing:
        raise UnfitError(f"Expected columns reference and image. Received: {path} with {named}")
    if taken:
        raise UnfitError(f"Expected no column {' or '.join(taken)}. Received: {path} with {named}")
    if not rows:
        raise UnfitError(f"Expected at least one pair. Received: {path} without rows")
    return found


def read_manifest(pipeline: beam.Pipeline, path: str) -> PCollection[Element]:
    """The rows of a manifest as dicts, with paths that hold in any folder; `restored` undoes it."""
    if _is_parquet(path):
        rows = pipeline | "Manifest" >> beam.io.ReadFromParquet(path)
    else:
        lines = pipeline | "Manifest" >> beam.Create([path]) | "Rows" >> beam.FlatMap(_csv_rows)
        rows = lines | "Spread" >> beam.Reshuffle()  # over the workers
    folder, _ = FileSystems.split(path)
    folder = folder if "://" in folder else str(Path(folder).resolve())  # workers are elsewhere
    located: PCollection[Element] = rows | "Locate" >> beam.Map(_located, folder)
    return located


def _located(row: Element, folder: str) -> Element:
    """A row whose paths were relative to the folder of the manifest."""
    given = {name: row[name] for name in NEEDED}
    relative = {
        name: FileSystems.join(folder, path)
        for name, path in given.items()
        if isinstance(path, str) and path and "://" not in path and not Path(path).is_absolute()
    }
    return row | relative | {GIVEN: given}


def restored(row: Element) -> Element:
    """A row of `read_manifest` with the paths that the manifest has."""
    given: Element = row.pop(GIVEN)
    return row | given


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(".parquet")


def _parquet_schema(path: str) -> tuple[pyarrow.Schema, int]:
    with FileSystems.open(path) as file:
        found = pyarrow.parquet.ParquetFile(file)
        return found.schema_arrow, found.metadata.num_rows


def _csv_schema(path: str) -> tuple[pyarrow.Schema, int]:
    with _text(path) as file:
        names = _names(csv.reader(file, strict=True))
    rows = 0
    for line, _, row in _csv_lines(path):
        rows += 1
        if len(row) != len(names):
            raise UnfitError(
                f"Expected {len(names)} fields in each row. Received: {path} with {len(row)} "
                f"in line {line}"
            )
    if len(set(names)) < len(names):
        raise UnfitError(f"Expected different columns. Received: {path} with {', '.join(names)}")
    return pyarrow.schema([(name, pyarrow.string()) for name in names]), rows


def _csv_rows(path: str) -> Iterator[dict[str, Any]]:
    for _, names, row in _csv_lines(path):
        yield dict(zip(names, row, strict=True))


def _csv_lines(path: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """The number of its last line, the columns' names and the fields of each row."""
    with _text(path) as file:
        reader = csv.reader(file, strict=True)
        names = _names(reader)
        for row in reader:
            if row:  # empty lines have no fields
                yield reader.line_num, names, row


def _names(reader: Iterator[list[str]]) -> list[str]:
    return [name.strip() for name in next(reader, [])]


def _text(path: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(FileSystems.open(path), encoding="utf-8-sig", newline="")
