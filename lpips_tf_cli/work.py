"""Distances between image files: read in batches of one size, decoded in the background, under a
progress bar.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import lpips_tf
from lpips_tf import images

T = TypeVar("T")
BATCH_PIXELS = 32 * 256 * 256  # the features of VGG16, the largest network, then take about 1 GiB


class Names(NamedTuple):
    """Image names of two folders, sorted."""

    common: list[str]
    only0: list[str]
    only1: list[str]


def image_names(folder: Path, least: int) -> list[str]:
    """The images in a folder, sorted.

    Raises:
        ValueError: fewer than `least`.
    """
    names = images.list_folder(folder)
    if len(names) < least:
        raise ValueError(
            f"Expected a folder with at least {least} image{'s' if least > 1 else ''}. "
            f"Received: {folder} with {len(names)}"
        )
    return names


def common_names(folder0: Path, folder1: Path) -> Names:
    """The image names of both folders.

    Raises:
        ValueError: a folder without images, or no common name.
    """
    names0, names1 = set(image_names(folder0, 1)), set(image_names(folder1, 1))
    if not names0 & names1:
        raise ValueError(
            "Expected images with the same name in both folders. "
            f"Received: {folder0} with {len(names0)} images such as {min(names0)}, "
            f"{folder1} with {len(names1)} such as {min(names1)}"
        )
    return Names(sorted(names0 & names1), sorted(names0 - names1), sorted(names1 - names0))


def pair_distances(metric: lpips_tf.LPIPS, pairs: Sequence[tuple[Path, Path]]) -> list[float]:
    """The distance of each pair of files; the sizes of different pairs may differ."""
    groups = collections.defaultdict(list)
    for i, pair in enumerate(pairs):
        groups[same_size(pair, metric.least_side)].append(i)
    chunks = [chunk for size, indices in groups.items() for chunk in _in_batches(indices, size)]
    files = ([path for i in chunk for path in pairs[i]] for chunk in chunks)
    distances = [0.0] * len(pairs)
    with progress(len(pairs)) as bar:
        for chunk, batch in zip(chunks, _decoded(files), strict=True):
            for i, distance in zip(chunk, _floats(metric(batch[0::2], batch[1::2])), strict=True):
                distances[i] = distance
            bar.advance(bar.task_ids[0], len(chunk))
    return distances


def all_distances(metric: lpips_tf.LPIPS, folder: Path, names: Sequence[str]) -> list[float]:
    """The distances of all pairs, in the order of `itertools.combinations(names, 2)`."""
    matrix = lpips_tf.distance_matrix(metric, _image_batches(folder, names, metric.least_side))
    return _floats(matrix[np.triu_indices(len(names), 1)])


def mean_distance(metric: lpips_tf.LPIPS, folder: Path, names: Sequence[str]) -> float:
    """The mean over all pairs."""
    return lpips_tf.mean_pairwise_distance(metric, _image_batches(folder, names, metric.least_side))


def consecutive_distances(
    metric: lpips_tf.LPIPS, folder: Path, names: Sequence[str]
) -> list[float]:
    """The distance of each image from the next, each embedded once."""
    distances: list[float] = []
    last = None
    for batch in _image_batches(folder, names, metric.least_side):
        embeddings = _numbers(metric.embed(batch))
        if last is not None:
            embeddings = np.concatenate([last, embeddings])
        distances += _floats(np.square(np.diff(embeddings, axis=0)).sum(axis=1))
        last = embeddings[-1:]
    return distances


def _image_batches(folder: Path, names: Sequence[str], least_side: int) -> Iterator[np.ndarray]:
    paths = [folder / name for name in names]
    size = same_size(paths, least_side)
    with progress(len(paths)) as bar:
        for batch in _decoded(_in_batches(paths, size)):
            yield batch
            bar.advance(bar.task_ids[0], len(batch))


def same_size(paths: Iterable[Path], least_side: int) -> tuple[int, int]:
    """The (height, width) that all the images have.

    Raises:
        ValueError: two sizes, both of which are named, or one below `least_side`.
    """
    sizes = ((path, images.size(path)) for path in paths)
    first, (height, width) = next(sizes)
    for path, size in sizes:
        if size != (height, width):
            raise ValueError(
                "Expected images of one size. "
                f"Received: {first} of {width}x{height} pixels and {path} of {size[1]}x{size[0]}"
            )
    if min(height, width) < least_side:
        raise ValueError(
            f"Expected images of at least {least_side}x{least_side} pixels for this network. "
            f"Received: {first} of {width}x{height} pixels"
        )
    return height, width


def _in_batches(items: Sequence[T], size: tuple[int, int]) -> Iterator[Sequence[T]]:
    length = max(1, BATCH_PIXELS // (size[0] * size[1]))
    return (items[i : i + length] for i in range(0, len(items), length))


def _decoded(batches: Iterable[Sequence[Path]]) -> Iterator[np.ndarray]:
    """Each batch of files as an array (n, H, W, 3), while the next one is being decoded."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = ([pool.submit(images.load, path) for path in batch] for batch in batches)
        waiting: collections.deque = collections.deque(itertools.islice(futures, 2))
        try:
            while waiting:
                batch = np.stack([image.result() for image in waiting.popleft()])
                waiting.extend(itertools.islice(futures, 1))
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def _floats(distances) -> list[float]:
    """Float32 numbers as Python's, with as many digits as float32 has."""
    return [float(str(distance)) for distance in _numbers(distances)]


@contextlib.contextmanager
def progress(count: int, description: str = "comparing") -> Iterator[Progress]:
    """A progress bar with one task, on standard error and only on a terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task(description, total=count)
    with bar if sys.stderr.isatty() else contextlib.nullcontext():
        yield bar
