"""Shared parts of the recipes: their options, reading label files, checks, and writing the table.

A recipe turns a quality database, unpacked as its authors publish it, into the table that
`tfds_bapps.load_manifest` and `lpips-tf evaluate --judgements` read. It needs Python alone.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

IMAGES = ("reference", "image", "image0", "image1")  # columns of paths


class Judgement(NamedTuple):
    """A row of the table.

    Args:
        place: the line of the label file that it is from, for messages.
        columns: its values by column. Paths are relative to the unpacked folder.
    """

    place: str
    columns: dict[str, str]


def options(description: str, splits: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The options that recipes share.

    Args:
        description: docstring of the recipe's module.
        splits: of the database, one of which is to be given.
    """
    name = "judgements-SPLIT.csv" if splits else "judgements.csv"
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the unpacked database")
    parser.add_argument(
        "--output", type=Path, metavar="FILE.csv", help=f"in FOLDER; by default FOLDER/{name}"
    )
    if splits:
        parser.add_argument("--split", choices=splits, required=True, help="of the database")
    return parser


def save(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    judgements: Iterable[Judgement],
    labels: str | None = None,
    kind: str = "",
) -> None:
    """Writes the table and says so, or ends the program with a line that says what is wrong.

    Args:
        parser, arguments: the options, and what was given.
        judgements: what a generator reads, so that its errors are reported as well.
        labels: name of a file in the folder that is read, and so is not to be written over.
        kind: of judgements, in the name of the table where the database has several.
    """
    folder, split = arguments.folder, getattr(arguments, "split", None)
    name = "-".join(filter(None, ("judgements", split, kind)))
    output = arguments.output or folder / f"{name}.csv"
    try:
        _check_output(parser, folder, output, labels)
        if not folder.is_dir():
            raise NotADirectoryError(f"Expected the unpacked database. Received: {folder}")
        rows = list(judgements)
        if not rows:
            raise ValueError(f"Expected judgements. Received: {folder} without any")
        _check_different(rows)
        _check_images(folder, rows)
        _write(output, rows)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130)
    print(f"{output}: {len(rows):,} judgements")


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file that are not empty, each with its place for messages."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            yield f"{path}, line {number}", line


def csv_rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file that has these columns and maybe others, each with its place."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True, skipinitialspace=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if not set(columns) <= set(names):
            raise ValueError(
                f"Expected the columns {', '.join(columns)}. "
                f"Received: {path} with {', '.join(names)[:200]}"
            )
        for row in filter(None, reader):
            place = f"{path}, line {reader.line_num}"
            if len(row) != len(names):
                raise ValueError(f"Expected {len(names)} fields. Received: {len(row)} in {place}")
            yield place, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise ValueError(f"Expected CSV. Received: {path}: {error}") from error


def number(place: str, text: str, low: float = -math.inf, high: float = math.inf) -> str:
    """A number as it is published, after a check that it is one, and from `low` to `high`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and low <= value <= high):
        limits = f" from {low:g} to {high:g}" if math.isfinite(high) else ""
        raise ValueError(f"Expected a number{limits}. Received: {place}: {text!r}")
    return text.strip()


def images(folder: Path, pattern: str = "*") -> list[Path]:
    """The files of a folder whose names fit a pattern, 2 before 10; at least one."""
    found = sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))
    if not found:
        raise FileNotFoundError(f"Expected images {pattern} in {folder}. Received: none")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OSError(f"Cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected text in UTF-8. Received: {path}: {error}") from error


def _check_output(
    parser: argparse.ArgumentParser, folder: Path, output: Path, labels: str | None
) -> None:
    wrong = None
    if output.suffix.lower() != ".csv":
        wrong = f"Expected --output to end in .csv. Received: {output}"
    elif output.parent.resolve() != folder.resolve():
        wrong = f"Expected --output in {folder}, where its paths start. Received: {output}"
    elif labels and _same(output, folder / labels):
        wrong = f"Expected --output as a file that is not read. Received: {output}"
    if wrong:
        parser.exit(2, f"{parser.prog}: {wrong}\n")


def _same(a: Path, b: Path) -> bool:
    return a.exists() and b.exists() and a.samefile(b)


def _check_different(rows: Iterable[Judgement]) -> None:
    places: dict[tuple[str, ...], str] = {}
    for place, columns in rows:
        images = tuple(columns[name] for name in IMAGES if name in columns)
        if images in places:
            raise ValueError(
                f"Expected each judgement once. Received: {images[1]} in {places[images]}, and "
                f"again in {place}"
            )
        places[images] = place


def _check_images(folder: Path, rows: Iterable[Judgement]) -> None:
    paths: dict[str, None] = {}
    for place, columns in rows:
        for path in (columns[name] for name in IMAGES if name in columns):
            parts = PurePosixPath(path)
            if not path or parts.is_absolute() or ".." in parts.parts:
                raise ValueError(f"Expected a path within {folder}. Received: {place}: {path!r}")
            paths[path] = None
    missing = [path for path in paths if not (folder / path).is_file()]
    if missing:
        more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
        raise FileNotFoundError(f"Expected all images in {folder}. Missing: {missing[0]}{more}")


def _write(path: Path, rows: Sequence[Judgement]) -> None:
    """Writes a file whole or not at all; the library's `written_whole` would load TensorFlow."""
    part = path.with_name(f".{path.stem[:99]}-{os.getpid()}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0].columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.columns for row in rows)
        part.replace(path)
    except OSError as error:
        raise OSError(f"Cannot write {path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
