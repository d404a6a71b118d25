"""The commands that measure distances: `pair`, `dirs` and `all-pairs`.

What imports Keras is imported within the commands, by `startup.load_metric` first.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lpips_tf_cli import results
from lpips_tf_cli.options import Baseline, Net, Output, Report, SkipErrors, Srgb, Version
from lpips_tf_cli.program import printable, say
from lpips_tf_cli.startup import load_metric

if TYPE_CHECKING:
    from lpips_tf_cli.image_files import ImageFiles

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
        from lpips_tf_cli.image_files import ImageFiles

        files = ImageFiles(srgb)
        if tile is None:
            from lpips_tf_cli import work

            pairs = [(reference, image) for image in images]
            distances = work.pair_distances(metric, pairs, files)
        else:
            from lpips_tf_cli import tiles

            distances = tiles.distances(metric, reference, images, tile, map_output, srgb)
        if picture is not None:
            from lpips_tf_cli import heatmaps

            spatial = load_metric(net, version, baseline, spatial=True)
            drawn = heatmaps.of_files(metric, spatial, reference, images, files)
            heatmaps.save(picture, *drawn, layers)
    if json:
        rows = [(str(reference), str(image), d) for image, d in zip(images, distances, strict=True)]
        results.write_json(sys.stdout, ("reference", "image", "distance"), rows)
    else:
        for image, distance in zip(images, distances, strict=True):
            print(f"{printable(image)}: {distance:.3f}")


class Row(NamedTuple):
    """What a command found of one or two images: a distance or an error."""

    names: tuple[str, ...]
    distance: float | None
    error: str | None


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
    srgb: Srgb = False,
    skip_errors: SkipErrors = False,
):
    """Prints the distance of each two images with the same name in two folders, and their mean ±
    standard error.
    """
    results.check_output(output)
    results.check_output(report, (".html",), "--report")
    with results.output_file(output) as write, results.whole_file(report) as page:
        metric = load_metric(net, version, baseline)
        from lpips_tf_cli import work
        from lpips_tf_cli.image_files import ImageFiles

        names = work.common_names(dir0, dir1)
        for folder, others in ((dir0, names.only0), (dir1, names.only1)):
            if others:
                more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
                say("lpips-tf", f"only in {folder}: {', '.join(others[:MOST_NAMED])}{more}")
        files = ImageFiles(srgb, skip_errors)
        pairs = [(dir0 / name, dir1 / name) for name in names.common]
        distances = work.pair_distances(metric, pairs, files)
        if not distances:
            raise ValueError(f"Expected images that can be read. Received: {len(pairs)} errors")
        rows = list(_rows([(i,) for i in range(len(pairs))], names.common, distances, files))
        _write(write, ("name",), rows, skip_errors)
        if page is not None:
            from lpips_tf_cli import pages, reports

            spatial = load_metric(net, version, baseline, spatial=True)
            shown = reports.of_folders(metric, spatial, (dir0, dir1), names, distances, files)
            pages.write(page, shown)
    if output is None:
        _print(rows)
    error = results.standard_error(distances)
    print(results.summary(results.mean(distances), error, len(distances), len(files.errors)))
    return int(bool(files.errors))


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
    srgb: Srgb = False,
    skip_errors: SkipErrors = False,
):
    """Prints the distance of each two images in a folder, and their mean ± standard error."""
    if consecutive and mean:
        raise typer.BadParameter("Expected one of --consecutive and --mean. Received: both")
    results.check_output(output)
    with results.output_file(output) as write:
        metric = load_metric(net, version, baseline)
        from lpips_tf_cli import work
        from lpips_tf_cli.image_files import ImageFiles

        names = work.image_names(folder, least=2)
        paths = [folder / name for name in names]
        files = ImageFiles(srgb, skip_errors)
        if mean:
            average, error = work.mean_distance(metric, paths, files)
            images = len(files.read(len(names)))
            count = math.comb(images, 2)
            columns = ("images", "pairs", "mean", "standard_error", "errors")[: 4 + skip_errors]
            found = (images, count, average, error, len(files.errors))[: 4 + skip_errors]
            write(columns, [found])
        else:
            indices: Iterable[tuple[int, int]]
            if consecutive:
                indices = itertools.pairwise(range(len(names)))
                distances, error = work.consecutive_distances(metric, paths, files)
            else:
                indices = itertools.combinations(range(len(names)), 2)
                distances, error = work.all_distances(metric, paths, files)
            average, count = results.mean(distances), len(distances)
            rows = _rows(indices, names, distances, files)
            if output is None:
                _print(rows)
            else:
                _write(write, ("image0", "image1"), rows, skip_errors)
    print(results.summary(average, error, count, len(files.errors)))
    return int(bool(files.errors))


def _rows(
    items: Iterable[tuple[int, ...]],
    names: Sequence[str],
    distances: Iterable[float],
    files: ImageFiles,
) -> Iterator[Row]:
    """A row for each item, which is the indices of its names; distances are of those without an
    error.
    """
    found = iter(distances)
    for item in items:
        error = next((files.errors[i] for i in item if i in files.errors), None)
        yield Row(tuple(names[i] for i in item), None if error else next(found), error)


def _write(write: results.Write, names: Sequence[str], rows: Iterable[Row], errors: bool) -> None:
    """Writes rows, with a column of errors where these are skipped."""
    columns = (*names, "distance", "error") if errors else (*names, "distance")
    flat = ((*row.names, row.distance, row.error) for row in rows)
    write(columns, (row[: len(columns)] for row in flat))


def _print(rows: Iterable[Row]) -> None:
    for row in rows:
        if row.distance is not None:  # errors have been told
            print(f"{', '.join(map(printable, row.names))}: {row.distance:.3f}")
