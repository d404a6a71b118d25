"""Reads videos: files that FFmpeg reads, by PyAV, and folders of numbered frames."""

from __future__ import annotations

import abc
import contextlib
import itertools
import re
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lpips_tf import images
from lpips_tf._support.resizing import Size, shown
from lpips_tf_cli.console.imports import extra
from lpips_tf_cli.reading.image_files import ImageFiles

AHEAD = 16  # frames that are read while others are compared
TOLERANCE = 0.1  # seconds by which durations are rounded


class Video(abc.ABC):
    """Frames of one size, in order.

    Attributes:
        path: of the file or folder.
        frames: their number, as far as the file says without decoding it.
        rate: frames a second; None for a folder.
        size: their (height, width).
        first: the name of the first frame of a folder; None for a file.
        error: why reading ended early; None where it did not.
    """

    path: Path
    frames: int
    rate: Fraction | None
    size: Size
    first: str | None = None
    error: str | None = None

    @abc.abstractmethod
    def read(self, every: int) -> Generator[np.ndarray, None, None]:
        """Yields each frame whose index `every` divides, (H, W, 3) uint8."""

    def read_ahead(self, every: int, size: Size) -> Iterator[np.ndarray]:
        """Yields the frames resized to a size, which are read in the background."""

        def batch() -> list[np.ndarray]:
            return [images.resize(f, size) for f in itertools.islice(frames, AHEAD)]

        # The pool is left first, as a generator cannot be closed while it runs.
        with contextlib.closing(self.read(every)) as frames, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(batch)
            while found := waiting.result():
                waiting = pool.submit(batch)
                yield from found


class FrameFolder(Video):
    """A folder of images, whose names have numbers.

    Raises:
        ValueError: there are no images, or their numbers are missing or uneven.
        OSError: the first image cannot be read.
    """

    rate = None

    def __init__(self, path: Path, files: ImageFiles) -> None:
        self.path, self._files = path, files
        self._paths = [path / name for name in _in_order(path, images.list_folder(path))]
        self.frames = len(self._paths)
        self.size = images.size(self._paths[0])
        self.first = self._paths[0].name

    def read(self, every: int) -> Generator[np.ndarray, None, None]:
        """Yields each frame whose index `every` divides."""
        for path in self._paths[::every]:
            try:
                frame = self._files.load(path)
            except OSError as error:
                self.error = str(error)
                return
            _check_size(path, frame, self.size)
            yield frame


class VideoFile(Video):
    """The first video stream of a file.

    Raises:
        OSError: the file is missing, or FFmpeg cannot read it.
        ValueError: it has no video stream, or no frames.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as (container, stream):
            self.rate = stream.average_rate
            self.frames, self._cut = stream.frames, None
            if not self.frames:  # some formats, such as Matroska, do not have their number
                self.frames, self._cut = _counted(container, stream)
        first = next(self.read(1), None)
        if first is None:
            raise ValueError(
                f"Expected a video with frames. Received: {path} without any"
                + (f" ({self.error})" if self.error else "")
            )
        self.size = first.shape[:2]
        self.error = None

    def read(self, every: int) -> Generator[np.ndarray, None, None]:
        """Yields each frame whose index `every` divides, upright, in RGB."""
        av = _pyav()
        count = 0
        with self._opened() as (container, stream):
            stream.thread_type = "AUTO"
            try:
                for count, frame in enumerate(container.decode(stream), 1):
                    if frame.is_corrupt:
                        self.error = f"{self.path}: frame {count - 1} is damaged"
                        return
                    if (count - 1) % every == 0:
                        yield self._upright(frame)
            except av.error.FFmpegError as error:
                self.error = f"{self.path}: cannot read past frame {count - 1}: {_reason(error)}"
                return
        if count < self.frames:
            self.error = f"{self.path} ends after {count} of {self.frames} frames"
        elif self._cut:
            self.error = f"{self.path} ends after {count} frames, {self._cut}"

    def _upright(self, frame: Any) -> np.ndarray:
        array = frame.to_ndarray(format="rgb24")
        upright = np.rot90(array, frame.rotation // 90)
        if hasattr(self, "size"):
            _check_size(self.path, upright, self.size)
        return np.ascontiguousarray(upright)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        av = _pyav()
        try:
            container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError) as error:
            raise OSError(f"Cannot read the video {self.path}: {_reason(error)}") from error
        with container:
            if not container.streams.video:
                raise ValueError(f"Expected a video stream. Received: {self.path} without one")
            yield container, container.streams.video[0]


def open_video(path: Path, files: ImageFiles) -> Video:
    """The video in a file or a folder.

    Raises:
        FileNotFoundError: there is neither.
        OSError, ValueError: as `VideoFile` and `FrameFolder`.
    """
    if not path.exists():
        raise FileNotFoundError(f"Expected a video or a folder of frames. There is none at {path}")
    return FrameFolder(path, files) if path.is_dir() else VideoFile(path)


def _pyav() -> Any:
    with extra("video", "video"):
        import av

    return av


def _counted(container: Any, stream: Any) -> tuple[int, str | None]:
    """The number of frames in a file and, where it ends before its time, how much before."""
    packets = [packet for packet in container.demux(stream) if packet.size]
    ends = [(p.pts + (p.duration or 0)) * p.time_base for p in packets if p.pts is not None]
    duration = _duration(stream)
    if not ends or not duration or not stream.average_rate:
        return len(packets), None
    start = (stream.start_time or 0) * stream.time_base
    missing = float(start + duration - max(ends))
    early = missing > 2 / stream.average_rate + TOLERANCE
    return len(packets), f"{missing:.1f} seconds before its end" if early else None


def _duration(stream: Any) -> Fraction | None:
    """The seconds that a stream says it lasts: by its header, or Matroska's tag."""
    if stream.duration:
        return Fraction(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    hours, minutes, seconds = map(Fraction, tag.groups())
    return 3600 * hours + 60 * minutes + seconds


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error)


def _check_size(path: Path, frame: np.ndarray, size: Size) -> None:
    if frame.shape[:2] != size:
        raise ValueError(
            f"Expected frames of one size, {shown(size)}. "
            f"Received: {path} of {shown(frame.shape[:2])}"
        )


def _in_order(folder: Path, names: list[str]) -> list[str]:
    """The names by their last number, which must be evenly spaced: a frame may be missing."""
    numbers: dict[int, str] = {}
    for name in names:
        found = re.findall(r"[0-9]+", Path(name).stem, re.ASCII)
        if not found:
            raise ValueError(f"Expected numbered frames in {folder}. Received: {name}")
        if (other := numbers.get(int(found[-1]))) is not None:
            raise ValueError(f"Expected one frame of each number. Received: {other} and {name}")
        numbers[int(found[-1])] = name
    if not numbers:
        raise ValueError(f"Expected a folder of numbered frames. Received: {folder} without images")
    ordered = sorted(numbers)
    for before, number, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
        if number - before != after - number:
            raise ValueError(
                f"Expected frames with evenly spaced numbers in {folder}. Received: "
                f"{numbers[before]}, {numbers[number]}, {numbers[after]}"
            )
    return [numbers[number] for number in ordered]
