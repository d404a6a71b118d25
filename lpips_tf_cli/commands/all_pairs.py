"""The command `all-pairs`: distances within a folder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.imports import load_metric
from lpips_tf_cli.console.options import Baseline, Net, Output, SkipErrors, Srgb, Version
from lpips_tf_cli.distances import summaries
from lpips_tf_cli.distances.rows import print_rows, rows_of, write_rows


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
) -> int:
    """Prints the distance of each two images in a folder, and their mean ± standard error."""
    if consecutive and mean:
        raise typer.BadParameter("Expected one of --consecutive and --mean. Received: both")
    outputs.check_output(output)
    with outputs.output_file(output) as write:
        metric = load_metric(net, version, baseline)
        from lpips_tf_cli.distances import listing, pairs
        from lpips_tf_cli.distances.image_files import ImageFiles

        names = listing.image_names(folder, least=2)
        paths = [folder / name for name in names]
        files = ImageFiles(srgb, skip_errors)
        if mean:
            average, error = pairs.mean_distance(metric, paths, files)
            images = len(files.readable(len(names)))
            count = math.comb(images, 2)
            columns = ("images", "pairs", "mean", "standard_error", "errors")[: 4 + skip_errors]
            found = (images, count, average, error, len(files.errors))[: 4 + skip_errors]
            write(columns, [found])
        else:
            indices: Iterable[tuple[int, int]]
            if consecutive:
                indices = itertools.pairwise(range(len(names)))
                distances, error = pairs.consecutive_distances(metric, paths, files)
            else:
                indices = itertools.combinations(range(len(names)), 2)
                distances, error = pairs.all_distances(metric, paths, files)
            average, count = summaries.mean_or_nan(distances), len(distances)
            rows = rows_of(indices, names, distances, files)
            if output is None:
                print_rows(rows)
            else:
                write_rows(write, ("image0", "image1"), rows, skip_errors)
    print(summaries.summary_line(average, error, count, len(files.errors)))
    return int(bool(files.errors))
