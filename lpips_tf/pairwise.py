"""Distances between all images of a set, from one backbone pass per image.

`d(x, y) = ‖e(x) - e(y)‖²` for the embedding e (`LPIPS.embed`), so every pair follows from the
products of embeddings, and the mean over all pairs from their sum and the sum of their squared
norms alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, overload

import keras
import numpy as np
import numpy.typing as npt

from lpips_tf._backend.execution import is_traced
from lpips_tf._support.arguments import check_count, shown
from lpips_tf._support.image_batches import two_sizes
from lpips_tf.metric import LPIPS, check_metric
from lpips_tf.standard_errors import jackknife

BLOCK_ROWS = 512  # embeddings on each side of a block of the product
MOST_GROUPS, FEWEST_GROUPS = 1000, 10  # of images, for the mean's standard error
GROUPS_BYTES = 2**29  # of their sums
BLOCK_COLUMNS = 8192  # numbers of each embedding taken at a time: blocks of 32 MiB in float64


def distance_matrix(
    metric: LPIPS, images: Any, others: Any = None, *, batch_size: int = 32, max_memory: int = 2**30
) -> npt.NDArray[Any]:
    """The distance between each of `images` and each of `others`, or of `images` itself.

    Products of embeddings are summed in float64, so distances of near-duplicates keep their digits.

    Args:
        metric: an `LPIPS`.
        images: array (N, H, W, 3) or a sequence of N images (H, W, 3), uint8 or in the metric's
            `value_range`; or an iterable of images or of batches, such as a `tf.data.Dataset`.
        others: the same with M images of the same size; None for `images`.
        batch_size: how many images are embedded at a time.
        max_memory: bytes of embeddings (4 for each number, or 8) that are kept in memory; those
            of a larger set go through a temporary file, in the folder that `tempfile.gettempdir()`
            names.

    Returns:
        (N, N) or (N, M), of the dtype of embeddings: float32, or float64 if that is the metric's;
        with `others=None` symmetric and 0 on the diagonal. NaN for images that have NaN or
        infinity, on the diagonal too.

    Raises:
        ValueError: no images, images of several sizes, or what `metric.embed` refuses.
        OSError: the temporary file does not fit on the disk.
    """
    check_metric(metric)
    check_count("max_memory", max_memory, least=0)
    rows_source = _Batches(images, batch_size)
    rows = columns = _stored_embeddings(metric, rows_source, max_memory)
    if others is not None:
        columns = _stored_embeddings(
            metric, _Batches(others, batch_size, rows_source.image_shape), max_memory
        )
    distances = np.empty((len(rows), len(columns)), rows.dtype)
    for i in range(0, len(rows), BLOCK_ROWS):
        for j in range(i if others is None else 0, len(columns), BLOCK_ROWS):
            block_rows = rows[i : i + BLOCK_ROWS]
            on_diagonal = others is None and i == j
            block_columns = block_rows if on_diagonal else columns[j : j + BLOCK_ROWS]
            block = _squared_distances(block_rows, block_columns)
            distances[i : i + BLOCK_ROWS, j : j + BLOCK_ROWS] = block
            if others is None and j > i:
                distances[j : j + BLOCK_ROWS, i : i + BLOCK_ROWS] = block.T
    if others is None:
        np.fill_diagonal(distances, 0 * distances.diagonal())  # NaN stays
    return distances


@overload
def mean_pairwise_distance(
    metric: LPIPS,
    images: Any,
    *,
    batch_size: int = ...,
    return_standard_error: Literal[False] = ...,
) -> float: ...
@overload
def mean_pairwise_distance(
    metric: LPIPS, images: Any, *, batch_size: int = ..., return_standard_error: Literal[True]
) -> tuple[float, float]: ...
def mean_pairwise_distance(
    metric: LPIPS, images: Any, *, batch_size: int = 32, return_standard_error: bool = False
) -> float | tuple[float, float]:
    """The mean distance over all pairs of distinct images.

    It is the usual measure of a generator's diversity. One pass computes it, in memory that does
    not grow with the number of images: with S = Σe and Q = Σ‖e‖² over N embeddings, the mean over
    pairs is 2 (N Q - ‖S‖²) / (N (N - 1)).

    Args:
        metric: an `LPIPS`.
        images: as for `distance_matrix`.
        batch_size: how many images are embedded at a time; batches from an iterable keep their
            size.
        return_standard_error: also return the mean's standard error for images drawn independently,
            by a jackknife that leaves out one image at a time. Large sets are divided into 10 to
            1,000 groups, as many as fit in 512 MiB, and one group at a time is left out: image i is
            in group i modulo the number of groups.

    Returns:
        The mean, never negative; NaN if an image has NaN or infinity. With `return_standard_error`
        (mean, error); the error is NaN for fewer than three images.

    Raises:
        ValueError: fewer than two images, images of several sizes, or what `metric.embed` refuses.
    """
    check_metric(metric)
    moments = _Moments(most_groups=MOST_GROUPS if return_standard_error else 1)
    for embeddings in _embeddings(metric, _Batches(images, batch_size)):
        moments.add(embeddings)
    mean = moments.mean()
    return (mean, moments.standard_error()) if return_standard_error else mean


def mean_of_pairs(count: int, total: npt.NDArray[np.float64], squares: float) -> float:
    """The mean of `‖e_i - e_j‖²` over all pairs of embeddings, from two sums over them.

    Args:
        count: the number of embeddings.
        total: their sum, (D,).
        squares: the sum of their squared norms.

    Returns:
        The mean, never negative; NaN if an embedding is.

    Raises:
        ValueError: fewer than two embeddings.
    """
    if count < 2:
        raise ValueError(f"Expected at least two images. Received: {count}")
    mean = 2 * (count * squares - float(np.dot(total, total))) / (count * (count - 1))
    return float(np.maximum(mean, 0))  # Python's `max` would take NaN for 0


class _Moments:
    """Sums over embeddings and over their squared norms, of each of several groups."""

    def __init__(self, most_groups: int) -> None:
        self._most_groups = most_groups
        self._count = 0
        self._reset(1, 1)

    def add(self, embeddings: npt.NDArray[Any]) -> None:
        if not self._count:
            groups = GROUPS_BYTES // (8 * embeddings.shape[1])
            groups = min(max(groups, FEWEST_GROUPS), self._most_groups)
            self._reset(groups, embeddings.shape[1])
        for embedding in embeddings:
            group = self._count % len(self._totals)
            self._totals[group] += embedding
            self._squares[group] += np.einsum("d,d", embedding, embedding, dtype=np.float64)
            self._counts[group] += 1
            self._count += 1

    def _reset(self, groups: int, length: int) -> None:
        self._totals = np.zeros((groups, length))
        self._squares = np.zeros(groups)
        self._counts = np.zeros(groups, int)

    def mean(self) -> float:
        return mean_of_pairs(self._count, self._totals.sum(axis=0), self._squares.sum())

    def standard_error(self) -> float:
        if self._count < 3:
            return float("nan")
        total, squares = self._totals.sum(axis=0), self._squares.sum()
        used = self._counts > 0
        groups = zip(self._counts[used], self._totals[used], self._squares[used], strict=True)
        left_out = [
            mean_of_pairs(self._count - number, total - of_group, squares - squared)
            for number, of_group, squared in groups
        ]
        return jackknife(np.array(left_out))


class _Batches:
    """Batches (n, H, W, 3) of a set of images of one shape."""

    def __init__(
        self, images: Any, batch_size: int, image_shape: tuple[int, ...] | None = None
    ) -> None:
        check_count("batch_size", batch_size)
        if not (hasattr(images, "shape") or isinstance(images, Iterable)):
            raise ValueError(f"Expected images (N, H, W, 3). Received: {shown(images)}")
        if hasattr(images, "shape"):
            _refuse_traced(images)
        self._images, self._batch_size = images, batch_size
        self.image_shape = image_shape

    def __iter__(self) -> Iterator[Any]:
        for batch in self._slices() if hasattr(self._images, "shape") else self._groups():
            shape = tuple(batch.shape[1:])
            if shape != (self.image_shape or shape):
                raise two_sizes(self.image_shape, shape)
            self.image_shape = shape
            yield batch

    def _slices(self) -> Iterator[Any]:
        for i in range(0, len(self._images), self._batch_size):
            yield self._images[i : i + self._batch_size]

    def _groups(self) -> Iterator[Any]:
        """An iterable's images in its order: batches as they are, single images collected."""
        waiting: list[Any] = []
        for element in self._images:
            rank = len(element.shape) if hasattr(element, "shape") else None
            if rank not in (3, 4):
                raise ValueError(
                    "Expected images (H, W, 3) or batches (N, H, W, 3). Received: "
                    + (f"shape {tuple(element.shape)}" if rank is not None else shown(element))
                )
            _refuse_traced(element)
            if rank == 3:
                waiting.append(element)
            if waiting and (rank == 4 or len(waiting) == self._batch_size):
                yield self._stacked(waiting)
                waiting = []
            if rank == 4:
                yield element
        if waiting:
            yield self._stacked(waiting)

    def _stacked(self, images: Sequence[Any]) -> npt.NDArray[Any]:
        arrays = [keras.ops.convert_to_numpy(image) for image in images]
        if shapes := sorted({array.shape for array in arrays} - {arrays[0].shape}):
            raise two_sizes(arrays[0].shape, shapes[0])
        return np.stack(arrays)


