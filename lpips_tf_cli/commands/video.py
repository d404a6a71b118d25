"""The command `video`: distances of a video's frames from those of a reference."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.gate_options import GateOptions
from lpips_tf_cli.console.metric_options import MetricOptions
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import (
    Output,
    Report,
    Resize,
    With,
    checked_figures,
    checked_resizing,
)
from lpips_tf_cli.console.text import say

if TYPE_CHECKING:
    from lpips_tf_cli.distances.videos import ComparedVideos

MOST_SHOWN = 12  # of the worst frames in a report


@with_option_groups
def video(
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REF",
            help="The reference: a file that FFmpeg reads, or a folder of numbered frames.",
            show_default=False,
        ),
    ],
    compared: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO",
            help="The video to compare: a file, or a folder of numbered frames.",
            show_default=False,
        ),
    ],
    options: MetricOptions,
    gate: GateOptions,
    every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Compare only every N-th frame.")
    ] = 1,
    shortest: Annotated[
        bool, typer.Option("--shortest", help="Compare as many frames as the shorter video has.")
    ] = False,
    resize: Resize = None,
    others: With = None,
    output: Output = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    report: Report = None,
) -> int:
    """Prints the mean, median and worst LPIPS of a video's frames, and tLPIPS.

    tLPIPS tells whether the frames change as those of the reference do: the mean difference between
    the distances of neighbouring frames.
    """
    outputs.check_output(output)
    if json and outputs.is_stdout(output):
        raise typer.BadParameter("Expected no --output - with it", param_hint="--json")
    outputs.check_output(report, (".html",), "--report")
    figures, resizing = checked_figures(others), checked_resizing(resize)
    table = None if outputs.is_stdout(output) else output
    with outputs.whole_file(report) as page_file, outputs.whole_file(table) as table_file:
        from lpips_tf_cli.console.imports import imports

        with imports():
            from lpips_tf_cli.reading.image_files import ImageFiles
            from lpips_tf_cli.reading.videos import open_video
        files = ImageFiles()
        videos = open_video(reference, files), open_video(compared, files)
        metric = options.load()
        from lpips_tf_cli.distances.videos import compare_videos

        keep = MOST_SHOWN if report else 0
        found = compare_videos(metric, videos, every, shortest, resizing, figures, keep)
        if output is not None:
            _write(table_file, found)
        if page_file is not None:
            from lpips_tf_cli.reports.video_report import write_video_report

            write_video_report(page_file, metric, videos, found)
    if json:
        print(json_module.dumps(found.as_json(), indent=2))
    else:
        for line in found.lines():
            outputs.print_summary(line, output)
    for error in found.errors:
        say("lpips-tf", error)
    names = [f"frame {number}" for number in found.frame_numbers()]
    return gate.exit_code(names, found.distances) or int(bool(found.errors))


def _write(path: Path | None, found: ComparedVideos) -> None:
    """Writes all to a JSON file, or a row for each frame as CSV; for None to standard output."""
    if path is None:
        outputs.write_csv(sys.stdout, found.columns(), found.rows())
    elif path.suffix.lower() == ".json":
        path.write_text(json_module.dumps(found.as_json(), indent=2) + "\n", encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            outputs.write_csv(file, found.columns(), found.rows())
