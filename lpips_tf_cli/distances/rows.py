"""Rows of a table of distances, with errors where images were skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.text import printable

if TYPE_CHECKING:
    from lpips_tf_cli.reading.image_files import ImageFiles

FORMATS = {"distance": "{:.3f}", "psnr": "psnr {:.2f}", "ssim": "ssim {:.4f}"}


class Row(NamedTuple):
    """The result for one or two images: values or an error."""

    names: tuple[str, ...]
    values: tuple[Any, ...] | None
    error: str | None


def rows_of(
    items: Iterable[tuple[int, ...]],
    names: Sequence[str],
    values: Iterable[tuple[Any, ...]],
    files: ImageFiles,
) -> Iterator[Row]:
    """A row for each item.

    Args:
        items: the indices of the images of each row.
        names: of the images.
        values: of the items without an error, in order.
        files: has the errors.
    """
    found = iter(values)
    for item in items:
        error = next((files.errors[i] for i in item if i in files.errors), None)
        yield Row(tuple(names[i] for i in item), None if error else next(found), error)


def write_rows(
    write: outputs.Write,
    names: Sequence[str],
    rows: Iterable[Row],
    errors: bool,
    columns: Sequence[str] = ("distance",),
) -> None:
    """Writes rows with these columns of names and of values, and of errors if `errors`."""
    header = (*names, *columns, "error") if errors else (*names, *columns)
    nothing = (None,) * len(columns)
    flat = ((*row.names, *(row.values or nothing), row.error) for row in rows)
    write(header, (row[: len(header)] for row in flat))


def print_rows(rows: Iterable[Row]) -> None:
    """Prints the distances, each row's first value; errors have been printed before."""
    for row in rows:
        if row.values is not None:
            print(f"{', '.join(map(printable, row.names))}: {row.values[0]:.3f}")


def text_of(figures: Mapping[str, float]) -> str:
    """A distance, and the figures beside it, as they are printed."""
    return ", ".join(FORMATS[name].format(value) for name, value in figures.items())
