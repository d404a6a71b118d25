"""Distances between image files, under a progress bar."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

import lpips_tf
from lpips_tf import standard_errors
from lpips_tf._support.floats import short_float
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.distances.batches import decoded, image_batches, in_batches, same_size
from lpips_tf_cli.distances.image_files import ImageFiles

if TYPE_CHECKING:
    from lpips_tf import plots


def pair_distances(
    metric: lpips_tf.LPIPS,
    pairs: Sequence[tuple[Path, Path]],
    files: ImageFiles,
    see: Callable[[int, np.ndarray, plots.Comparison], None] | None = None,
    mask: np.ndarray | None = None,
) -> list[float]:
    """The distance of each readable pair, in order; the sizes of pairs may differ.

    Args:
        metric: a metric that gives distances, not maps.
        pairs: a reference and an image each.
        files: reads them.
        see: called with the index of each pair, its reference (H, W, 3) uint8, and the comparison
            of its image with that.
        mask: how much each pixel counts, (H, W), for images that all have its size.

    Raises:
        ValueError: no pair can be read, or a pair has another size than the mask.
    """
    groups = collections.defaultdict(list)
    for i, pair in enumerate(pairs):
        with files.reading(i):
            size = same_size(pair, metric.least_side)
            if mask is not None and size != mask.shape:
                raise ValueError(
                    f"Expected a mask of the images' size, {size[1]}x{size[0]} pixels. "
                    f"Received: {mask.shape[1]}x{mask.shape[0]}"
                )
            groups[size].append(i)
    chunks = (chunk for size, indices in groups.items() for chunk in in_batches(indices, size))
    distances: dict[int, float] = {}
    with progress_bar("comparing") as progress:
        for indices, batch in decoded(chunks, pairs, files):
            in0, in1 = batch.swapaxes(0, 1)
            masks = None if mask is None else np.broadcast_to(mask, in0.shape[:3])
            if see is None:
                found = metric(in0, in1, mask=masks)
            else:
                from lpips_tf import plots  # loads Matplotlib, which most commands do not need

                explanation = metric.explain(in0, in1, masks)
                found = explanation.distance
                names = [pairs[i][1].name for i in indices]
                compared = plots.comparisons(metric, explanation, in1, names)
                for i, reference, comparison in zip(indices, in0, compared, strict=True):
                    see(i, reference, comparison)
            distances.update(zip(indices, _floats(found), strict=True))
            progress(len(distances) + len(files.errors), len(pairs))
    if not distances:
        raise ValueError(f"Expected images that can be read. Received: {len(files.errors)} errors")
    return [distances[i] for i in sorted(distances)]


def all_distances(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[list[float], float]:
    """The distances of all pairs of readable images, and the standard error of their mean.

    Pairs are in the order of `itertools.combinations`.
    """
    batches = (batch for _, batch in image_batches(paths, metric.least_side, files))
    matrix = lpips_tf.distance_matrix(metric, batches)
    error = standard_errors.of_all_pairs(matrix)
    return _floats(matrix[np.triu_indices(len(matrix), 1)]), error


def mean_distance(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[float, float]:
    """The mean over all pairs of readable images, and its standard error."""
    batches = (batch for _, batch in image_batches(paths, metric.least_side, files))
    return lpips_tf.mean_pairwise_distance(metric, batches, return_standard_error=True)


def consecutive_distances(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[list[float], float]:
    """The distance of each readable image from the next, and the standard error of their mean.

    Each image is embedded once. A pair with an unreadable image is left out.
    """
    distances, starts = [], []
    last_index, last = -2, None
    for indices, batch in image_batches(paths, metric.least_side, files):
        for i, embedding in zip(indices, _numbers(metric.embed(batch)), strict=True):
            if i == last_index + 1:
                distances += _floats(np.square(embedding - last).sum(keepdims=True))
                starts.append(last_index)
            last_index, last = i, embedding
    return distances, standard_errors.of_consecutive_pairs(distances, starts)


def _numbers(tensor: Any) -> np.ndarray:
    numbers: np.ndarray = keras.ops.convert_to_numpy(tensor)
    return numbers


def _floats(distances: Any) -> list[float]:
    """Float32 numbers as Python's, with as many digits as float32 has."""
    return [short_float(distance) for distance in _numbers(distances)]
