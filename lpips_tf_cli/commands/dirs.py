"""The command `dirs`: distances of images with the same name in folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.gate_options import GateOptions
from lpips_tf_cli.console.list_options import ListOptions
from lpips_tf_cli.console.metric_options import MetricOptions
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import (
    OTHER_FIGURES,
    Output,
    Report,
    Resize,
    SkipErrors,
    Srgb,
    With,
    checked_figures,
    checked_resizing,
)
from lpips_tf_cli.console.text import say


@with_option_groups
def dirs(
    reference: Annotated[
        Path,
        typer.Argument(metavar="REF", help="A folder of reference images.", show_default=False),
    ],
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", help="Folders of images with the same names.", show_default=False
        ),
    ],
    listed: ListOptions,
    options: MetricOptions,
    gate: GateOptions,
    output: Output = None,
    report: Report = None,
    match: Annotated[
        Literal["name", "stem"],
        typer.Option(help="Match files by name, or by stem: the name without its suffix."),
    ] = "name",
    resize: Resize = None,
    others: With = None,
    srgb: Srgb = False,
    skip_errors: SkipErrors = False,
) -> int:
    """Prints the distances between images of the same name in folders, and mean ± standard error.

    Each further folder is compared with the first. With several, the mean difference between each
    two of them and its 95% confidence interval are printed too.
    """
    _check_folders(reference, folders)
    outputs.check_output(output)
    outputs.check_output(report, (".html",), "--report")
    figures, resizing = checked_figures(others), checked_resizing(resize)
    with outputs.output_file(output) as write, outputs.whole_file(report) as page_file:
        metric = options.load()
        from lpips_tf_cli.distances import folders as comparing
        from lpips_tf_cli.reading import listing
        from lpips_tf_cli.reading.image_files import ImageFiles

        names = listing.common_names([reference, *folders], listed, by_stem=match == "stem")
        for sentence in listing.sentences_on_alone(names):
            say("lpips-tf", sentence)
        files = ImageFiles(srgb, skip_errors, resizing)
        if page_file is None:
            found = comparing.compare_folders(metric, names, files, figures)
        else:
            from lpips_tf_cli.reports import folder_report

            found = folder_report.write_folder_report(page_file, metric, names, files, figures)
        found.write(write, skip_errors)
    if output is None:
        found.print_rows()
    for line in found.summary():
        outputs.print_summary(line, output)
    exit_codes = [
        gate.exit_code(found.paths(place), distances, mean_of=str(folder) * (len(folders) > 1))
        for place, (folder, distances) in enumerate(zip(folders, found.distances(), strict=True))
    ]
    return max(*exit_codes, int(bool(files.errors)))


def _check_folders(reference: Path, folders: list[Path]) -> None:
    """Refuses folders of equal names, whose columns could not be told apart."""
    given = [reference, *folders]
    if len(folders) < 2:
        return
    if twice := [path for path in given if given.count(path) > 1]:
        raise typer.BadParameter(f"Expected each folder once. Received: {twice[0]} again")
    columns = ["name", "resized", "error", *map(str, folders)]
    columns += [f"{folder} {figure}" for folder in folders for figure in OTHER_FIGURES]
    if taken := [folder for folder in folders if columns.count(str(folder)) > 1]:
        raise typer.BadParameter(
            "Expected folders that are not called as another column of the table. "
            f"Received: {taken[0]}"
        )
