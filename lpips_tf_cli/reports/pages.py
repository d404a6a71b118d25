"""Writes a report as one HTML file: distances, their summary, and their images."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import itertools
import math
import os
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from lpips_tf_cli.console.text import printable

BARS = 30  # of the histogram
CURVE_POINTS = 1000
QUALITIES = (80, 60, 40, 20, 0)  # of WebP files
SMALL = 80  # pixels; images up to this side are shown twice as large


@dataclasses.dataclass(frozen=True)
class EncodedImage:
    """An image within the page."""

    caption: str
    width: int  # on the page, in its pixels
    height: int
    address: str  # data:…


@dataclasses.dataclass(frozen=True)
class Value:
    """A number to sort by, and how it reads."""

    number: float
    text: str

    @property
    def key(self) -> str:
        """The number as JavaScript reads it; NaN is the smallest of all."""
        if math.isnan(self.number):
            return "-Infinity"
        return "Infinity" if self.number == math.inf else str(self.number)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the page: one comparison."""

    name: str
    values: Sequence[Value]  # one for each column of the page
    images: Sequence[EncodedImage] = ()
    maps: Sequence[EncodedImage] = ()  # shown on demand


@dataclasses.dataclass(frozen=True)
class HistogramBar:
    """A bar of a histogram."""

    low: float
    high: float
    count: int
    share: float  # of the highest bar


@dataclasses.dataclass(frozen=True)
class Page:
    """The content of a report. All text is escaped, and shown as it is."""

    title: str
    notes: Sequence[str]
    figures: Sequence[tuple[str, str]]  # term and value
    distances: Sequence[float]
    heading: str  # of the rows
    columns: Sequence[str]
    rows: Iterable[Row]  # read once, in the order shown
    sorted_by: str = ""  # a column
    direction: str = "descending"
    scores: Sequence[Sequence[str]] = ()  # a table, its header first
    curve: Sequence[float] = ()  # a distance of each frame
    step: int = 1  # between frames of the curve

    @property
    def histogram(self) -> list[HistogramBar]:
        """The bars of the histogram of the distances that are finite."""
        distances = [distance for distance in self.distances if math.isfinite(distance)]
        largest = max(distances, default=0) or 1.0
        step = 10 ** math.floor(math.log10(largest)) / 2
        counts, edges = np.histogram(distances, BARS, (0, math.ceil(largest / step) * step))
        highest = max(counts.max(), 1)
        return [
            HistogramBar(float(edges[i]), float(edges[i + 1]), int(n), float(n / highest))
            for i, n in enumerate(counts)
        ]

    @property
    def curve_points(self) -> list[tuple[float, float]]:
        """Points of the curve in [0, 1]: frame and distance, as shares of the last and largest.

        A long curve has the largest distance of each of `CURVE_POINTS` stretches.
        """
        count = len(self.curve)
        edges = np.unique(np.linspace(0, count, min(count, CURVE_POINTS) + 1).astype(int))
        largest = max(self.curve) or 1.0
        return [
            (start / max(count - 1, 1), max(self.curve[start:stop]) / largest)
            for start, stop in itertools.pairwise(edges.tolist())
        ]


def write_page(path: Path, page: Page) -> None:
    """Writes a page that needs no other file or address, and runs no script but its own."""
    texts = {p.name: p.read_text("utf-8") for p in resources.files(__package__).iterdir()
             if p.name.endswith((".html", ".css", ".js"))}  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(texts), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_as_text,
    )  # fmt: skip
    environment.filters["hash"] = _hash
    environment.globals["zip"] = zip
    template = environment.get_template("page.html")
    stream = template.stream(page=page, style=texts["page.css"], script=texts["page.js"])
    stream.enable_buffering(100)
    with path.open("wb") as file:
        stream.dump(file, "utf-8")


def _as_text(value: Any) -> Any:
    """The value as text: file names may hold control characters, and bytes that are not text."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return os.fsencode(printable(value)).decode("utf-8", "replace")


def _hash(text: str) -> str:
    """The hash of a script or style, as a content security policy names it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def encoded(caption: str, image: Image.Image, side: int, most_bytes: int) -> EncodedImage:
    """The image at `side` pixels or less, taking about `most_bytes` or less of the page."""
    image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality)
        if buffer.tell() * 4 / 3 <= most_bytes:
            break
    scale = 2 if max(image.size) <= SMALL else 1
    address = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return EncodedImage(caption, scale * image.width, scale * image.height, address)
