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
        help="Instead of BAPPS: a .csv or .parquet table with the columns reference, image0, "
        "image1 and judge (the share of people for image1), or reference, image and opinion.",
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
            help="2afc: does it choose the image that people find nearer. jnd: does it tell pairs "
            "that people take for the same."
        ),
    ] = "2afc"
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET...",
            help="Data sets such as val/cnn; by default all for validation.",
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
            help="Score the rows of each value of this column, such as distortion.",
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
