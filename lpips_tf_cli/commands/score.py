"""The command `score`: the distances of a manifest's pairs, by Apache Beam."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lpips_tf_cli.console.imports import extra
from lpips_tf_cli.console.metric_options import MetricOptions
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import Resize, Srgb, checked_resizing
from lpips_tf_cli.console.outputs import check_no_input, check_output
from lpips_tf_cli.console.text import counted, printable, say

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}  # they go to Beam


@with_option_groups
def score(
    context: typer.Context,
    manifest: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST",
            help="A .csv or .parquet file with the columns reference and image: paths of images, "
            "relative to its folder.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="OUT.parquet", help="File for the distances.",
            show_default=False,
        ),
    ],
    options: MetricOptions,
    resize: Resize = None,
    srgb: Srgb = False,
    dtype: Annotated[  # the first name of --precision, with more values
        str | None, typer.Option(hidden=True)
    ] = None,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="Also write each layer's share of the distance.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Most pairs per batch.")
    ] = 32,
) -> int:  # fmt: skip
    """Writes the distances of the pairs in a manifest of any length, with Apache Beam.

    Other options, such as --runner, go to Beam.
    """
    check_output(Path(manifest), (".csv", ".parquet"), "MANIFEST")
    check_output(Path(output), (".parquet",))
    check_no_input(Path(output), [Path(manifest)], "--output")
    with extra("score", "beam"):
        from lpips_tf_cli.pipelines import score_pairs
    resizing = checked_resizing(resize)
    arguments = options.arguments() | ({} if dtype is None else {"dtype": dtype})
    for name in {"head_weights", "backbone_weights"} & arguments.keys():
        arguments[name] = str(Path(arguments[name]).resolve())  # workers have folders of their own
    counts = score_pairs.score_manifest(
        manifest, output, arguments, per_layer, batch_size, srgb, resizing, context.args
    )
    found = f"{counted(counts.pairs, 'distance')}, {counted(counts.errors, 'error')}"
    print(f"{printable(output)}: {found}")
    if counts.distorted:
        images = counted(counts.distorted, "image")
        say(
            "lpips-tf",
            f"warning: resizing distorts {images} with other proportions than the reference",
        )
    return int(bool(counts.errors))
