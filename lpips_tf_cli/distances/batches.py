"""Reads image files in batches of one size, decoded in the background."""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from lpips_tf import images
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.distances.image_files import ImageFiles

T = TypeVar("T")
BATCH_PIXELS = 32 * 256 * 256  # the features of VGG16, the largest network, then take about 1 GiB


def image_batches(
    paths: Sequence[Path], least_side: int, files: ImageFiles
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Indices and images (n, H, W, 3) of the readable files, in order."""
    indices, size = _of_one_size(paths, least_side, files)
    with progress_bar("comparing") as progress:
        items = [(path,) for path in paths]
        for found, batch in decoded(in_batches(indices, size), items, files):
            yield found, batch[:, 0]
            progress(found[-1] + 1, len(paths))


def _of_one_size(
    paths: Sequence[Path], least_side: int, files: ImageFiles
) -> tuple[list[int], tuple[int, int]]:
    """The indices of the images of one size, and this (height, width).

    It is the size of the first image, or of most images if the others may be skipped.

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
        ValueError: the sizes differ, or are below `least_side`. The message names both files.
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


def in_batches(items: Sequence[T], size: tuple[int, int]) -> Iterator[Sequence[T]]:
    """The items in batches that hold about `BATCH_PIXELS` pixels of images of one size."""
    length = max(1, BATCH_PIXELS // (size[0] * size[1]))
    return (items[i : i + length] for i in range(0, len(items), length))


def decoded(
    chunks: Iterable[Sequence[int]], items: Sequence[Sequence[Path]], files: ImageFiles
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Indices and images (n, k, H, W, 3) of the readable items of each chunk; an item is k files.

    The next chunk is decoded meanwhile.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = (
            [(i, [loading[path] for path in items[i]]) for i in chunk]
            for chunk in chunks
            for loading in [_loading(pool, files, (path for i in chunk for path in items[i]))]
        )
        waiting = collections.deque(itertools.islice(futures, 2))
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


def _loading(
    pool: ThreadPoolExecutor, files: ImageFiles, paths: Iterable[Path]
) -> dict[Path, Future[np.ndarray]]:
    """Images that are being decoded, by path."""
    return {path: pool.submit(files.load, path) for path in dict.fromkeys(paths)}
