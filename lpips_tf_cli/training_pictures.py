"""Pictures of a training: its curves, and a sheet of triplets with what the metric says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lpips_tf_cli.startup import quietly

SCALE = 2  # of the images in a sheet
LINE = 16  # height of a line of text in pixels
COLUMNS = 2  # triplets side by side
GAP = 6


def save_curves(path: Path, history: Sequence[dict]) -> None:
    """Plots loss and agreement by epoch, of training and where there is one of validation."""
    with quietly():  # at first use Matplotlib reports on its fonts
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 4), layout="constrained")
    epochs = [record["epoch"] for record in history]
    for column, (name, label) in enumerate(
        (("loss", "loss (cross-entropy)"), ("two_afc", "agreement with people (2AFC)")), 1
    ):
        axes = figure.add_subplot(1, 2, column, xlabel="epoch", ylabel=label)
        axes.plot(epochs, [record[name] for record in history], ".-", label="training")
        if all(f"val_{name}" in record for record in history):
            values = [record[f"val_{name}"] for record in history]
            axes.plot(epochs, values, ".-", label="validation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    lines = figure.axes[0].get_lines()
    if len(lines) > 1:
        figure.legend(handles=lines, loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def sheet(triplets: Sequence[np.ndarray], distances: Sequence, judge: np.ndarray) -> np.ndarray:
    """Triplets as one picture, p0 left of the reference and p1 right of it, with their distances
    from it and how many people found p1 nearer. What the metric finds nearer is framed.

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
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
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
            picture.paste(
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
    return np.asarray(picture)
