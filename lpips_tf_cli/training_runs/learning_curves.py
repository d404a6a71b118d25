"""Plots the learning curves of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lpips_tf_cli.console.imports import quietly


def save_curves(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Plots loss and agreement by epoch, for training and, if there is any, validation."""
    with quietly():  # Matplotlib reports on its fonts at first use
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
