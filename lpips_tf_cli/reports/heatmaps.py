"""Writes the heat map of `pair` to a file."""

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


def write_heatmap(
    path: Path,
    metric: lpips_tf.LPIPS,
    pairs: Sequence[tuple[Path, Path]],
    files: ImageFiles,
    layers: bool,
    mask: np.ndarray | None = None,
) -> list[float]:
    """Compares images with one reference and draws where they differ.

    The format is that of the path's suffix; a mask is as for `pair_distances`.

    Returns:
        The distances, as `pair_distances` does.

    Raises:
        ValueError: more images than a figure can have.
    """
    seen: dict[int, tuple[np.ndarray, plots.Comparison]] = {}

    def see(index: int, reference: np.ndarray, found: plots.Comparison) -> None:
        seen[index] = reference, found

    distances = pair_distances(metric, pairs, files, see, mask)
    compared = [seen[i][1] for i in sorted(seen)]
    with quietly(), warnings.catch_warnings():  # fonts may lack a file name's characters
        warnings.simplefilter("ignore")
        plots.figure(seen[0][0], compared, layers).savefig(path)
    return distances
