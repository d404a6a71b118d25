"""The commands `export …`: write a metric for other programs."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lpips_tf_cli.console.imports import imports, load_metric
from lpips_tf_cli.console.options import BackboneWeights, Baseline, HeadWeights, Net, Version
from lpips_tf_cli.console.outputs import check_output
from lpips_tf_cli.console.text import printable

app = typer.Typer(help="Writes a metric for programs without this package.", no_args_is_help=True)

Output = Annotated[Path, typer.Argument(metavar="OUT", show_default=False)]
Spatial = Annotated[
    bool, typer.Option("--spatial", help="Maps of where images differ, instead of one number.")
]
ValueRange = Annotated[
    tuple[float, float],
    typer.Option(metavar="LOW HIGH", help="Range of float images; uint8 ones span 0 to 255."),
]


@app.command("saved-model")
def saved_model(
    context: typer.Context,
    output: Output,
    net: Net = "alex",
    version: Version = "0.1",
    baseline: Baseline = False,
    spatial: Spatial = False,
    value_range: ValueRange = (-1, 1),
    head_weights: HeadWeights = None,
    backbone_weights: BackboneWeights = None,
    model_version: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**63 - 1,
            help="Number of the version; by default the next.",
            show_default=False,
        ),
    ] = None,
    warmup: Annotated[
        bool, typer.Option(help="Also write requests that TensorFlow Serving runs at its start.")
    ] = True,
) -> None:
    """Writes a SavedModel to OUT/1, or the next number: for TensorFlow Serving, and as a loss."""
    with imports():
        from lpips_tf.export import export_saved_model
    metric = _load(context)
    print(printable(export_saved_model(metric, output, model_version, warmup)))


@app.command("onnx")
def onnx(
    context: typer.Context,
    output: Output,
    net: Net = "alex",
    version: Version = "0.1",
    baseline: Baseline = False,
    spatial: Spatial = False,
    value_range: ValueRange = (-1, 1),
    head_weights: HeadWeights = None,
    backbone_weights: BackboneWeights = None,
) -> None:
    """Writes an ONNX file (.onnx) for images of any number and size."""
    check_output(output, (".onnx",), "OUT")
    with imports():
        from lpips_tf.export import export_onnx
    metric = _load(context)
    export_onnx(metric, output)
    print(printable(output))


@app.command("litert")
def litert(
    context: typer.Context,
    output: Output,
    size: Annotated[
        tuple[int, int],
        typer.Option(metavar="HEIGHT WIDTH", help="Fixed size of the images in pixels."),
    ] = (64, 64),
    quantize: Annotated[
        Literal["dynamic", "float16"] | None,
        typer.Option(help="Smaller weights: 8 or 16 bits each.", show_default=False),
    ] = None,
    net: Net = "alex",
    version: Version = "0.1",
    baseline: Baseline = False,
    spatial: Spatial = False,
    value_range: ValueRange = (-1, 1),
    head_weights: HeadWeights = None,
    backbone_weights: BackboneWeights = None,
) -> None:
    """Writes a LiteRT file (.tflite) for one pair of images of a fixed size."""
    check_output(output, (".tflite",), "OUT")
    with imports():
        from lpips_tf.export import export_litert
    metric = _load(context)
    export_litert(metric, output, size, quantize)
    print(printable(output))


def _load(context: typer.Context) -> Any:
    """The metric that the options shared by all formats describe."""
    given = context.params
    if given["baseline"] and given["head_weights"] is not None:
        raise typer.BadParameter("Expected no --baseline with it", param_hint="--head-weights")
    shared = inspect.signature(onnx).parameters.keys() - {"context", "output"}
    return load_metric(**{name: given[name] for name in shared})
