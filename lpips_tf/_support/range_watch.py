"""Looks at the range of the images that a metric is given."""

from __future__ import annotations

from functools import partial
from typing import Any

from lpips_tf._backend.execution import is_traced
from lpips_tf._support.invalid_images import tell_in_steps
from lpips_tf._support.value_ranges import Range, check_range, warn_of_range

CHECKS = 20  # arrays whose range is checked; later calls save the time


class RangeWatch:
    """Warns once of images that do not seem to span a metric's `value_range`.

    Args:
        value_range: the (lowest, highest) value that float images span.
    """

    def __init__(self, value_range: Range) -> None:
        self._value_range = value_range
        self._checks = CHECKS
        self._told = False

    def look(self, stacklevel: int, **images: Any) -> None:
        """Looks at batches of images, as long as it has not looked at many, nor warned.

        A warning names the line of the caller that is `stacklevel` calls above.

        Raises:
            ValueError: floats of 8-bit images.
        """
        for name, array in images.items():
            # torch.compile compiles again when a Python number changes that it has read.
            if not is_traced(array) and self._checks > 0 and not self._told:
                looked, told = check_range(name, array, self._value_range, stacklevel + 1)
                self._checks -= looked
                self._told = told
        name, first = next(iter(images.items()))
        tell_in_steps(first, self._value_range, partial(self._tell, name))

    def _tell(self, name: str, lowest: float, highest: float) -> None:
        """Warns of images of another range that a compiled step found."""
        if not self._told:
            self._told = warn_of_range(name, lowest, highest, self._value_range)
