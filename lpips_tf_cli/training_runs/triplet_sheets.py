"""Draws sheets of triplets with the metric's distances and people's answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # of the images in a sheet
LINE = 16  # height of a line of text in pixels
COLUMNS = 2  # triplets side by side
GAP = 6


def triplet_sheet(
    triplets: Sequence[np.ndarray], distances: Sequence[np.ndarray], judge: np.ndarray
) -> np.ndarray:
    """Triplets as one image, p0 to the left of the reference and p1 to the right.

    Each of both is captioned with its distance and the share of people who found it nearer. The one
    that the metric finds nearer is framed.

    Args:
        triplets: ref, p0, p1 (N, H, W, 3) uint8.
        distances: d0, d1 (N,).
        judge: (N,).

    Returns:
        (height, width, 3) uint8.
    """
    count, height, width = triplets[0].shape[:3]
    cell = (3 * (SCALE * width + GAP) + 2 * GAP, SCALE * height + 2 * LINE + 2 * GAP)
    size = (COLUMNS * cell[0], -(-count // COLUMNS) * cell[1])
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(LINE - 4)
    for i in range(count):
        left, top = (i % COLUMNS) * cell[0] + GAP, (i // COLUMNS) * cell[1] + GAP
        d0, d1 = float(distances[0][i]), float(distances[1][i])
        captions = (
            (1, d0, 1 - judge[i], d0 < d1),
            (0, None, None, False),
            (2, d1, judge[i], d1 < d0),
        )
        for column, (part, distance, chosen, nearer) in enumerate(captions):
            x = left + column * (SCALE * width + GAP)
            image = Image.fromarray(triplets[part][i])
            sheet.paste(
                image.resize((SCALE * width, SCALE * height), Image.Resampling.NEAREST), (x, top)
            )
            if nearer:
                corner = (x + SCALE * width, top + SCALE * height)
                draw.rectangle(((x - 3, top - 3), corner), outline="#0072b2", width=3)
            lines = (
                "reference" if distance is None else f"p{part - 1}: d = {distance:.3f}",
                "" if chosen is None else f"people: {chosen:.0%}",
            )
            for row, text in enumerate(lines):
                y = top + SCALE * height + 2 + row * LINE
                draw.text((x, y), text, fill="black", font=font)
    return np.asarray(sheet)
