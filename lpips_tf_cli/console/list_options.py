"""The options that choose images of a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar

import typer

Recursive = Annotated[
    bool,
    typer.Option("--recursive", help="Also the images in subfolders; names are relative paths."),
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
            help="Only the names in this file, a line each, in its order; - is standard input.",
            show_default=False,
        ),
    ] = None
    first: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the first N images.", show_default=False),
    ] = None

    def without_list(self) -> ListOptions:
        """The options for all images."""
        return dataclasses.replace(self, list_file=None, first=None)
