"""The command `optimize`: moves an image by gradient descent through the metric."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Annotated

import typer

from lpips_tf_cli.console.imports import imports
from lpips_tf_cli.console.metric_options import LossOptions
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import Srgb
from lpips_tf_cli.console.outputs import check_output
from lpips_tf_cli.console.text import printable

CURVES = (".png", ".svg", ".pdf")


@with_option_groups
def optimize(
    reference: Annotated[
        Path, typer.Argument(metavar="REF", help="The image to reach.", show_default=False)
    ],
    init: Annotated[
        Path,
        typer.Option(
            metavar="IMG", help="Image to start from, of the same size.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Write the result to this .png file.", show_default=False
        ),
    ],
    options: LossOptions,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = 200,
    learning_rate: Annotated[
        float, typer.Option(help="Learning rate of Adam, for pixels in [-1, 1].")
    ] = 0.01,
    frames: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also write this many steps of the descent, 2 or more, side by side to "
            "OUTPUT-frames.png.",
            show_default=False,
        ),
    ] = 0,
    curve: Annotated[
        Path | None,
        typer.Option(
            help="Also plot the distance against the step (.png, .svg or .pdf).",
            show_default=False,
        ),
    ] = None,
    srgb: Srgb = False,
) -> None:
    """Moves an image towards another by gradient descent; prints the distance before and after."""
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise typer.BadParameter(
            f"Expected a number above 0. Received: {learning_rate}", param_hint="--learning-rate"
        )
    if frames and not 2 <= frames <= steps + 1:
        raise typer.BadParameter(
            f"Expected 2 to {steps + 1} frames for {steps} steps, as the first and the last image "
            f"are among them. Received: {frames}",
            param_hint="--frames",
        )
    strip = output.with_name(f"{output.stem}-frames.png") if frames else None
    _check_outputs(
        {"--output": (output, (".png",)), "--curve": (curve, CURVES)}, (reference, init, strip)
    )
    with contextlib.ExitStack() as files:
        with imports():
            from lpips_tf._support.whole_files import written_whole
        temporary = {
            path: files.enter_context(written_whole(path))
            for path in (output, strip, curve)
            if path
        }
        metric = options.load()
        import numpy as np

        from lpips_tf_cli.distances import gradient_descent
        from lpips_tf_cli.reports import descents

        moved = gradient_descent.optimize_image(
            metric, reference, init, steps, learning_rate, frames, srgb
        )
        descents.write_png(temporary[output], moved.image)
        if strip is not None:
            descents.write_png(temporary[strip], np.hstack(moved.frames))
        if curve is not None:
            descents.save_distance_curve(
                temporary[curve],
                moved.distances,
                f"LPIPS ({options.net} {options.version}{' baseline' if options.baseline else ''})",
            )
    print(f"{printable(init)}: {moved.distances[0]:.3f}")
    print(f"{printable(output)}: {moved.last:.3f}")


def _check_outputs(
    named: dict[str, tuple[Path | None, tuple[str, ...]]], others: tuple[Path | None, ...]
) -> None:
    """Refuses suffixes of other formats, and files that are named twice."""
    taken = {path.resolve() for path in others if path is not None}
    for option, (path, suffixes) in named.items():
        if path is None:
            continue
        check_output(path, suffixes, option)
        if path.resolve() in taken:
            raise typer.BadParameter(
                f"Expected a file that nothing else names. Received: {path}", param_hint=option
            )
        taken.add(path.resolve())
