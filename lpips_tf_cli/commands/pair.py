"""The command `pair`: distances of images from a reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.gate_options import GateOptions
from lpips_tf_cli.console.metric_options import MetricOptions
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import (
    Resize,
    Srgb,
    With,
    checked_figures,
    checked_resizing,
)
from lpips_tf_cli.console.text import printable

if TYPE_CHECKING:
    from lpips_tf_cli.distances.pairs import Compared

HEATMAP_SUFFIXES = (".png", ".pdf", ".svg")


@with_option_groups
def pair(
    reference: Annotated[
        Path, typer.Argument(metavar="REF", help="The reference image.", show_default=False)
    ],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMG...", help="Images to compare with it.", show_default=False),
    ],
    options: MetricOptions,
    gate: GateOptions,
    srgb: Srgb = False,
    resize: Resize = None,
    others: With = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: reference, image and distance of each.")
    ] = False,
    heatmap: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Also draw a figure of where the images differ (.png, .pdf or .svg).",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="With --heatmap: also draw the map of each layer.")
    ] = False,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Grey image of how much each pixel counts: white fully, black not at all.",
            show_default=False,
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Compare in tiles of this side, for images larger than memory. 1024 is a good "
            "choice.",
            show_default=False,
        ),
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.tif",
            help="With --tile: also write the map of where the images differ.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Prints the distance of each image from a reference."""
    if layers and heatmap is None:
        raise typer.BadParameter("Expected --heatmap with it", param_hint="--layers")
    if heatmap is not None and tile is not None:
        raise typer.BadParameter("Expected no --tile with it; see --map", param_hint="--heatmap")
    for name, given in (("--mask", mask), ("--resize", resize), ("--with", others)):
        if given is not None and tile is not None:
            raise typer.BadParameter("Expected no --tile with it", param_hint=name)
    if others is not None and mask is not None:
        raise typer.BadParameter("Expected no --mask with it", param_hint="--with")
    if map_file is not None and (tile is None or len(images) > 1):
        raise typer.BadParameter("Expected --tile with it, and one image", param_hint="--map")
    outputs.check_output(heatmap, HEATMAP_SUFFIXES, "--heatmap")
    outputs.check_output(map_file, (".tif", ".tiff"), "--map")
    for option, path in (("--heatmap", heatmap), ("--map", map_file)):
        outputs.check_no_input(path, [reference, *images, *([mask] if mask else [])], option)
    figures, resizing = checked_figures(others), checked_resizing(resize)
    with outputs.whole_file(heatmap) as heatmap_file, outputs.whole_file(map_file) as map_output:
        metric = options.load()
        from lpips_tf_cli.distances import pairs

        if tile is None:
            from lpips_tf_cli.reading.image_files import ImageFiles
            from lpips_tf_cli.reading.masks import read_mask

            items = [(reference, image) for image in images]
            files = ImageFiles(srgb, resizing=resizing)
            weights = None if mask is None else read_mask(mask)
            if heatmap_file is None:
                compared = pairs.compare(metric, items, files, figures, mask=weights)
            else:
                from lpips_tf_cli.reports.heatmaps import write_heatmap

                compared = write_heatmap(
                    heatmap_file, metric, items, files, figures, layers, weights
                )
        else:
            from lpips_tf_cli.distances.tiles import tiled_distances

            distances = tiled_distances(metric, reference, images, tile, map_output, srgb)
            compared = [pairs.Compared((0, 0), [{"distance": distance}]) for distance in distances]
    if json:
        _print_json(reference, images, compared, resized=resizing is not None)
    else:
        _print(images, compared, resized=resizing is not None)
    return gate.exit_code(images, [found.figures[0]["distance"] for found in compared])


def _print(images: list[Path], compared: list[Compared], resized: bool) -> None:
    from lpips_tf._support.sizes import shown_size
    from lpips_tf_cli.distances.rows import text_of

    for image, (size, (figures,)) in zip(images, compared, strict=True):
        at = f" (resized to {shown_size(size)})" if resized else ""
        print(f"{printable(image)}: {text_of(figures)}{at}")


def _print_json(
    reference: Path, images: list[Path], compared: list[Compared], resized: bool
) -> None:
    from lpips_tf._support.sizes import shown_size

    columns = ["reference", "image", *compared[0].figures[0], *(["resized"] if resized else [])]
    rows: list[list[Any]] = []
    for image, (size, (figures,)) in zip(images, compared, strict=True):
        at = [shown_size(size)] if resized else []
        rows.append([str(reference), str(image), *figures.values(), *at])
    outputs.write_json(sys.stdout, columns, rows)
