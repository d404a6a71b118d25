"""Reports as one HTML file: distances, what they sum up to, and the pictures they are of."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import math
import os
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from lpips_tf_cli.console.text import printable

BARS = 30  # of the histogram
QUALITIES = (80, 60, 40, 20, 0)  # of WebP files
SMALL = 80  # pixels; pictures up to that are shown twice as large


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture within the page."""

    caption: str
    width: int  # on the page, in its pixels
    height: int
    address: str  # data:…


@dataclasses.dataclass(frozen=True)
class Value:
    """A number to sort by, and how it reads."""

    number: float
    text: str


@dataclasses.dataclass(frozen=True)
class Row:
    """What was compared."""

    name: str
    values: Sequence[Value]  # one for each column of the page
    pictures: Sequence[Picture] = ()
    maps: Sequence[Picture] = ()  # shown on demand


@dataclasses.dataclass(frozen=True)
class Bar:
    """Of a histogram."""

    low: float
    high: float
    count: int
    share: float  # of the highest bar


@dataclasses.dataclass(frozen=True)
class Page:
    """What a report tells. All text is shown as it is, whatever it holds."""

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

    @property
    def histogram(self) -> list[Bar]:
        largest = max(self.distances) or 1.0
        step = 10 ** math.floor(math.log10(largest)) / 2
        counts, edges = np.histogram(self.distances, BARS, (0, math.ceil(largest / step) * step))
        return [
            Bar(float(edges[i]), float(edges[i + 1]), int(n), float(n / counts.max()))
            for i, n in enumerate(counts)
        ]


def write(path: Path, page: Page) -> None:
    """Writes a page that needs no other file nor address, and runs no script but its own."""
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


def _as_text(value):
    """File names may hold control characters, and bytes that are no text."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return os.fsencode(printable(value)).decode("utf-8", "replace")


def _hash(text: str) -> str:
    """Of a script or style, as a content security policy names it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def picture(caption: str, image: Image.Image, side: int, most_bytes: int) -> Picture:
    """A picture of at most `side` pixels, and about `most_bytes` in the page."""
    image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality)
        if buffer.tell() * 4 / 3 <= most_bytes:
            break
    scale = 2 if max(image.size) <= SMALL else 1
    address = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(caption, scale * image.width, scale * image.height, address)
