"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Net = Annotated[
    Literal["alex", "vgg", "squeeze"],
    typer.Option(help="Network whose features are compared; squeeze is downloaded at first use."),
]
Version = Annotated[
    Literal["0.1", "0.0"], typer.Option(help="LPIPS version; 0.0 is the first release.")
]
Baseline = Annotated[bool, typer.Option("--baseline", help="Without the calibrated heads.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write the distances to this .csv or .json file.", show_default=False
    ),
]
