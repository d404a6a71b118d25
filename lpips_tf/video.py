"""Compares videos: LPIPS of each frame, and tLPIPS of how the frames change.

tLPIPS is the mean of |d(x_t, x_t+1) - d(y_t, y_t+1)| over the frames x of a reference and y of a
video: how much a frame differs from the next, compared with the reference (`tLP` of Chu et al.,
"Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation", 2020). Noise that
flickers, and a video that stands still, have a high one.

Each frame is embedded once (`LPIPS.embed`), and all three distances follow from the embeddings, so
that a pair of frames costs two passes through the network instead of six.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from lpips_tf._support.arguments import check_count, check_flag, shown
from lpips_tf.metric import LPIPS, check_metric

VIDEO_PIXELS = 8 * 256 * 256  # of each video: VGG16's embeddings then take 256 MiB

_END = object()


class VideoComparison(NamedTuple):
    """The distances of two videos' frames."""

    distances: npt.NDArray[np.float32]  # (T,), of each two frames
    temporal: npt.NDArray[np.float32]  # (T - 1,), |d(x_t, x_t+1) - d(y_t, y_t+1)|

    @property
    def mean(self) -> float:
        """The mean distance."""
        return float(np.mean(self.distances, dtype=np.float64))

    @property
    def median(self) -> float:
        """The median distance."""
        return float(np.median(self.distances))

    @property
    def worst(self) -> int:
        """The index of the frame with the largest distance; of the first NaN, if there is one."""
        return int(np.argmax(self.distances))

    @property
    def tlpips(self) -> float:
        """tLPIPS; NaN of a single frame."""
        if not len(self.temporal):
            return float("nan")
        return float(np.mean(self.temporal, dtype=np.float64))


class Frames(NamedTuple):
    """Frames that follow each other, and their distances."""

    frames0: npt.NDArray[Any]  # (n, H, W, 3)
    frames1: npt.NDArray[Any]
    distances: npt.NDArray[np.float32]  # (n,)
    temporal: npt.NDArray[
        np.float32
    ]  # (n,), each frame's against the one before; NaN for the first


def compare(
    metric: LPIPS,
    frames0: Iterable[Any],
    frames1: Iterable[Any],
    *,
    shortest: bool = False,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VideoComparison:
    """Compares two videos frame by frame.

    Memory does not grow with their length.

    Args:
        metric: an `LPIPS`.
        frames0: an iterable of images (H, W, 3), uint8 or in the metric's `value_range`, such as a
            generator or an array (T, H, W, 3): the reference.
        frames1: the frames to compare with them, of the same size.
        shortest: compare as many frames as the shorter video has.
        batch_size: how many frames of each video are computed at once; by default as many as hold
            half a million pixels.
        progress: called as `progress(done, total)` after each batch; the total is negative unless
            both videos have a length.

    Returns:
        The distances, with `mean`, `median`, `worst` (an index) and `tlpips`. NaN for frames that
        have NaN or infinity.

    Raises:
        ValueError: no frames, frames of several sizes, more in one video than in the other without
            `shortest`, or what `metric.embed` refuses.

    Examples:
        >>> lpips_tf.video.compare(metric, frames0, frames1).tlpips
    """
    distances: list[npt.NDArray[np.float32]] = []
    temporal: list[npt.NDArray[np.float32]] = []
    done, total = 0, min(map(_length, (frames0, frames1)))
    for batch in compared_frames(
        metric, frames0, frames1, shortest=shortest, batch_size=batch_size
    ):
        distances.append(batch.distances)
        temporal.append(batch.temporal)
        done += len(batch.distances)
        if progress is not None:
            progress(done, total)
    return VideoComparison(np.concatenate(distances), np.concatenate(temporal)[1:])


def compared_frames(
    metric: LPIPS,
    frames0: Iterable[Any],
    frames1: Iterable[Any],
    *,
    shortest: bool = False,
    batch_size: int | None = None,
) -> Iterator[Frames]:
    """Yields frames and their distances batch by batch, where `compare` gives all at the end.

    The arguments and errors are those of `compare`.
    """
    check_metric(metric)
    check_flag("shortest", shortest)
    if batch_size is not None:
        check_count("batch_size", batch_size)
    previous: Any = None  # embeddings of the last frames of the batch before, (1, D) each
    for in0, in1 in _batches(_pairs(frames0, frames1, shortest), batch_size):
        embedded0, embedded1 = metric.embed(in0), metric.embed(in1)
        last = (embedded0[:1], embedded1[:1]) if previous is None else previous
        steps = [
            _squared_distances(keras.ops.concatenate([before, embedded[:-1]]), embedded)
            for before, embedded in zip(last, (embedded0, embedded1), strict=True)
        ]
        temporal = np.abs(steps[0] - steps[1])
        if previous is None:
            temporal[0] = np.nan
        yield Frames(in0, in1, _squared_distances(embedded0, embedded1), temporal)
        previous = embedded0[-1:], embedded1[-1:]
    if previous is None:
        raise ValueError("Expected at least one frame of each video. Received: none")


def _squared_distances(embeddings0: Any, embeddings1: Any) -> npt.NDArray[np.float32]:
    squares = keras.ops.square(embeddings0 - embeddings1)
    return np.array(keras.ops.convert_to_numpy(keras.ops.sum(squares, axis=1)))


def _pairs(
    frames0: Iterable[Any], frames1: Iterable[Any], shortest: bool
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """The frames of both videos, checked to be images of one shape."""
    shape: tuple[int, ...] | None = None
    dtypes: list[Any] = [None, None]
    iterators = [_iterator(frames) for frames in (frames0, frames1)]
    for number in itertools.count():
        pair = [next(iterator, _END) for iterator in iterators]
        if any(frame is _END for frame in pair):
            if not shortest and any(frame is not _END for frame in pair):
                ended = next(i for i, frame in enumerate(pair) if frame is _END)
                raise ValueError(
                    "Expected as many frames of each video, or shortest=True. "
                    f"Received: frames{ended} with {number}, and more of frames{1 - ended}"
                )
            return
        frames = [keras.ops.convert_to_numpy(frame) for frame in pair]
        for i, frame in enumerate(frames):
            received = f"Received: frames{i}[{number}] of shape {frame.shape} and {frame.dtype}"
            if frame.ndim != 3 or frame.shape[-1] not in (1, 3):
                raise ValueError(f"Expected frames (H, W, 3). {received}")
            shape, dtypes[i] = shape or frame.shape, dtypes[i] or frame.dtype
            if frame.shape != shape or frame.dtype != dtypes[i]:
                raise ValueError(
                    f"Expected all frames of shape {shape}, and those of a video of one dtype, "
                    f"here {dtypes[i]}. {received}"
                )
        yield frames[0], frames[1]


def _iterator(frames: Any) -> Iterator[Any]:
    if not isinstance(frames, Iterable) or isinstance(frames, (str, bytes)):
        raise ValueError(f"Expected an iterable of images (H, W, 3). Received: {shown(frames)}")
    return iter(frames)


def _length(frames: Any) -> int:
    try:
        return len(frames)
    except TypeError:  # of generators, and of data sets of unknown length
        return -1


def _batches(
    pairs: Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]], batch_size: int | None
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    for first in pairs:
        height, width = first[0].shape[:2]
        size = batch_size or max(1, VIDEO_PIXELS // max(height * width, 1))
        found = [first, *itertools.islice(pairs, size - 1)]
        frames0, frames1 = zip(*found, strict=True)
        yield np.stack(frames0), np.stack(frames1)
