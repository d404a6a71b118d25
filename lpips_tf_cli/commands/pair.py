"""The command `pair`: distances of images from a reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.imports import load_metric
from lpips_tf_cli.console.options import Baseline, Net, Srgb, Version
from lpips_tf_cli.console.text import printable

HEATMAP_SUFFIXES = (".png", ".pdf", ".svg")


def pair(
    reference: Annotated[
        Path, typer.Argument(metavar="REF", help="The reference image.", show_default=False)
    ],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMG...", help="Images to compare with it.", show_default=False),
    ],
    net: Net = "alex",
    version: Version = "0.1",
    baseline: Baseline = False,
    srgb: Srgb = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: reference, image and distance of each.")
    ] = False,
    heatmap: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Also draw where the images differ (.png, .pdf or .svg).",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="With --heatmap: also what each layer adds.")
    ] = False,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A grey image of how much each pixel counts: black not at all.",
            show_default=False,
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Compare tile by tile, for images larger than memory; 1024 is a good side.",
            show_default=False,
        ),
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.tif",
            help="With --tile: also write where the two images differ, a number for each pixel.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Prints the distance of each image from a reference of the same size."""
    if layers and heatmap is None:
        raise typer.BadParameter("Expected --heatmap with it", param_hint="--layers")
    if heatmap is not None and tile is not None:
        raise typer.BadParameter("Expected no --tile with it; see --map", param_hint="--heatmap")
    if mask is not None and tile is not None:
        raise typer.BadParameter("Expected no --tile with it", param_hint="--mask")
    if map_file is not None and (tile is None or len(images) > 1):
        raise typer.BadParameter("Expected --tile with it, and one image", param_hint="--map")
    outputs.check_output(heatmap, HEATMAP_SUFFIXES, "--heatmap")
    outputs.check_output(map_file, (".tif", ".tiff"), "--map")
    for option, path in (("--heatmap", heatmap), ("--map", map_file)):
        outputs.check_no_input(path, [reference, *images, *([mask] if mask else [])], option)
    with outputs.whole_file(heatmap) as heatmap_file, outputs.whole_file(map_file) as map_output:
        metric = load_metric(net, version, baseline)
        from lpips_tf_cli.distances.image_files import ImageFiles

        files = ImageFiles(srgb)
        if tile is None:
            from lpips_tf_cli.distances.masks import read_mask
            from lpips_tf_cli.distances.pairs import pair_distances

            pairs = [(reference, image) for image in images]
            weights = None if mask is None else read_mask(mask)
            if heatmap_file is None:
                distances = pair_distances(metric, pairs, files, mask=weights)
            else:
                from lpips_tf_cli.reports.heatmaps import write_heatmap

                distances = write_heatmap(heatmap_file, metric, pairs, files, layers, weights)
        else:
            from lpips_tf_cli.distances.tiles import tiled_distances

            distances = tiled_distances(metric, reference, images, tile, map_output, srgb)
    if json:
        rows = [(str(reference), str(image), d) for image, d in zip(images, distances, strict=True)]
        outputs.write_json(sys.stdout, ("reference", "image", "distance"), rows)
    else:
        for image, distance in zip(images, distances, strict=True):
            print(f"{printable(image)}: {distance:.3f}")
