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
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html", help="Write a page of figures and images.", show_default=False
    ),
]
Srgb = Annotated[
    bool, typer.Option("--srgb", help="Convert images with other colour profiles to sRGB.")
]
SkipErrors = Annotated[
    bool,
    typer.Option(
        "--skip-errors", help="Go on after images that cannot be read; the exit code is then 1."
    ),
]
HeadWeights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Trained heads instead of the official.", show_default=False),
]
BackboneWeights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Tuned network instead of ImageNet's.", show_default=False),
]
BappsDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Read the unpacked archives in this folder, which holds 2afc and jnd.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Read data that TensorFlow Datasets prepared; by default in ~/tensorflow_datasets.",
        show_default=False,
    ),
]


def check_one_place(bapps_dir: Path | None, data_dir: Path | None) -> None:
    """Refuses two places to read from as wrong usage."""
    if bapps_dir is not None and data_dir is not None:
        raise typer.BadParameter("Expected one of --bapps-dir and --data-dir. Received: both")


def checked_datasets(mode: str, names: list[str] | None, option: str = "--datasets") -> list[str]:
    """The names of data sets, each once; by default all for validation.

    Refuses unknown names as wrong usage.
    """
    import tfds_bapps

    known = [split.replace("_", "/") for split in tfds_bapps.splits(mode)]
    if names is None:
        return [name for name in known if name.startswith("val/")]
    for name in names:
        if name not in known:
            raise typer.BadParameter(
                f"Expected data sets of {', '.join(known)}. Received: {name}", param_hint=option
            )
    return list(dict.fromkeys(names))
