"""The options that describe a metric."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from lpips_tf_cli.console.imports import imports

if TYPE_CHECKING:
    from lpips_tf import LPIPS

Network = Literal["alex", "vgg", "squeeze"]
Net = Annotated[
    Network,
    typer.Option(help="Backbone network. The first use of squeeze downloads its weights."),
]
Version = Annotated[
    Literal["0.1", "0.0"], typer.Option(help="Version of LPIPS. 0.0 is the first release.")
]
Baseline = Annotated[bool, typer.Option("--baseline", help="Leave out the calibrated heads.")]
HeadWeights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Load these heads instead of the official ones.", show_default=False
    ),
]
BackboneWeights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Load this backbone instead of the one trained on ImageNet.",
        show_default=False,
    ),
]
Precision = Annotated[
    Literal["float32", "bfloat16"],
    typer.Option(
        help="Number type of the backbone. bfloat16 is less exact, and faster on some processors."
    ),
]


@dataclasses.dataclass(frozen=True)
class FixedMetricOptions:
    """The options of commands that need a network in float32: `export` and `optimize`.

    The fields are the arguments of `lpips_tf.LPIPS`, with the command line's names.
    """

    panel: ClassVar[str] = "Metric"

    net: Net = "alex"
    version: Version = "0.1"
    baseline: Baseline = False
    head_weights: HeadWeights = None
    backbone_weights: BackboneWeights = None

    def arguments(self) -> dict[str, Any]:
        """The arguments of `lpips_tf.LPIPS`; refuses a combination as wrong usage."""
        if self.baseline and self.head_weights is not None:
            raise typer.BadParameter("Expected no --baseline with it", param_hint="--head-weights")
        given: dict[str, Any] = {
            "net": self.net,
            "version": self.version,
            "lpips": not self.baseline,
        }
        for name in ("head_weights", "backbone_weights"):
            if (path := getattr(self, name)) is not None:
                given[name] = str(path)
        return given

    def load(self, **others: Any) -> LPIPS:
        """The metric, with `others` as further arguments."""
        arguments = self.arguments() | others
        with imports():
            import lpips_tf

        return lpips_tf.LPIPS(**arguments)


@dataclasses.dataclass(frozen=True)
class MetricOptions(FixedMetricOptions):
    """The options of a command that computes distances."""

    precision: Precision = "float32"

    def arguments(self) -> dict[str, Any]:
        """The arguments of `lpips_tf.LPIPS`, with a policy for low precision."""
        policy = {} if self.precision == "float32" else {"dtype": f"mixed_{self.precision}"}
        return super().arguments() | policy


@dataclasses.dataclass(frozen=True)
class LossOptions(FixedMetricOptions):
    """The options of a command that follows the metric's gradient."""

    net: Net = "vgg"
