"""The command `score`: the distances of a manifest's pairs, by Apache Beam."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lpips_tf_cli.console.imports import extra
from lpips_tf_cli.console.options import BackboneWeights, Baseline, HeadWeights, Net, Srgb, Version
from lpips_tf_cli.console.outputs import check_no_input, check_output
from lpips_tf_cli.console.text import counted, printable

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}  # they go to Beam


def score(
    context: typer.Context,
    manifest: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST",
            help="A .csv or .parquet file with the columns reference and image, paths of images.",
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
    net: Net = "alex",
    version: Version = "0.1",
    baseline: Baseline = False,
    head_weights: HeadWeights = None,
    backbone_weights: BackboneWeights = None,
    srgb: Srgb = False,
    dtype: Annotated[
        str | None,
        typer.Option(help="Policy of the network, such as mixed_bfloat16.", show_default=False),
    ] = None,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="Also write what each layer adds.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, help="The most pairs that are computed at once.")
    ] = 32,
) -> None:  # fmt: skip
    """Writes the distances of a manifest's pairs: any length, any file system that Beam knows.

    All other options go to Beam, such as --runner.
    """
    check_output(Path(manifest), (".csv", ".parquet"), "MANIFEST")
    check_output(Path(output), (".parquet",))
    check_no_input(Path(output), [Path(manifest)], "--output")
    with extra("score", "beam"):
        from lpips_tf_cli.pipelines import score_pairs
    options = {"net": net, "version": version, "lpips": not baseline, "dtype": dtype}
    if head_weights is not None:
        options["head_weights"] = str(head_weights.resolve())
    if backbone_weights is not None:
        options["backbone_weights"] = str(backbone_weights.resolve())
    counts = score_pairs.score_manifest(
        manifest, output, options, per_layer, batch_size, srgb, beam_arguments=context.args
    )
    found = f"{counted(counts.pairs, 'distance')}, {counted(counts.errors, 'error')}"
    print(f"{printable(output)}: {found}")
