"""Reads image files in batches of one size, decoded in the background."""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lpips_tf import images
from lpips_tf._support.image_batches import batch_length
from lpips_tf._support.resizing import Resizing, is_distorted
from lpips_tf._support.sizes import Size, check_min_size, shown_size
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.reading.image_files import ImageFiles


class Chunk(NamedTuple):
    """Items that are computed at once, as their images have, or are resized to, one size."""

    indices: Sequence[int]
    size: Size


def image_batches(
    paths: Sequence[Path], min_size: int, files: ImageFiles
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Indices and images (n, H, W, 3) of the readable files, in order."""
    indices, size = one_size(paths, min_size, files)
    with progress_bar("comparing") as progress:
        items = [(path,) for path in paths]
        for found, batch in decoded(in_chunks(indices, size), items, files):
            yield found, batch[:, 0]
            progress(found[-1] + 1, len(paths))


def one_size(paths: Sequence[Path], min_size: int, files: ImageFiles) -> tuple[list[int], Size]:
    """The indices of the images of one size, once resized, and this size.

    It is the size of the first image, or of most images if the others may be skipped.

    Raises:
        ValueError: no image can be read, or their size is below `min_size`.
    """
    sizes = {}
    for i, path in enumerate(paths):
        with files.reading(i):
            size = images.size(path)
            sizes[i] = files.resizing.of_image(size) if files.resizing else size
    if not sizes:
        raise ValueError(f"Expected images that can be read. Received: {len(files.errors)} errors")
    counts = collections.Counter(sizes.values())
    size = counts.most_common(1)[0][0] if files.skip_errors else next(iter(sizes.values()))
    first = next(i for i in sizes if sizes[i] == size)
    for i in sizes:
        with files.reading(i):
            _check_one_size(paths[first], size, paths[i], sizes[i], files.resizing)
    _check_min_size(paths[first], size, min_size)
    return [i for i in sizes if sizes[i] == size], size


def common_size(paths: Sequence[Path], min_size: int, files: ImageFiles | None = None) -> Size:
    """The size that all images have, or that `files` resizes a reference and the others to.

    Raises:
        ValueError: the sizes differ, or are below `min_size`. The message names the files.
    """
    return _common_size(paths, list(map(images.size, paths)), min_size, files)


def _common_size(
    paths: Sequence[Path], sizes: Sequence[Size], min_size: int, files: ImageFiles | None
) -> Size:
    """As `common_size`, given the sizes of the images."""
    size = reference = sizes[0]
    for path, other in zip(paths[1:], sizes[1:], strict=True):
        if files is None or files.resizing is None:
            _check_one_size(paths[0], reference, path, other, advise=files is not None)
        else:
            size = files.resizing.of_image(reference)
            if is_distorted(reference, other):
                files.distorted.append(
                    f"{path} of {shown_size(other)} pixels, of {shown_size(reference)}"
                )
    _check_min_size(paths[0], size, min_size)
    return size


def _check_one_size(
    path0: Path,
    size0: Size,
    path1: Path,
    size1: Size,
    resizing: Resizing | None = None,
    advise: bool = True,
) -> None:
    if size0 != size1:
        resized = "" if resizing is None else ", once resized"
        advice = ". To resize them, use --resize" if advise and resizing is None else ""
        raise ValueError(
            f"Expected images of one size{resized}. Received: {path0} of {shown_size(size0)} "
            f"pixels and {path1} of {shown_size(size1)}{advice}"
        )


def _check_min_size(path: Path, size: Size, min_size: int) -> None:
    check_min_size(size, min_size, received=f"{path} of {shown_size(size)} pixels")


def in_chunks(indices: Sequence[int], size: Size) -> Iterator[Chunk]:
    """The items, whose images have one size, in chunks that are computed at once."""
    length = batch_length(size)
    return (Chunk(indices[i : i + length], size) for i in range(0, len(indices), length))


def chunks_of_sizes(sizes: Mapping[int, Size]) -> Iterator[Chunk]:
    """The items in chunks, given the size of each item's images by its index."""
    groups = collections.defaultdict(list)
    for i, size in sizes.items():
        groups[size].append(i)
    for size, indices in groups.items():
        yield from in_chunks(indices, size)


def decoded(
    chunks: Iterable[Chunk], items: Sequence[Sequence[Path]], files: ImageFiles
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Indices and images (n, k, H, W, 3) of the readable items of each chunk; an item is k files.

    The next chunk is decoded meanwhile.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = (_loading(pool, chunk, items, files) for chunk in chunks)
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


def loaded(
    indices: Iterable[int],
    items: Sequence[Sequence[Path]],
    min_size: int,
    files: ImageFiles,
    most: int,
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Indices and images (H, W, 3) of the readable items, in order; sizes of items may differ.

    Unlike `decoded` it does not look at the sizes first. About `most` items, fewer if images are
    large, are decoded ahead.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = ((i, pool.submit(_loaded_item, items[i], min_size, files)) for i in indices)
        waiting: collections.deque[tuple[int, Future[list[np.ndarray]]]] = collections.deque()
        ahead = os.cpu_count() or 1
        try:
            while True:
                waiting.extend(itertools.islice(futures, max(0, ahead - len(waiting))))
                if not waiting:
                    return
                i, future = waiting.popleft()
                found = None
                with files.reading(i):
                    found = future.result()
                if found is not None:
                    ahead = batch_length(found[0].shape[:2], most)
                    yield i, found
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _loaded_item(paths: Sequence[Path], min_size: int, files: ImageFiles) -> list[np.ndarray]:
    """The images of an item, of one size."""
    found = [files.load(path) for path in paths]
    size = _common_size(paths, [image.shape[:2] for image in found], min_size, files)
    return [images.resize(image, size) for image in found]


def _loading(
    pool: ThreadPoolExecutor, chunk: Chunk, items: Sequence[Sequence[Path]], files: ImageFiles
) -> list[tuple[int, list[Future[np.ndarray]]]]:
    """The images of a chunk's items that are being decoded, each file once."""
    paths = dict.fromkeys(path for i in chunk.indices for path in items[i])
    size = chunk.size if files.resizing else None
    loading = {path: pool.submit(files.load, path, size) for path in paths}
    return [(i, [loading[path] for path in items[i]]) for i in chunk.indices]
