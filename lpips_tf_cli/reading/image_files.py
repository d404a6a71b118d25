"""Reads a command's image files: converts colour profiles, and handles unreadable files."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lpips_tf import images
from lpips_tf._support.resizing import Resizing
from lpips_tf._support.sizes import Size
from lpips_tf_cli.console.text import counted, say


class ImageFiles:
    """Reads image files, and records the errors of unreadable ones.

    Args:
        srgb: convert images with other colour profiles, as `images.load` does.
        skip_errors: go on after an error; None for commands without this option.
        resizing: what images are resized to.

    Attributes:
        errors: the messages, by the index of the image or pair.
        distorted: images whose proportions resizing changes, with their size and their reference's.
    """

    def __init__(
        self,
        srgb: bool = False,
        skip_errors: bool | None = None,
        resizing: Resizing | None = None,
    ) -> None:
        self.srgb = srgb
        self.skip_errors = skip_errors
        self.resizing = resizing
        self.errors: dict[int, str] = {}
        self.distorted: list[str] = []

    def load(self, path: Path, size: Size | None = None) -> np.ndarray:
        """The image in a file, (H, W, 3) uint8, resized to a size that is not its own."""
        image = images.load(path, self.srgb)
        return image if size is None else images.resize(image, size)

    @contextlib.contextmanager
    def reading(self, index: int) -> Iterator[None]:
        """Wraps the reading of an image or a pair: keeps and prints its error, or raises it."""
        try:
            yield
        except (OSError, ValueError) as error:
            if self.skip_errors:
                self.errors[index] = str(error)
                say("lpips-tf", f"skipped: {error}")
            elif self.skip_errors is None:
                raise
            else:
                kind = OSError if isinstance(error, OSError) else ValueError
                advice = "To go on without it, use --skip-errors"
                raise kind(f"{str(error).rstrip('.')}. {advice}") from error

    def warn_of_distorted(self) -> None:
        """Warns where resizing gives images other proportions, which changes their distance."""
        if self.distorted:
            count = len(self.distorted)
            more = f" (and {counted(count - 1, 'other')})" if count > 1 else ""
            warnings.warn(
                "resizing distorts images with other proportions than their reference: "
                f"{self.distorted[0]}{more}",
                stacklevel=2,
            )

    def readable(self, count: int) -> list[int]:
        """The indices of the images or pairs without an error, of `count` in all."""
        return [i for i in range(count) if i not in self.errors]
