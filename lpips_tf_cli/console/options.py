"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lpips_tf_cli.console.imports import extra, imports

if TYPE_CHECKING:
    from lpips_tf._support.resizing import Resizing

OTHER_FIGURES = ("psnr", "ssim")

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the distances to a .csv or .json file, or as CSV to standard output (-).",
        show_default=False,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html",
        help="Write an HTML report with figures and images.",
        show_default=False,
    ),
]
Srgb = Annotated[
    bool, typer.Option("--srgb", help="Convert images with other colour profiles to sRGB.")
]
SkipErrors = Annotated[
    bool,
    typer.Option("--skip-errors", help="Skip images that cannot be read. The exit code is then 1."),
]


def _resize_option(sizes: str) -> Any:
    text = f"Resize images first: {sizes}."
    return typer.Option("--resize", metavar="SIZE", help=text, show_default=False)


SIZES = "WIDTHxHEIGHT, or the shorter side"
Resize = Annotated[str | None, _resize_option(f"reference (to its size), {SIZES}")]
ResizeAll = Annotated[str | None, _resize_option(SIZES)]  # where no image is the reference
With = Annotated[
    str | None,
    typer.Option(
        "--with",
        metavar="psnr,ssim",
        help="Also report these measures.",
        show_default=False,
    ),
]
BappsDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the unpacked archives, which holds 2afc and jnd.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of data that TensorFlow Datasets prepared. By default ~/tensorflow_datasets.",
        show_default=False,
    ),
]


def checked_resizing(text: str | None, reference: bool = True) -> Resizing | None:
    """What `--resize` says; refuses another text, or one for a reference, as wrong usage."""
    if text is None:
        return None
    with imports():
        from lpips_tf._support.resizing import Resizing
    try:
        resizing = Resizing(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--resize") from error
    if resizing.needs_reference and not reference:
        raise typer.BadParameter(
            "Expected WIDTHxHEIGHT or the shorter side, as no image is the reference. "
            f"Received: {text}",
            param_hint="--resize",
        )
    return resizing


def checked_figures(text: str | None) -> list[str]:
    """The figures that `--with` names; refuses others as wrong usage."""
    names = [] if text is None else text.split(",")
    if text is not None and (set(names) - set(OTHER_FIGURES) or len(set(names)) < len(names)):
        raise typer.BadParameter(
            f"Expected {' or '.join(OTHER_FIGURES)}, or both with a comma. Received: {text}",
            param_hint="--with",
        )
    if names:
        with extra("--with", "figures"):
            import skimage  # noqa: F401
    return names


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
