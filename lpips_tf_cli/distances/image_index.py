"""Builds an index of image files, and searches it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss  # noqa: F401, fails at once where FAISS is missing
import numpy as np
from PIL import Image

import lpips_tf
from lpips_tf._support.floats import short_float
from lpips_tf.neighbors import Index, groups
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.distances.image_files import ImageFiles


def index_images(
    metric: lpips_tf.LPIPS,
    folder: Path,
    names: Sequence[str],
    files: ImageFiles,
    size: int,
    factory: str = "Flat",
    dimensions: int = 1024,
    seed: int = 0,
) -> Index:
    """An index of the readable images of a folder, resized to squares.

    Raises:
        ValueError: no readable images, a `size` below the network's least, or as `Index.build`.
        OSError: an image that cannot be read.
    """
    if size < metric.least_side:
        raise ValueError(
            f"Expected --size of at least {metric.least_side} for this network. Received: {size}"
        )
    squares = _resized([folder / name for name in names], size, files)
    readable = [names[i] for i in files.readable(len(names))]
    if not readable:
        raise ValueError(f"Expected images that can be read. Received: {len(names)} errors")
    with progress_bar("embedding") as progress:
        return Index.build(metric, squares, readable, dimensions, factory, seed, progress)


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
    resized = _resized(queries, index.images.shape[1], ImageFiles(srgb))
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


def _resized(paths: Sequence[Path], size: int, files: ImageFiles) -> np.ndarray:
    """The readable images, (n, size, size, 3) uint8."""

    def load(path: Path) -> np.ndarray:
        image = Image.fromarray(files.load(path))
        return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))

    squares = np.empty((len(paths), size, size, 3), np.uint8)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress_bar("reading") as progress,
    ):
        loading = [pool.submit(load, path) for path in paths]
        try:
            for i, image in enumerate(loading):
                with files.reading(i):
                    squares[i - len(files.errors)] = image.result()
                progress(i + 1, len(paths))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return squares[: len(paths) - len(files.errors)]
