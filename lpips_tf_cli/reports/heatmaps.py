"""The heat map of `pair`, written to a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import lpips_tf
from lpips_tf import plots
from lpips_tf_cli.console.imports import quietly
from lpips_tf_cli.distances.image_files import ImageFiles
from lpips_tf_cli.distances.pairs import pair_distances


def write(
    path: Path,
    metric: lpips_tf.LPIPS,
    pairs: Sequence[tuple[Path, Path]],
    files: ImageFiles,
    layers: bool,
) -> list[float]:
    """Compares images with one reference and draws where they differ.

    Returns:
        What `pair_distances` gives.

    Raises:
        ValueError: more images than a figure can have.
    """
    seen: dict[int, tuple[np.ndarray, plots.Comparison]] = {}

    def see(index: int, reference: np.ndarray, found: plots.Comparison) -> None:
        seen[index] = reference, found

    distances = pair_distances(metric, pairs, files, see)
    save(path, seen[0][0], [seen[i][1] for i in sorted(seen)], layers)
    return distances


def save(
    path: Path, reference: np.ndarray, compared: Sequence[plots.Comparison], layers: bool
) -> None:
    """Draws comparisons to a file, in the format that its suffix names."""
    with quietly(), warnings.catch_warnings():  # fonts that lack a file name's characters
        warnings.simplefilter("ignore")
        plots.figure(reference, compared, layers).savefig(path)
