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
from lpips_tf import images, standard_errors
from lpips_tf_cli.image_files import ImageFiles
from lpips_tf_cli.program import counted

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
        folders = sum(path.is_dir() for path in folder.iterdir())
        searched = f", and {counted(folders, 'subfolder')}, not searched" if folders else ""
        raise ValueError(
            f"Expected a folder with at least {counted(least, 'image')}. "
            f"Received: {folder} with {counted(len(names), 'image')}{searched}"
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
            f"Received: {folder0} with {counted(len(names0), 'image')} such as {min(names0)}, "
            f"{folder1} with {len(names1)} such as {min(names1)}"
        )
    return Names(sorted(names0 & names1), sorted(names0 - names1), sorted(names1 - names0))


def pair_distances(
    metric: lpips_tf.LPIPS, pairs: Sequence[tuple[Path, Path]], files: ImageFiles
) -> list[float]:
    """The distance of each pair that can be read, in order; the sizes of pairs may differ."""
    groups = collections.defaultdict(list)
    for i, pair in enumerate(pairs):
        with files.reading(i):
            groups[same_size(pair, metric.least_side)].append(i)
    chunks = (chunk for size, indices in groups.items() for chunk in _in_batches(indices, size))
    distances: dict[int, float] = {}
    with progress(len(pairs)) as bar:
        for indices, batch in _decoded(chunks, pairs, files):
            in0, in1 = batch.swapaxes(0, 1)
            distances.update(zip(indices, _floats(metric(in0, in1)), strict=True))
            bar.update(bar.task_ids[0], completed=len(distances) + len(files.errors))
    return [distances[i] for i in sorted(distances)]


def all_distances(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[list[float], float]:
    """The distances of all pairs of readable images, in the order of `itertools.combinations`, and
    the standard error of their mean.
    """
    batches = (batch for _, batch in _image_batches(paths, metric.least_side, files))
    matrix = lpips_tf.distance_matrix(metric, batches)
    error = standard_errors.of_all_pairs(matrix)
    return _floats(matrix[np.triu_indices(len(matrix), 1)]), error


def mean_distance(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[float, float]:
    """The mean over all pairs of readable images, and its standard error."""
    batches = (batch for _, batch in _image_batches(paths, metric.least_side, files))
    return lpips_tf.mean_pairwise_distance(metric, batches, return_standard_error=True)


def consecutive_distances(
    metric: lpips_tf.LPIPS, paths: Sequence[Path], files: ImageFiles
) -> tuple[list[float], float]:
    """The distance of each image from the next, where both can be read, each embedded once; and the
    standard error of their mean.
    """
    distances, starts = [], []
    last_index, last = -2, None
    for indices, batch in _image_batches(paths, metric.least_side, files):
        for i, embedding in zip(indices, _numbers(metric.embed(batch)), strict=True):
            if i == last_index + 1:
                distances += _floats(np.square(embedding - last).sum(keepdims=True))
                starts.append(last_index)
            last_index, last = i, embedding
    return distances, standard_errors.of_consecutive_pairs(distances, starts)


def _image_batches(
    paths: Sequence[Path], least_side: int, files: ImageFiles
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Indices and images (n, H, W, 3) of the readable files, in order."""
    indices, size = _of_one_size(paths, least_side, files)
    with progress(len(paths)) as bar:
        items = [(path,) for path in paths]
        for found, batch in _decoded(_in_batches(indices, size), items, files):
            yield found, batch[:, 0]
            bar.update(bar.task_ids[0], completed=found[-1] + 1)


def _of_one_size(
    paths: Sequence[Path], least_side: int, files: ImageFiles
) -> tuple[list[int], tuple[int, int]]:
    """The indices of the images of one (height, width), and that: the one of most images if others
    may be skipped.

    Raises:
        ValueError: no image can be read, or their size is below `least_side`.
    """
    sizes = {}
    for i, path in enumerate(paths):
        with files.reading(i):
            sizes[i] = images.size(path)
    if not sizes:
        raise ValueError(f"Expected images that can be read. Received: {len(files.errors)} errors")
    counts = collections.Counter(sizes.values())
    size = counts.most_common(1)[0][0] if files.skip_errors else next(iter(sizes.values()))
    first = next(i for i in sizes if sizes[i] == size)
    for i in sizes:
        with files.reading(i):
            _check_one_size(paths[first], size, paths[i], sizes[i])
    _check_least_side(paths[first], size, least_side)
    return [i for i in sizes if sizes[i] == size], size


def same_size(paths: tuple[Path, Path], least_side: int) -> tuple[int, int]:
    """The (height, width) that both images have.

    Raises:
        ValueError: two sizes, both of which are named, or one below `least_side`.
    """
    size0, size1 = map(images.size, paths)
    _check_one_size(paths[0], size0, paths[1], size1)
    _check_least_side(paths[0], size0, least_side)
    return size0


def _check_one_size(
    path0: Path, size0: tuple[int, int], path1: Path, size1: tuple[int, int]
) -> None:
    if size0 != size1:
        raise ValueError(
            "Expected images of one size. "
            f"Received: {path0} of {_shown(size0)} pixels and {path1} of {_shown(size1)}"
        )


def _check_least_side(path: Path, size: tuple[int, int], least_side: int) -> None:
    if min(size) < least_side:
        raise ValueError(
            f"Expected images of at least {least_side}x{least_side} pixels for this network. "
            f"Received: {path} of {_shown(size)} pixels"
        )


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _in_batches(items: Sequence[T], size: tuple[int, int]) -> Iterator[Sequence[T]]:
    length = max(1, BATCH_PIXELS // (size[0] * size[1]))
    return (items[i : i + length] for i in range(0, len(items), length))


def _decoded(
    chunks: Iterable[Sequence[int]], items: Sequence[Sequence[Path]], files: ImageFiles
) -> Iterator[tuple[list[int], np.ndarray]]:
    """For each chunk of items, each of k files, the indices of those that can be read and an array
    (n, k, H, W, 3), while the next chunk is being decoded.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = (
            [(i, [pool.submit(files.load, path) for path in items[i]]) for i in chunk]
            for chunk in chunks
        )
        waiting: collections.deque = collections.deque(itertools.islice(futures, 2))
        try:
            while waiting:
                found = {}
                for i, loading in waiting.popleft():
                    with files.reading(i):
                        found[i] = [image.result() for image in loading]
                waiting.extend(itertools.islice(futures, 1))
                if found:
                    yield list(found), np.array(list(found.values()))
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
