"""Writes results as CSV and JSON files, whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import typer

from lpips_tf_cli.console.imports import imports

Write = Callable[[Sequence[str], Iterable[Sequence[Any]]], None]


def check_output(
    path: Path | None, suffixes: Sequence[str] = (".csv", ".json"), option: str = "--output"
) -> None:
    """Refuses a file whose suffix is none of `suffixes` as wrong usage."""
    if path is not None and path.suffix.lower() not in suffixes and not is_stdout(path, suffixes):
        raise typer.BadParameter(
            f"Expected a file that ends in {' or '.join(suffixes)}. Received: {path}",
            param_hint=option,
        )


def is_stdout(path: Path | None, suffixes: Sequence[str] = (".csv",)) -> bool:
    """Whether "-" was given, for CSV on standard output."""
    return str(path) == "-" and ".csv" in suffixes


def check_no_input(path: Path | None, inputs: Iterable[Path], option: str) -> None:
    """Refuses to write over an input file, as wrong usage."""
    exists = os.path.exists  # `Path.exists` raises for a name that is too long
    if path and exists(path) and any(exists(p) and path.samefile(p) for p in inputs):
        raise typer.BadParameter(
            f"Expected a file that is not read as well. Received: {path}", param_hint=option
        )


@contextlib.contextmanager
def whole_file(path: Path | None) -> Iterator[Path | None]:
    """Yields a temporary path that becomes `path` when the block ends without an error.

    For None it yields None. A file that cannot be written raises OSError at once, before the block
    does its work.
    """
    if path is None:
        yield None
        return
    with imports():
        from lpips_tf._support.whole_files import written_whole

    with written_whole(path) as temporary:
        yield temporary


@contextlib.contextmanager
def output_file(path: Path | None) -> Iterator[Write]:
    """Yields a function that writes column names and rows to `path`, whole or not at all.

    For None the function does nothing; for "-" it writes CSV to standard output.
    """
    if is_stdout(path):
        yield lambda names, rows: write_csv(sys.stdout, names, rows)
        return
    with whole_file(path) as temporary:

        def write(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
            if temporary is None:
                return
            with temporary.open(
                "w", newline="", encoding="utf-8", errors="surrogateescape"
            ) as file:
                json = temporary.suffix.lower() == ".json"
                (write_json if json else write_csv)(file, names, rows)

        yield write


def print_summary(line: str, output: Path | None) -> None:
    """Prints a line on standard output or, where a table is there, on standard error."""
    print(line, file=sys.stderr if is_stdout(output) else sys.stdout)


def write_csv(file: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a line of names and a line per row. Text is quoted: file names may hold anything."""
    table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    table.writerow(names)
    table.writerows(rows)


def write_json(file: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a list with one object per row, each on its line.

    NaN and infinity, which JSON lacks, become null.
    """
    file.write("[")
    for i, row in enumerate(rows):
        found = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in zip(names, row, strict=True)
        }
        file.write(("," if i else "") + "\n  " + json.dumps(found))
    file.write("\n]\n")
