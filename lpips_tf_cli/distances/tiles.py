"""Distances of images that are larger than memory, under a progress bar, for `pair --tile`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lpips_tf
from lpips_tf import tiling
from lpips_tf._support.sizes import shown_size
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.distances import tiff


def tiled_distances(
    metric: lpips_tf.LPIPS,
    reference: Path,
    images: Sequence[Path],
    tile: int,
    output: Path | None,
    srgb: bool,
) -> list[float]:
    """The distance of each image from the reference; the map of the last goes to `output`."""
    found = []
    with tiff.opened(reference, srgb) as in0:
        for path in images:
            with tiff.opened(path, srgb) as in1, progress_bar(path.name) as progress:
                _check_size(reference, in0.shape, path, in1.shape)
                if output is None:
                    found.append(tiling.tiled_distance(metric, in0, in1, tile, progress=progress))
                    continue
                with tiling.tiled_maps(metric, in0, in1, tile, progress) as (distance, rows):
                    tiff.write_map(output, in0.shape[:2], rows)
                found.append(distance)
    return found


def _check_size(
    reference: Path, shape0: tuple[int, ...], path: Path, shape1: tuple[int, ...]
) -> None:
    if shape0 != shape1:
        raise ValueError(
            "Expected images of one size. "
            f"Received: {reference} of {shown_size(shape0)} pixels and {path} of "
            f"{shown_size(shape1)}"
        )
