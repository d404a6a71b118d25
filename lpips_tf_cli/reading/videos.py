"""Reads videos: files that FFmpeg reads, by PyAV, and folders of numbered frames."""

from __future__ import annotations

import abc
import contextlib
import itertools
import logging
import re
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lpips_tf import images
from lpips_tf._support.sizes import Size, shown_size
from lpips_tf_cli.console.imports import extra
from lpips_tf_cli.reading.image_files import ImageFiles

AHEAD = 16  # frames that are read while others are compared


class Video(abc.ABC):
    """Frames of one size, in order.

    Attributes:
        path: of the file or folder.
        frames: their number, as far as the file says without decoding it.
        rate: frames a second, on average; None for a folder.
        step: between the numbers of a folder's frames; 1 for a file.
        cut: why the file seems to end early, as far as it shows without decoding.
        size: their (height, width).
        first: the name of the first frame of a folder; None for a file.
        start: the number of the first frame.
        error: why reading ended early; None where it did not.
    """

    path: Path
    frames: int
    rate: Fraction | None
    size: Size
    first: str | None = None
    start: int = 0
    step: int = 1
    cut: str | None = None
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
        numbers = _numbered(path, images.list_folder(path))
        self._paths = [path / numbers[number] for number in sorted(numbers)]
        self.frames = len(self._paths)
        self.start, *others = sorted(numbers)
        self.step = others[0] - self.start if others else 1
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
        ValueError: it has no video stream, or no frames, or a rotation that is not a multiple of 90
            degrees.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._warned = False
        with self._opened() as (container, stream, problems):
            # Some formats, such as Matroska, do not have the number of their frames.
            counted = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
            self.frames, self.cut = counted, _first_line(problems)
            duration = _duration(stream)
            self.rate = counted / duration if duration else stream.average_rate
        first = next(self.read(1), None)
        if first is None:
            raise ValueError(
                f"Expected a video with frames. Received: {self.error or f'{path} without any'}"
            )
        self.size = first.shape[:2]
        self.error = None

    def read(self, every: int) -> Generator[np.ndarray, None, None]:
        """Yields frames whose index is a multiple of `every`, upright, in RGB.

        It ends before a frame that the decoder reports as damaged. The decoder has one thread,
        because with several the frames of damaged data differ from run to run.
        """
        av = _pyav()
        count = 0
        with self._opened() as (container, stream, problems):
            stream.thread_type = "NONE"
            try:
                for frame in container.decode(stream):
                    if problems or frame.is_corrupt:
                        break
                    if count % every == 0:
                        yield self._upright(frame)
                    count += 1
            except av.error.FFmpegError as error:
                problems.append((0, "", _reason(error)))
            if problems:
                self.error = f"{self.path} can be read up to frame {count}: {_first_line(problems)}"
            elif count < self.frames:
                self.error = f"{self.path} ends after {count} of {self.frames} frames"

    def _upright(self, frame: Any) -> np.ndarray:
        """The frame as a player shows it, (H, W, 3) uint8."""
        if any(component.is_alpha for component in frame.format.components):
            array = self._over_white(frame.to_ndarray(format="rgba"))
        else:
            array = frame.to_ndarray(format="rgb24")
        array = _turned(array, frame, self.path)
        if hasattr(self, "size"):
            _check_size(self.path, array, self.size)
        return np.ascontiguousarray(array)

    def _over_white(self, pixels: np.ndarray) -> np.ndarray:
        if pixels[..., 3].min() < 255 and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.path} is transparent in places, and is laid over white", stacklevel=4
            )
        white = Image.new("RGBA", pixels.shape[1::-1], "white")
        return np.asarray(Image.alpha_composite(white, Image.fromarray(pixels)).convert("RGB"))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any, list[tuple[int, str, str]]]]:
        """The container, its stream, and the errors that FFmpeg logs in this thread."""
        av = _pyav()
        with av.logging.Capture(local=True) as problems:
            try:
                container = av.open(str(self.path))
            except (av.error.FFmpegError, OSError) as error:
                raise OSError(f"Cannot read the video {self.path}: {_reason(error)}") from error
            with container:
                if not container.streams.video:
                    raise ValueError(f"Expected a video stream. Received: {self.path} without one")
                yield container, container.streams.video[0], problems


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
        import av.logging
    av.logging.set_level(av.logging.ERROR)  # for `Capture`; nothing is printed
    av.logging.set_skip_repeated(False)
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    return av


def _turned(array: np.ndarray, frame: Any, path: Path) -> np.ndarray:
    """The pixels turned and mirrored by the display matrix of a frame."""
    for data in frame.side_data:
        if data.type.name != "DISPLAYMATRIX":
            continue
        matrix = np.frombuffer(bytes(data), "<i4").reshape(3, 3)[:2, :2] / 2**16
        signs = np.sign(matrix.round(4)).astype(int)
        if np.abs(matrix).round(3).sum() != 2 or np.abs(signs).sum(axis=0).tolist() != [1, 1]:
            raise ValueError(
                f"Expected a video that is shown upright or by quarter turns. Received: {path} "
                f"with the display matrix {matrix.round(3).tolist()}"
            )
        (a, b), (c, d) = signs
        if a:
            return array[::d, ::a]
        return array.transpose(1, 0, 2)[::b, ::c]
    return array


def _first_line(problems: list[tuple[int, str, str]]) -> str | None:
    """FFmpeg's first error message."""
    return " ".join(problems[0][2].split()) if problems else None


def _duration(stream: Any) -> Fraction | None:
    """The seconds that a stream says it lasts: by its header, or by Matroska's tag."""
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
            f"Expected frames of one size, {shown_size(size)}. "
            f"Received: {path} of {shown_size(frame.shape)}"
        )


def _numbered(folder: Path, names: list[str]) -> dict[int, str]:
    """The names by their last number. These must be evenly spaced, or a frame may be missing."""
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
    return numbers
