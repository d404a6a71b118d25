"""Draws the images and maps of a report's rows in the background, within a size for the page."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image

from lpips_tf import plots
from lpips_tf_cli.reports import pages
from lpips_tf_cli.reports.pages import Row, Value

MOST_DRAWN = 2000  # rows with images
BYTES = 50_000_000  # of all images of a page
SIDES = ((500, 256), (MOST_DRAWN, 160))  # of images in pixels, by the number of rows
WAITING = 64  # images that wait to be encoded, at most

Captioned = Sequence[tuple[str, np.ndarray]]


class Drawn(NamedTuple):
    """A row whose images are being encoded."""

    name: str
    values: Sequence[Value]
    images: list[Future[pages.EncodedImage]]
    maps: list[Future[pages.EncodedImage]]

    def row(self) -> Row:
        """The row with its encoded images, once they are ready."""
        images, maps = ([future.result() for future in part] for part in self[2:])
        return Row(self.name, self.values, images, maps)


class Drawing:
    """Encodes images for a page, as a context.

    Args:
        rows: the maximum number of rows.
        images: the number of images and maps of each row; all of a page share `BYTES`.
    """

    def __init__(self, rows: int, images: int) -> None:
        rows = min(rows, MOST_DRAWN)
        self._side = next(side for most, side in SIDES if rows <= most)
        self._most_bytes = min(BYTES // max(rows * images, 1), 60_000)
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._waiting: collections.deque[Future[pages.EncodedImage]] = collections.deque()

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def draw_row(
        self, name: str, values: Sequence[Value], images: Captioned, maps: Captioned
    ) -> Drawn:
        """A row whose images are encoded in the background.

        Args:
            name: of the row.
            values: one for each column of the page.
            images: captions and images (H, W, 3) uint8, the reference first.
            maps: captions and maps (H, W) of all images but the first.
        """
        shown = [self._encode(caption, Image.fromarray(image)) for caption, image in images]
        hidden = []
        for (_, image), (caption, values_of_map) in zip(images[1:], maps, strict=False):
            largest = float(values_of_map.max())
            over = plots.overlay(image, values_of_map, largest)
            hidden.append(self._encode(f"{caption}: brightest is {largest:.2f}", over))
        return Drawn(name, values, shown, hidden)

    def _encode(self, caption: str, image: Image.Image) -> Future[pages.EncodedImage]:
        if len(self._waiting) >= WAITING:
            self._waiting.popleft().result()
        future = self._pool.submit(pages.encoded, caption, image, self._side, self._most_bytes)
        self._waiting.append(future)
        return future
