"""Options that make a command fail if images differ too much."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import typer

from lpips_tf_cli.console.text import counted, say

FAILED = 3  # the exit code
MOST_NAMED = 100


@dataclasses.dataclass(frozen=True)
class GateOptions:
    """Limits on distances. Above them a command's exit code is 3."""

    panel: ClassVar[str] = "Limits"

    fail_above: Annotated[
        float | None,
        typer.Option(
            metavar="D", help="Exit with code 3 if any distance is above D.", show_default=False
        ),
    ] = None
    fail_mean_above: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Exit with code 3 if the mean distance is above D.",
            show_default=False,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuses limits that are not distances."""
        for field in dataclasses.fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not (math.isfinite(limit) and limit >= 0):
                raise typer.BadParameter(
                    f"Expected a distance of at least 0. Received: {limit}",
                    param_hint=f"--{field.name.replace('_', '-')}",
                )

    def exit_code(
        self, names: Sequence[object], distances: Sequence[float], mean_of: str = ""
    ) -> int:
        """3 if a distance, or their mean, is above its limit or NaN; else 0.

        Standard error names what is above, the most different first.

        Args:
            names: of the compared images.
            distances: one for each name.
            mean_of: what the mean is of, where a command has several.
        """
        failed = False
        if self.fail_above is not None:
            above = [
                (d, name)
                for d, name in zip(distances, names, strict=True)
                if not d <= self.fail_above
            ]
            above.sort(key=lambda item: math.inf if math.isnan(item[0]) else item[0], reverse=True)
            for distance, name in above[:MOST_NAMED]:
                say("lpips-tf", f"above {self.fail_above:g}: {name} ({distance:.5f})")
            if len(above) > MOST_NAMED:
                say("lpips-tf", f"above {self.fail_above:g}: {len(above) - MOST_NAMED:,} more")
            failed |= bool(above)
        if self.fail_mean_above is not None:
            mean = math.fsum(distances) / len(distances) if distances else math.nan
            if not mean <= self.fail_mean_above:
                of = f" of {mean_of}" if mean_of else ""
                pairs = counted(len(distances), "distance")
                say("lpips-tf", f"mean{of} above {self.fail_mean_above:g}: {mean:.5f} ({pairs})")
                failed = True
        return FAILED if failed else 0
