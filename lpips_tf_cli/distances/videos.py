"""Compares two videos under a progress bar, for `video`."""

from __future__ import annotations

import heapq
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import lpips_tf
from lpips_tf import video
from lpips_tf._support.resizing import Resizing, is_distorted
from lpips_tf._support.sizes import Size, check_min_size, shown_size
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.console.text import counted
from lpips_tf_cli.distances.pairs import floats_of, other_figures
from lpips_tf_cli.distances.summaries import mean_or_nan
from lpips_tf_cli.reading.videos import Video

NTSC = 0.002  # by how much 29.97 and 30 frames a second differ, about; within it no one is told


class Frame(NamedTuple):
    """A frame of both videos."""

    number: int
    distance: float
    reference: np.ndarray  # (H, W, 3) uint8
    image: np.ndarray


class ComparedVideos:
    """The figures of two videos' frames.

    Attributes:
        every: the step between frames.
        resized: the size that they were resized to; None if they were not.
        found: the distances.
        others: figures beside the distance, by name, of each frame.
        worst: frames with the largest distances, the largest first.
        errors: why a video ended early.
    """

    def __init__(self, every: int, resized: Size | None, others: Sequence[str]) -> None:
        self.every, self.resized = every, resized
        self.others: dict[str, list[float]] = {name: [] for name in others}
        self.worst: list[Frame] = []
        self.errors: list[str] = []
        self.found = video.VideoComparison(np.zeros(0, np.float32), np.zeros(0, np.float32))

    @property
    def distances(self) -> list[float]:
        """The distance of each frame."""
        return floats_of(self.found.distances)

    def frame_numbers(self) -> range:
        """The indices of the frames, from 0, in the videos."""
        return range(0, len(self.found.distances) * self.every, self.every)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Index, distance, temporal difference and other figures of each frame."""
        temporal = [None, *floats_of(self.found.temporal)]
        count = len(self.distances)
        size = [[shown_size(self.resized)] * count] if self.resized else []
        columns = self.distances, temporal, *self.others.values(), *size
        yield from zip(self.frame_numbers(), *columns, strict=True)

    def columns(self) -> tuple[str, ...]:
        """The names of what rows have."""
        resized = ["resized"] if self.resized else []
        return "frame", "distance", "temporal", *self.others, *resized

    def as_json(self) -> dict[str, Any]:
        """All as JSON has it, with None for NaN and infinity."""
        worst = self.found.worst
        numbers = {
            "mean": self.found.mean,
            "median": self.found.median,
            "tlpips": self.found.tlpips,
        }
        answer: dict[str, Any] = {"frames": len(self.distances)}
        answer |= {name: _finite(number) for name, number in numbers.items()}
        answer["worst"] = {
            "frame": self.frame_numbers()[worst],
            "distance": _finite(self.distances[worst]),
        }
        answer |= {name: _finite(mean_or_nan(values)) for name, values in self.others.items()}
        if self.every > 1:
            answer["every"] = self.every
        if self.resized:
            answer["resized"] = shown_size(self.resized)
        answer["distances"] = list(map(_finite, self.distances))
        answer["temporal"] = list(map(_finite, floats_of(self.found.temporal)))
        return answer

    def lines(self) -> Iterator[str]:
        """The summary, in lines of text."""
        found = self.found
        yield f"mean: {found.mean:.5f} ({counted(len(self.distances), 'frame')})"
        yield f"median: {found.median:.5f}"
        worst = self.frame_numbers()[found.worst]
        yield f"worst: {self.distances[found.worst]:.5f} (frame {worst})"
        if len(self.distances) > 1:
            yield f"tLPIPS: {found.tlpips:.5f}"
        for name, values in self.others.items():
            equal = sum(value == math.inf for value in values)
            yield f"mean of {name}: {mean_or_nan(values):.5f}" + (
                f" ({counted(equal, 'equal frame')})" if equal else ""
            )
        if self.resized:
            yield f"resized to: {shown_size(self.resized)}"


def compare_videos(
    metric: lpips_tf.LPIPS,
    videos: tuple[Video, Video],
    every: int = 1,
    shortest: bool = False,
    resizing: Resizing | None = None,
    others: Sequence[str] = (),
    keep: int = 0,
) -> ComparedVideos:
    """Compares two videos. If one ends early, up to there.

    Args:
        metric: a metric that gives distances, not maps.
        videos: the reference, and the video to compare with it.
        every: compare only frames whose index is a multiple of this.
        shortest: compare as many frames as the shorter video says it has.
        resizing: what frames are resized to.
        others: the figures beside the distance, from `psnr_ssim`.
        keep: how many of the worst frames to keep.

    Raises:
        ValueError: sizes or numbers of frames differ and no argument allows it, or no frame can be
            read.
    """
    size = _common_size(videos, metric.min_size, resizing)
    count = _common_count(videos, shortest)
    _warn_of_rates(videos)
    found = ComparedVideos(every, size if resizing else None, others)
    distances: list[np.ndarray] = []
    temporal: list[np.ndarray] = []
    with progress_bar("comparing", unit="frames") as progress:
        frames0, frames1 = (_first(v.read_ahead(every, size), -(-count // every)) for v in videos)
        for batch in video.compared_frames(metric, frames0, frames1, shortest=True):
            start = sum(map(len, distances)) * every
            _keep_worst(found, batch, start, keep)
            for name, values in other_figures(others, batch.frames0, batch.frames1).items():
                found.others[name] += values
            distances.append(batch.distances)
            temporal.append(batch.temporal)
            progress(sum(map(len, distances)), -(-count // every))
    found.found = video.VideoComparison(np.concatenate(distances), np.concatenate(temporal)[1:])
    found.worst.sort(key=lambda frame: (-_rank(frame.distance), frame.number))
    found.errors = [v.error for v in videos if v.error]
    return found


def _finite(number: float) -> float | None:
    """The number with the digits that float32 has, or None for NaN and infinity."""
    return float(f"{number:.8g}") if math.isfinite(number) else None


def _first(frames: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The first frames; the last is followed to the end of a video, which may be an error."""
    for number, frame in enumerate(frames):
        if number >= count:
            return
        yield frame


