"""Tables of text on the terminal, and their numbers in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from lpips_tf_cli.console.text import printable

WIDTH = 10_000  # no table is wider


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, the header first; all columns but the first are aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    first, *others = rows[0]
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*map(printable, row))
    # What stands in brackets or between colons is text. No number is cut off: lines may be longer
    # than a terminal, and than the 80 columns that Rich takes a file for.
    Console(markup=False, emoji=False, width=WIDTH).print(table, crop=False)


def without_nan(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, with None instead of NaN, which JSON lacks."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in fields.items()}
