"""The command `dirs`: distances of images with the same name in two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.imports import load_metric
from lpips_tf_cli.console.options import Baseline, Net, Output, Report, SkipErrors, Srgb, Version
from lpips_tf_cli.console.text import say
from lpips_tf_cli.distances import summaries
from lpips_tf_cli.distances.rows import print_rows, rows_of, write_rows

MOST_NAMED = 10  # of the files that have no partner


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
) -> int:
    """Prints distances of images with the same name in two folders, and mean ± standard error."""
    outputs.check_output(output)
    outputs.check_output(report, (".html",), "--report")
    with outputs.output_file(output) as write, outputs.whole_file(report) as page_file:
        metric = load_metric(net, version, baseline)
        from lpips_tf_cli.distances import listing
        from lpips_tf_cli.distances.image_files import ImageFiles
        from lpips_tf_cli.distances.pairs import pair_distances

        names = listing.common_names(dir0, dir1)
        for folder, others in ((dir0, names.only0), (dir1, names.only1)):
            if others:
                more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
                say("lpips-tf", f"only in {folder}: {', '.join(others[:MOST_NAMED])}{more}")
        files = ImageFiles(srgb, skip_errors)
        pairs = listing.pairs_of(names, (dir0, dir1))
        if page_file is None:
            distances = pair_distances(metric, pairs, files)
        else:
            from lpips_tf_cli.reports import folder_report

            distances = folder_report.write_folder_report(
                page_file, metric, (dir0, dir1), names, files
            )
        rows = list(rows_of([(i,) for i in range(len(pairs))], names.common, distances, files))
        write_rows(write, ("name",), rows, skip_errors)
    if output is None:
        print_rows(rows)
    error = summaries.standard_error(distances)
    mean = summaries.mean_or_nan(distances)
    print(summaries.summary_line(mean, error, len(distances), len(files.errors)))
    return int(bool(files.errors))