def _keep_worst(found: ComparedVideos, batch: video.Frames, start: int, keep: int) -> None:
    """Keeps the frames that differ most so far, with copies of their images."""
    candidates = found.worst + [
        Frame(start + place * found.every, distance, batch.frames0[place], batch.frames1[place])
        for place, distance in enumerate(floats_of(batch.distances))
    ]
    worst = heapq.nlargest(keep, candidates, key=lambda f: _rank(f.distance))
    # Copies, as a view would keep the whole batch.
    found.worst = [f._replace(reference=f.reference.copy(), image=f.image.copy()) for f in worst]


def _rank(distance: float) -> float:
    return math.inf if math.isnan(distance) else distance


def _common_size(videos: Sequence[Video], min_size: int, resizing: Resizing | None) -> Size:
    reference, other = videos
    if resizing:
        size = resizing.of_image(reference.size)
        if is_distorted(reference.size, other.size):
            warnings.warn(
                f"resizing distorts {other.path} of {shown_size(other.size)} pixels, as its "
                f"reference has {shown_size(reference.size)}",
                stacklevel=3,
            )
    elif reference.size != other.size:
        raise ValueError(
            "Expected videos of one size. "
            f"Received: {reference.path} of {shown_size(reference.size)} pixels and {other.path} "
            f"of {shown_size(other.size)}. To resize them, use --resize"
        )
    else:
        size = reference.size
    check_min_size(size, min_size, images="frames")
    return size


def _common_count(videos: Sequence[Video], shortest: bool) -> int:
    counts = [v.frames for v in videos]
    if counts[0] != counts[1] and not shortest:
        cut = "".join(f". {v.path} is cut off: {v.cut}" for v in videos if v.cut)
        raise ValueError(
            f"Expected as many frames of both videos. Received: {videos[0].path} with {counts[0]} "
            f"and {videos[1].path} with {counts[1]}{cut}. To compare those that both have, use "
            "--shortest"
        )
    return min(counts)


def _warn_of_rates(videos: Sequence[Video]) -> None:
    reference, other = videos
    if reference.rate and other.rate:
        frame = 1 / min(v.frames for v in videos)  # the last may count or not
        if abs(float(other.rate / reference.rate) - 1) > NTSC + 1.5 * frame:
            rates = [f"{float(v.rate):.4g}" for v in videos if v.rate]
            warnings.warn(
                f"{reference.path} has {rates[0]} frames a second, and {other.path} {rates[1]}. "
                "Frames are compared by their number",
                stacklevel=3,
            )
    if reference.step != other.step or abs(reference.start - other.start) > (
        0 if reference.first and other.first else 1  # files have no numbers
    ):
        warnings.warn(
            f"{_numbering(reference)}, and {_numbering(other)}. Frames are compared in their order",
            stacklevel=3,
        )


def _numbering(video: Video) -> str:
    if video.first is None:
        return f"{video.path} is a file"
    return f"{video.path} begins with {video.first} and counts in steps of {video.step}"
