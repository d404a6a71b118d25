"""Draws a gradient descent: its images, and the curve of its distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lpips_tf_cli.console.imports import quietly


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes a PNG file."""
    Image.fromarray(image).save(path, "PNG")


def save_distance_curve(path: Path, distances: list[float], name: str) -> None:
    """Plots the distance by step, in the format that the suffix names."""
    with quietly():  # Matplotlib reports on its fonts at first use
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel=name)
    least, most = min(distances), max(distances)
    if 0 < least < most / 10:  # narrower ranges have too few ticks in logarithmic steps
        axes.set_yscale("log")
        if least > most / 1e5:
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.yaxis.set_minor_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.margins(x=0)
    axes.plot(distances)
    axes.grid(which="both", alpha=0.3)
    figure.savefig(path, dpi=150)
