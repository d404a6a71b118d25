"""The options of `evaluate` that choose judgements: those of BAPPS, or a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer

from lpips_tf_cli.console.options import BappsDir, DataDir, Resize, SkipErrors, Srgb

Judgements = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Table instead of BAPPS: .csv or .parquet with the columns reference, image0, image1"
        " and judge (the share of people who chose image1), or reference, image and opinion.",
        show_default=False,
    ),
]


@dataclasses.dataclass(frozen=True)
class BappsOptions:
    """Which data sets of BAPPS are scored."""

    panel: ClassVar[str] = "BAPPS"

    mode: Annotated[
        Literal["2afc", "jnd"],
        typer.Option(
            help="2afc: does the metric choose the image that people find nearer? jnd: does it "
            "find the pairs that look the same to people?"
        ),
    ] = "2afc"
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET...",
            help="Data sets such as val/cnn. By default all validation sets.",
            show_default=False,
        ),
    ] = None
    bapps_dir: BappsDir = None
    data_dir: DataDir = None


@dataclasses.dataclass(frozen=True)
class TableOptions:
    """How the images and judgements of a table are read."""

    panel: ClassVar[str] = "Judgements of your own"

    judgements: Judgements = None
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Score each value of this column separately, such as distortion.",
            show_default=False,
        ),
    ] = None
    lower_is_better: Annotated[
        bool,
        typer.Option(
            "--lower-is-better", help="Opinions are lower for better images, such as DMOS."
        ),
    ] = False
    resize: Resize = None
    srgb: Srgb = False
    skip_errors: SkipErrors = False
