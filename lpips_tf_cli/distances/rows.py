"""Rows of a table of distances, with errors where images were skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.text import printable

if TYPE_CHECKING:
    from lpips_tf_cli.distances.image_files import ImageFiles


class DistanceRow(NamedTuple):
    """The result for one or two images: a distance or an error."""

    names: tuple[str, ...]
    distance: float | None
    error: str | None


def rows_of(
    items: Iterable[tuple[int, ...]],
    names: Sequence[str],
    distances: Iterable[float],
    files: ImageFiles,
) -> Iterator[DistanceRow]:
    """A row for each item.

    Args:
        items: the indices of each row's names.
        names: of the images.
        distances: of the items without an error, in order.
        files: has the errors.
    """
    found = iter(distances)
    for item in items:
        error = next((files.errors[i] for i in item if i in files.errors), None)
        yield DistanceRow(tuple(names[i] for i in item), None if error else next(found), error)


def write_rows(
    write: outputs.Write, names: Sequence[str], rows: Iterable[DistanceRow], errors: bool
) -> None:
    """Writes rows, with a column of errors if `errors`."""
    columns = (*names, "distance", "error") if errors else (*names, "distance")
    flat = ((*row.names, row.distance, row.error) for row in rows)
    write(columns, (row[: len(columns)] for row in flat))


def print_rows(rows: Iterable[DistanceRow]) -> None:
    """Prints the rows that have a distance; errors have been printed before."""
    for row in rows:
        if row.distance is not None:
            print(f"{', '.join(map(printable, row.names))}: {row.distance:.3f}")
