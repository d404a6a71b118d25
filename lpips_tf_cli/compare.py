"""The commands that measure distances: `pair`, `dirs` and `all-pairs`.

What imports Keras is imported within the commands, by `startup.load_metric` first.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from lpips_tf_cli import results
from lpips_tf_cli.options import Baseline, Net, Output, Report, Version
from lpips_tf_cli.program import printable
from lpips_tf_cli.startup import load_metric

MOST_NAMED = 10  # of the files that have no partner
PICTURES = (".png", ".pdf", ".svg")


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
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Compare tile by tile, for pictures larger than memory; 1024 is a good side.",
            show_default=False,
        ),
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.tif",
            help="With --tile: also write where the two pictures differ, a number for each pixel.",
            show_default=False,
        ),
    ] = None,
):
    """Prints the distance of each image from a reference of the same size."""
    if layers and heatmap is None:
        raise typer.BadParameter("Expected --heatmap with it", param_hint="--layers")
    if heatmap is not None and tile is not None:
        raise typer.BadParameter("Expected no --tile with it; see --map", param_hint="--heatmap")
    if map_file is not None and (tile is None or len(images) > 1):
        raise typer.BadParameter("Expected --tile with it, and one image", param_hint="--map")
    results.check_output(heatmap, PICTURES, "--heatmap")
    results.check_output(map_file, (".tif", ".tiff"), "--map")
    for option, path in (("--heatmap", heatmap), ("--map", map_file)):
        results.check_no_input(path, [reference, *images], option)
    with results.whole_file(heatmap) as picture, results.whole_file(map_file) as map_output:
        metric = load_metric(net, version, baseline)
        if tile is None:
            from lpips_tf_cli import work

            distances = work.pair_distances(metric, [(reference, image) for image in images])
        else:
            from lpips_tf_cli import tiles

            distances = tiles.distances(metric, reference, images, tile, map_output)
        if picture is not None:
            from lpips_tf_cli import heatmaps

            spatial = load_metric(net, version, baseline, spatial=True)
            heatmaps.save(picture, *heatmaps.of_files(metric, spatial, reference, images), layers)
    if json:
        rows = [(str(reference), str(image), d) for image, d in zip(images, distances, strict=True)]
        results.write_json(sys.stdout, ("reference", "image", "distance"), rows)
    else:
        for image, distance in zip(images, distances, strict=True):
            print(f"{printable(image)}: {distance:.3f}")


def dirs(
    dir0: Annotated[Path, typer.Argument(help="A folder of images.", show_default=False)],
    dir1: Annotated[
        Path, typer.Argument(help="A folder of images with the same names.", show_default=False)
    ],
    output: Output = None,
    report: Report = None,
    net: Net = "alex",
    version: Version = "0.1",
    baseline: Baseline = False,
):
    """Prints the distance of each two images with the same name in two folders, and their mean ±
    standard error.
    """
    results.check_output(output)
    results.check_output(report, (".html",), "--report")
    with results.output_file(output) as write, results.whole_file(report) as page:
        metric = load_metric(net, version, baseline)
        from lpips_tf_cli import work

        names = work.common_names(dir0, dir1)
        for folder, others in ((dir0, names.only0), (dir1, names.only1)):
            if others:
                more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
                named = printable(f"{folder}: {', '.join(others[:MOST_NAMED])}{more}")
                print(f"lpips-tf: only in {named}", file=sys.stderr)
        distances = work.pair_distances(
            metric, [(dir0 / name, dir1 / name) for name in names.common]
        )
        write(("name", "distance"), zip(names.common, distances, strict=True))
        if page is not None:
            from lpips_tf_cli import pages, reports

            spatial = load_metric(net, version, baseline, spatial=True)
            shown = reports.of_folders(metric, spatial, (dir0, dir1), names, distances)
            pages.write(page, shown)
    if output is None:
        for name, distance in zip(names.common, distances, strict=True):
            print(f"{printable(name)}: {distance:.3f}")
    print(results.summary(distances))


def all_pairs(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder of images of one size.", show_default=False),
    ],
    output: Output = None,
    consecutive: Annotated[
        bool, typer.Option("--consecutive", help="Only each image and the next by name.")
    ] = False,
    mean: Annotated[
        bool, typer.Option("--mean", help="Only the mean over all pairs, in one pass.")
    ] = False,
    net: Net = "alex",
    version: Version = "0.1",
    baseline: Baseline = False,
):
    """Prints the distance of each two images in a folder, and their mean ± standard error."""
    if consecutive and mean:
        raise typer.BadParameter("Expected one of --consecutive and --mean. Received: both")
    results.check_output(output)
    with results.output_file(output) as write:
        metric = load_metric(net, version, baseline)
        from lpips_tf_cli import work

        names = work.image_names(folder, least=2)
        if mean:
            distance, count = work.mean_distance(metric, folder, names), math.comb(len(names), 2)
            write(("images", "pairs", "mean"), [(len(names), count, distance)])
            print(f"mean: {distance:.5f} ({count} pairs)")
            return
        pairs: Iterable[tuple[str, str]]
        if consecutive:
            pairs = itertools.pairwise(names)
            distances = work.consecutive_distances(metric, folder, names)
        else:
            pairs = itertools.combinations(names, 2)
            distances = work.all_distances(metric, folder, names)
        rows = ((*pair, distance) for pair, distance in zip(pairs, distances, strict=True))
        if output is None:
            for name0, name1, distance in rows:
                print(f"{printable(name0)}, {printable(name1)}: {distance:.3f}")
        else:
            write(("image0", "image1", "distance"), rows)
    print(results.summary(distances))
