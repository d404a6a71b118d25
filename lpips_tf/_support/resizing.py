"""Sizes that images are resized to before they are compared."""

from __future__ import annotations

import dataclasses
import re

from lpips_tf._support.sizes import Size, shown_size

MOST_PIXELS = 178_956_970  # of an image, as Pillow reads it


@dataclasses.dataclass(frozen=True)
class Resizing:
    """What images are resized to, all by Pillow's antialiased Lanczos filter.

    Args:
        text: "reference", the size of the reference; "WIDTHxHEIGHT"; or "SHORT", a number of pixels
            for the shorter side of the reference, or of an image without one. The longer side is in
            proportion, rounded down as torchvision's `Resize` does.

    Raises:
        ValueError: `text` is none of these.
    """

    text: str

    def __post_init__(self) -> None:
        """Checks the text."""
        sides = self._sides()
        if self.text != "reference" and (not sides or min(sides) < 1):
            raise ValueError(
                f"Expected reference, WIDTHxHEIGHT, or the shorter side in pixels. "
                f"Received: {self.text}"
            )
        if sides and max(sides) * min(sides) > MOST_PIXELS:
            raise ValueError(f"Expected at most {MOST_PIXELS:,} pixels. Received: {self.text}")

    @property
    def needs_reference(self) -> bool:
        """Whether only an image that is compared with a reference has a size."""
        return self.text == "reference"

    def of_image(self, size: Size) -> Size:
        """The size that an image of this size is resized to."""
        sides = self._sides()
        if len(sides) == 2:
            return sides[1], sides[0]
        if not sides:
            return size
        short, long = sorted(size)
        longer = int(sides[0] * long / short)
        if sides[0] * longer > MOST_PIXELS:
            raise ValueError(
                f"Expected at most {MOST_PIXELS:,} pixels. "
                f"Received: {shown_size((longer, sides[0]))}, from an image of {shown_size(size)}"
            )
        return (sides[0], longer) if size[0] <= size[1] else (longer, sides[0])

    def _sides(self) -> list[int]:
        """The numbers of the text; none if it has another form."""
        numbers = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", self.text, re.ASCII)
        return [int(number) for number in numbers.groups() if number] if numbers else []


def is_distorted(reference: Size, image: Size) -> bool:
    """Whether an image has other proportions than its reference.

    A pixel more or less on a side is rounding.
    """
    difference = abs(image[0] * reference[1] - image[1] * reference[0])
    return difference > max(*image, *reference)
