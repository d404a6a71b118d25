"""Rows of a table of distances, with errors where images were skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.text import printable

if TYPE_CHECKING:
    from lpips_tf_cli.distances.image_files import ImageFiles


class Row(NamedTuple):
    """What a command found of one or two images: a distance or an error."""

    names: tuple[str, ...]
    distance: float | None
    error: str | None


def rows_of(
    items: Iterable[tuple[int, ...]],
    names: Sequence[str],
    distances: Iterable[float],
    files: ImageFiles,
) -> Iterator[Row]:
    """A row for each item, which is the indices of its names; distances are of those without an
    error.
    """
    found = iter(distances)
    for item in items:
        error = next((files.errors[i] for i in item if i in files.errors), None)
        yield Row(tuple(names[i] for i in item), None if error else next(found), error)


def write_rows(
    write: outputs.Write, names: Sequence[str], rows: Iterable[Row], errors: bool
) -> None:
    """Writes rows, with a column of errors where these are skipped."""
    columns = (*names, "distance", "error") if errors else (*names, "distance")
    flat = ((*row.names, row.distance, row.error) for row in rows)
    write(columns, (row[: len(columns)] for row in flat))


def print_rows(rows: Iterable[Row]) -> None:
    for row in rows:
        if row.distance is not None:  # errors have been told
            print(f"{', '.join(map(printable, row.names))}: {row.distance:.3f}")
