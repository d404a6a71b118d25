"""Builds an index of image files, and searches it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

import lpips_tf
from lpips_tf._support.floats import short_float
from lpips_tf._support.sizes import Size
from lpips_tf.neighbors import Index, groups
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.reading.batches import one_size
from lpips_tf_cli.reading.image_files import ImageFiles

LANCZOS = "lanczos"  # the attribute of index files whose images --resize has resized


def index_images(
    metric: lpips_tf.LPIPS,
    folder: Path,
    names: Sequence[str],
    files: ImageFiles,
    side: int = 64,
    factory: str = "Flat",
    dimensions: int = 1024,
    seed: int = 0,
) -> Index:
    """An index of the readable images of a folder, resized as `files` says, or to squares.

    Raises:
        ValueError: no readable images, a size below the network's minimum, or what `Index.build`
            refuses.
        OSError: an image that cannot be read.
    """
    paths = [folder / name for name in names]
    if files.resizing:
        indices, size = one_size(paths, metric.min_size, files)
        resampling = Image.Resampling.LANCZOS
    else:
        if side < metric.min_size:
            raise ValueError(
                f"Expected --size of at least {metric.min_size} for this network. Received: {side}"
            )
        indices, size = list(range(len(paths))), (side, side)
        resampling = Image.Resampling.BICUBIC
    resized = _resized(paths, indices, size, files, resampling)
    readable = [names[i] for i in files.readable(len(names))]
    if not readable:
        raise ValueError(f"Expected images that can be read. Received: {len(names)} errors")
    with progress_bar("embedding") as progress:
        return Index.build(metric, resized, readable, dimensions, factory, seed, progress)


def save(index: Index, path: Path, files: ImageFiles) -> None:
    """Writes an index, with the size to which `find_nearest` resizes queries."""
    index.save(path)
    if files.resizing:
        with h5py.File(path, "r+") as file:
            file.attrs[LANCZOS] = True


def find_nearest(
    path: Path,
    queries: Sequence[Path],
    k: int,
    candidates: int,
    net: str | None,
    srgb: bool,
) -> list[tuple[str, str, float]]:
    """Query, name and distance of the nearest images in an index, the nearest first.

    Raises:
        ValueError: the index is of another network than `net`.
        OSError: as `Index.load` does, or a query cannot be read.
    """
    index = Index.load(path)
    if net not in (None, index.metric.net):
        raise ValueError(f"Expected an index of net={net}. Received: {path} of {index.metric.net}")
    with h5py.File(path, "r") as file:
        lanczos = LANCZOS in file.attrs
    resampling = Image.Resampling.LANCZOS if lanczos else Image.Resampling.BICUBIC
    places, size = range(len(queries)), index.images.shape[1:3]
    resized = _resized(queries, places, size, ImageFiles(srgb), resampling)
    nearest = index.search(resized, k, candidates)
    return [
        (str(query), index.names[i], short_float(distance))
        for query, distances, indices in zip(queries, *nearest, strict=True)
        for distance, i in zip(distances, indices, strict=True)
    ]


def find_duplicates(
    index: Index, threshold: float
) -> tuple[list[tuple[str, str, float]], list[list[str]]]:
    """Pairs of names with their distances, and the groups of names that they connect."""
    with progress_bar("comparing") as progress:
        pairs = list(index.pairs(threshold, progress))
    names = index.names
    named = [(names[i], names[j], float(f"{d:.8g}")) for i, j, d in pairs]
    return named, [[names[i] for i in group] for group in groups((i, j) for i, j, _ in pairs)]


def _resized(
    paths: Sequence[Path],
    indices: Sequence[int],
    size: Size,
    files: ImageFiles,
    resampling: Image.Resampling,
) -> np.ndarray:
    """The readable images of these indices, (n, H, W, 3) uint8."""

    def load(path: Path) -> np.ndarray:
        image = Image.fromarray(files.load(path))
        return np.asarray(image.resize(size[::-1], resampling))

    resized = np.empty((len(indices), *size, 3), np.uint8)
    count = 0
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress_bar("reading") as progress,
    ):
        loading = [pool.submit(load, paths[i]) for i in indices]
        try:
            for done, (i, image) in enumerate(zip(indices, loading, strict=True), 1):
                with files.reading(i):
                    resized[count] = image.result()
                    count += 1
                progress(done, len(indices))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return resized[:count]