def _refuse_traced(images: Any) -> None:
    if is_traced(images):
        raise ValueError(
            "Expected arrays of numbers, as NumPy computes these distances. Received: "
            f"{type(images).__name__} in a function that is being traced. Call it outside, or use "
            "metric.embed"
        )


def _embeddings(metric: LPIPS, batches: _Batches) -> Iterator[npt.NDArray[Any]]:
    for batch in batches:
        yield keras.ops.convert_to_numpy(metric.embed(batch))


def _stored_embeddings(metric: LPIPS, batches: _Batches, max_memory: int) -> npt.NDArray[Any]:
    """All embeddings (N, D): in memory or, past `max_memory` bytes, in a temporary file.

    The file goes when the array does.
    """
    parts: list[npt.NDArray[Any]] = []
    length = used = 0
    file = None
    for part in _embeddings(metric, batches):
        length, used = part.shape[1], used + part.nbytes
        if file is None and used > max_memory:
            file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
            file.writelines(earlier.tobytes() for earlier in parts)
            parts.clear()
        if file is None:
            parts.append(part)
        else:
            file.write(part.tobytes())
    if not used:
        raise ValueError("Expected at least one image. Received: none")
    if file is None:
        return np.concatenate(parts)
    with file:  # the memory map keeps the unnamed file alive
        file.flush()
        return np.memmap(file, part.dtype, "r").reshape(-1, length)


def _squared_distances(
    rows: npt.NDArray[Any], columns: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """‖r‖² + ‖c‖² - 2 r·c for each row r and column c, summed in float64 and never negative."""
    distances = np.zeros((len(rows), len(columns)))
    for part in _column_blocks(rows):
        r = rows[:, part].astype(np.float64)
        # BLAS halves the work of r @ r.T.
        c = r if columns is rows else columns[:, part].astype(np.float64)
        distances += _squared_norms(r)[:, None] + _squared_norms(c) - 2 * (r @ c.T)
    return np.maximum(distances, 0)


def _column_blocks(embeddings: npt.NDArray[Any]) -> list[slice]:
    return [slice(i, i + BLOCK_COLUMNS) for i in range(0, embeddings.shape[1], BLOCK_COLUMNS)]


def _squared_norms(embeddings: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    norms: npt.NDArray[np.float64] = np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64)
    return norms
