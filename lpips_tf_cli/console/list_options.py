"""The options that choose images of a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar

import typer

Recursive = Annotated[
    bool,
    typer.Option("--recursive", help="Search subfolders too. Names are then relative paths."),
]


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Which images of a folder a command takes."""

    panel: ClassVar[str] = "Choice of images"

    recursive: Recursive = False
    list_file: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Compare only the names in this file, one per line, in its order. - reads "
            "standard input.",
            show_default=False,
        ),
    ] = None
    first: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Compare only the first N images.", show_default=False
        ),
    ] = None

    def without_list(self) -> ListOptions:
        """The options for all images."""
        return dataclasses.replace(self, list_file=None, first=None)
