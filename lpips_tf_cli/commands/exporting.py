"""The commands `export …`: write a metric for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lpips_tf_cli.console.imports import imports
from lpips_tf_cli.console.metric_options import FixedMetricOptions
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.outputs import check_output
from lpips_tf_cli.console.text import printable

app = typer.Typer(help="Exports a metric for use without this package.", no_args_is_help=True)

Output = Annotated[Path, typer.Argument(metavar="OUT", show_default=False)]
Spatial = Annotated[
    bool,
    typer.Option(
        "--spatial", help="Export maps of where images differ instead of one number per pair."
    ),
]
ValueRange = Annotated[
    tuple[float, float],
    typer.Option(metavar="LOW HIGH", help="Range of float images. uint8 images span 0 to 255."),
]


@app.command("saved-model")
@with_option_groups
def saved_model(
    output: Output,
    options: FixedMetricOptions,
    spatial: Spatial = False,
    value_range: ValueRange = (-1, 1),
    model_version: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**63 - 1,
            help="Version number. By default the next one.",
            show_default=False,
        ),
    ] = None,
    warmup: Annotated[
        bool, typer.Option(help="Also write the requests that warm up TensorFlow Serving.")
    ] = True,
) -> None:
    """Exports a SavedModel to OUT/1, or the next version, for TensorFlow Serving or as a loss."""
    with imports():
        from lpips_tf.export import export_saved_model
    metric = options.load(spatial=spatial, value_range=value_range)
    print(printable(export_saved_model(metric, output, model_version, warmup)))


@app.command("onnx")
@with_option_groups
def onnx(
    output: Output,
    options: FixedMetricOptions,
    spatial: Spatial = False,
    value_range: ValueRange = (-1, 1),
) -> None:
    """Exports an ONNX file (.onnx) for batches of images of any size."""
    check_output(output, (".onnx",), "OUT")
    with imports():
        from lpips_tf.export import export_onnx
    metric = options.load(spatial=spatial, value_range=value_range)
    export_onnx(metric, output)
    print(printable(output))


@app.command("litert")
@with_option_groups
def litert(
    output: Output,
    options: FixedMetricOptions,
    size: Annotated[
        tuple[int, int],
        typer.Option(metavar="HEIGHT WIDTH", help="Fixed size of the images in pixels."),
    ] = (64, 64),
    quantize: Annotated[
        Literal["dynamic", "float16"] | None,
        typer.Option(
            help="Quantise weights to 8 bits (dynamic) or to 16 (float16).", show_default=False
        ),
    ] = None,
    spatial: Spatial = False,
    value_range: ValueRange = (-1, 1),
) -> None:
    """Exports a LiteRT file (.tflite) for one pair of images of a fixed size."""
    check_output(output, (".tflite",), "OUT")
    with imports():
        from lpips_tf.export import export_litert
    metric = options.load(spatial=spatial, value_range=value_range)
    export_litert(metric, output, size, quantize)
    print(printable(output))
