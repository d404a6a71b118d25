"""Writes the heat map of `pair` to a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import lpips_tf
from lpips_tf import plots
from lpips_tf_cli.console.imports import quietly
from lpips_tf_cli.distances.pairs import Compared, compare
from lpips_tf_cli.reading.image_files import ImageFiles


def write_heatmap(
    path: Path,
    metric: lpips_tf.LPIPS,
    pairs: Sequence[tuple[Path, Path]],
    files: ImageFiles,
    others: Sequence[str],
    layers: bool,
    mask: np.ndarray | None = None,
) -> list[Compared]:
    """Compares images with one reference and draws where they differ.

    The format is that of the path's suffix; other figures and a mask are as for `compare`.

    Returns:
        What `compare` does.

    Raises:
        ValueError: more images than a figure can have.
    """
    seen: dict[int, tuple[np.ndarray, plots.Comparison]] = {}

    def see(index: int, reference: np.ndarray, found: list[plots.Comparison]) -> None:
        seen[index] = reference, found[0]

    found = compare(metric, pairs, files, others, see, mask)
    compared = [seen[i][1] for i in sorted(seen)]
    with quietly(), warnings.catch_warnings():  # fonts may lack a file name's characters
        warnings.simplefilter("ignore")
        plots.figure(seen[0][0], compared, layers).savefig(path)
    return found
