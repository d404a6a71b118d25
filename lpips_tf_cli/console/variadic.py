"""Options that take several values after one name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import typer.core


class VariadicCommand(typer.core.TyperCommand):
    """A command without arguments whose repeatable options take several values.

    `--option A B` means `--option A --option B`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeats the option before each further value, and parses the result."""
        repeatable = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        return super().parse_args(ctx, list(_repeated(args, repeatable)))


def _repeated(args: Iterable[str], repeatable: set[str]) -> Iterator[str]:
    option, values = None, 0
    for arg in args:
        if arg.startswith("-"):
            option, values = (arg if arg in repeatable else None), 0
        elif option is not None:
            if values:
                yield option
            values += 1
        yield arg
