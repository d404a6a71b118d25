"""The command `all-pairs`: distances within a folder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.list_options import ListOptions
from lpips_tf_cli.console.metric_options import MetricOptions
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import Output, ResizeAll, SkipErrors, Srgb, checked_resizing
from lpips_tf_cli.distances import summaries
from lpips_tf_cli.distances.rows import print_rows, rows_of, write_rows

if TYPE_CHECKING:
    from lpips_tf import LPIPS
    from lpips_tf_cli.reading.image_files import ImageFiles


@with_option_groups
def all_pairs(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder of images of one size.", show_default=False),
    ],
    listed: ListOptions,
    options: MetricOptions,
    output: Output = None,
    consecutive: Annotated[
        bool, typer.Option("--consecutive", help="Compare only each image with the next by name.")
    ] = False,
    mean: Annotated[
        bool,
        typer.Option(
            "--mean",
            help="Print only the mean over all pairs, which takes one pass over the images.",
        ),
    ] = False,
    groups: Annotated[
        bool,
        typer.Option(
            "--groups",
            help="Print the mean within each subfolder, such as the samples of one condition, and"
            " the mean of these.",
        ),
    ] = False,
    resize: ResizeAll = None,
    srgb: Srgb = False,
    skip_errors: SkipErrors = False,
) -> int:
    """Prints the distances between all images in a folder, and their mean ± standard error."""
    if sum((consecutive, mean, groups)) > 1:
        given = {"--consecutive": consecutive, "--mean": mean, "--groups": groups}
        raise typer.BadParameter(
            "Expected one of --consecutive, --mean and --groups. "
            f"Received: {' and '.join(name for name, on in given.items() if on)}"
        )
    if groups and listed.list_file is not None:
        raise typer.BadParameter("Expected no --groups with it", param_hint="--list")
    outputs.check_output(output)
    resizing = checked_resizing(resize, reference=False)
    with outputs.output_file(output) as write:
        metric = options.load()
        from lpips_tf_cli.reading.image_files import ImageFiles

        files = ImageFiles(srgb, skip_errors, resizing)
        if groups:
            from lpips_tf_cli.distances.groups import compare_groups

            found = compare_groups(metric, folder, listed, files)
            found.write(write, skip_errors)
            if output is None:
                found.print_rows()
            line = found.summary()
        else:
            line = _compare(metric, folder, listed, files, output, write, consecutive, mean)
    outputs.print_summary(line + (f", resized to {resize}" if resize else ""), output)
    return int(bool(files.errors))


def _compare(
    metric: LPIPS,
    folder: Path,
    listed: ListOptions,
    files: ImageFiles,
    output: Path | None,
    write: outputs.Write,
    consecutive: bool,
    mean: bool,
) -> str:
    """Writes or prints the distances within one folder; returns their summary."""
    from lpips_tf_cli.distances import pairs
    from lpips_tf_cli.reading import listing

    names = listing.image_names(folder, 2, listed)
    paths = [folder / name for name in names]
    if mean:
        average, error = pairs.mean_distance(metric, paths, files)
        images = len(files.readable(len(names)))
        count = math.comb(images, 2)
        columns = ("images", "pairs", "mean", "standard_error", "errors")[
            : 4 + bool(files.skip_errors)
        ]
        write(columns, [(images, count, average, error, len(files.errors))[: len(columns)]])
    else:
        indices: Iterable[tuple[int, int]]
        if consecutive:
            indices = itertools.pairwise(range(len(names)))
            distances, error = pairs.consecutive_distances(metric, paths, files)
        else:
            indices = itertools.combinations(range(len(names)), 2)
            distances, error = pairs.all_distances(metric, paths, files)
        average, count = summaries.mean_or_nan(distances), len(distances)
        rows = rows_of(indices, names, ((distance,) for distance in distances), files)
        if output is None:
            print_rows(rows)
        else:
            write_rows(write, ("image0", "image1"), rows, bool(files.skip_errors))
    return summaries.summary_line(average, error, count, len(files.errors))
