"""Distances between image files, under a progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

import lpips_tf
from lpips_tf import standard_errors
from lpips_tf._support.floats import short_float
from lpips_tf._support.sizes import Size, shown_size
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.reading.batches import chunks_of_sizes, common_size, decoded, image_batches
from lpips_tf_cli.reading.image_files import ImageFiles

if TYPE_CHECKING:
    from lpips_tf import plots


See = Callable[[int, np.ndarray, "list[plots.Comparison]"], None]


class Compared(NamedTuple):
    """One or more images, compared with a reference."""

    size: Size  # at which they were compared
    figures: list[dict[str, float]]  # of each image: its distance, and other figures, by name


def compare(
    metric: lpips_tf.LPIPS,
    items: Sequence[tuple[Path, ...]],
    files: ImageFiles,
    others: Sequence[str] = (),
    see: See | None = None,
    mask: np.ndarray | None = None,
) -> list[Compared]:
    """The figures of each readable item, in order; the sizes of items may differ.

    Args:
        metric: a metric that gives distances, not maps.
        items: a reference and its images each, all of the same number.
        files: reads them, and resizes those of an item to one size.
        others: the figures beside the distance, from `psnr_ssim`.
        see: called with the index of each item, its reference (H, W, 3) uint8, and the comparisons
            of its images with that.
        mask: how much each pixel counts, (H, W), for images that are all compared at its size.

    Raises:
        ValueError: no item can be read, or an item has another size than the mask.
    """
    sizes = {}
    for i, item in enumerate(items):
        with files.reading(i):
            sizes[i] = common_size(item, metric.min_size, files)
            _check_mask(mask, sizes[i])
    files.warn_of_distorted()
    found: dict[int, Compared] = {}
    with progress_bar("comparing") as progress:
        for indices, batch in decoded(chunks_of_sizes(sizes), items, files):
            in0, *images = batch.swapaxes(0, 1)
            names = [[path.name for path in items[i][1:]] for i in indices]
            measured = [
                _measured(metric, in0, in1, mask, others, shown if see else None)
                for in1, shown in zip(images, zip(*names, strict=True), strict=True)
            ]
            for place, i in enumerate(indices):
                found[i] = Compared(sizes[i], [figures[place] for figures, _ in measured])
                if see:
                    see(i, in0[place], [comparisons[place] for _, comparisons in measured])
            progress(len(found) + len(files.errors), len(items))
    if not found:
        raise ValueError(f"Expected images that can be read. Received: {len(files.errors)} errors")
    return [found[i] for i in sorted(found)]


def _check_mask(mask: np.ndarray | None, size: Size) -> None:
    if mask is not None and size != mask.shape:
        raise ValueError(
            f"Expected a mask of the images' size, {shown_size(size)} pixels. "
            f"Received: {shown_size(mask.shape)}"
        )


def _measured(
    metric: lpips_tf.LPIPS,
    in0: np.ndarray,
    in1: np.ndarray,
    mask: np.ndarray | None,
    others: Sequence[str],
    names: Sequence[str] | None,
) -> tuple[list[dict[str, float]], list[plots.Comparison]]:
    """The figures of each image of a batch and, for images with names, their comparisons."""
    masks = None if mask is None else np.broadcast_to(mask, in0.shape[:3])
    comparisons: list[plots.Comparison] = []
    if names is None:
        distances = metric(in0, in1, mask=masks)
    else:
        from lpips_tf import plots  # loads Matplotlib, which most commands do not need

        explanation = metric.explain(in0, in1, masks)
        distances = explanation.distance
        comparisons = plots.comparisons(metric, explanation, in1, names)
    columns = {"distance": floats_of(distances)} | other_figures(others, in0, in1)
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows], comparisons


def other_figures(
    names: Sequence[str], in0: Iterable[np.ndarray], in1: Iterable[np.ndarray]
) -> dict[str, list[float]]:
    """The figures of these names, of each image of two batches (N, H, W, 3) uint8."""
    if not names:
        return {}
    from lpips_tf_cli.distances.psnr_ssim import FIGURES

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {name: list(pool.map(FIGURES[name], in0, in1)) for name in names}


def all_distances(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[list[float], float]:
    """The distances of all pairs of readable images, and the standard error of their mean.

    Pairs are in the order of `itertools.combinations`.
    """
    batches = (batch for _, batch in image_batches(paths, metric.min_size, files))
    matrix = lpips_tf.distance_matrix(metric, batches)
    error = standard_errors.of_all_pairs(matrix)
    return floats_of(matrix[np.triu_indices(len(matrix), 1)]), error


def mean_distance(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[float, float]:
    """The mean over all pairs of readable images, and its standard error."""
    batches = (batch for _, batch in image_batches(paths, metric.min_size, files))
    return lpips_tf.mean_pairwise_distance(metric, batches, return_standard_error=True)


def consecutive_distances(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[list[float], float]:
    """The distance of each readable image from the next, and the standard error of their mean.

    Each image is embedded once. A pair with an unreadable image is left out.
    """
    distances, starts = [], []
    last_index, last = -2, None
    for indices, batch in image_batches(paths, metric.min_size, files):
        for i, embedding in zip(indices, _numbers(metric.embed(batch)), strict=True):
            if i == last_index + 1:
                distances += floats_of(np.square(embedding - last).sum(keepdims=True))
                starts.append(last_index)
            last_index, last = i, embedding
    return distances, standard_errors.of_consecutive_pairs(distances, starts)


def _numbers(tensor: Any) -> np.ndarray:
    numbers: np.ndarray = keras.ops.convert_to_numpy(tensor)
    return numbers


def floats_of(distances: Any) -> list[float]:
    """Float32 numbers as Python's, with as many digits as float32 has."""
    return [short_float(distance) for distance in _numbers(distances)]
