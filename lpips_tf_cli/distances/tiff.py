"""Reads windows of image files that are larger than memory, and writes maps as TIFF files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lpips_tf import images
from lpips_tf._support.color_profiles import Profile, to_convert

SIDE = 256  # of the tiles in files that are written, in pixels
ICC_PROFILE = 34675  # a TIFF tag
SUFFIXES = (".tif", ".tiff")


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], srgb: bool = False) -> Iterator[Any]:
    """An image file as an object with a `shape` (H, W, 3) whose slices are uint8 arrays.

    A TIFF file of 8-bit RGB is read by tiles or strips, as slices need them. Any other file is read
    whole, as `lpips_tf.images.load` does.

    Args:
        path, srgb: as for `lpips_tf.images.load`.

    Raises:
        ImportError: the file is a TIFF file, and `tifffile` or `zarr` is missing.
        OSError: as `lpips_tf.images.load` does.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        yield images.load(path, srgb)
        return
    tifffile = _tifffile()
    if not Path(path).is_file():
        images.size(path)  # says what is wrong with it
    with contextlib.ExitStack() as stack:
        page = _plain_page(tifffile, stack, path)
        if page is None:
            yield images.load(path, srgb)
            return
        content = page.tags.get(ICC_PROFILE)
        profile = to_convert(content.value if content else None, srgb)
        if page.is_memmappable:  # a file of one strip would be read whole for each window
            windows = tifffile.memmap(path, mode="r", page=0)
        else:
            windows = _Windows(path, page)
        yield windows if profile is None else _Converted(windows, profile)


class _Windows:
    """A page of a TIFF file that reads slices."""

    def __init__(self, path: str | os.PathLike[str], page: Any) -> None:
        import zarr

        self.shape = page.shape
        self._path = path
        self._array = zarr.open_array(page.aszarr(), mode="r")

    def __getitem__(self, place: Any) -> np.ndarray:
        try:
            return np.asarray(self._array[place])
        except Exception as error:  # each decoder has its own
            raise OSError(f"Cannot read the image {self._path}: {error}") from error


class _Converted:
    """An image with another colour profile, whose slices are converted to sRGB."""

    def __init__(self, windows: Any, profile: Profile) -> None:
        self.shape = windows.shape
        self._windows, self._profile = windows, profile

    def __getitem__(self, place: Any) -> np.ndarray:
        window = Image.fromarray(np.asarray(self._windows[place]))
        return np.asarray(self._profile.to_srgb(window))


def write_map(
    path: str | os.PathLike[str], size: tuple[int, int], rows: Callable[[int, int], np.ndarray]
) -> None:
    """Writes a map to a tiled TIFF file of float32, without holding all of it.

    Args:
        path: of the file.
        size: (height, width) of the map.
        rows: called with two row numbers, returns the rows from the first to before the second.

    Raises:
        ImportError: `tifffile` is missing.
        OSError: the file cannot be written.
    """
    tifffile = _tifffile()
    height, width = size
    columns = -(-width // SIDE) * SIDE

    def tiles() -> Iterator[np.ndarray]:
        for start in range(0, height, SIDE):
            band = rows(start, min(start + SIDE, height))
            band = np.pad(band, ((0, SIDE - len(band)), (0, columns - width)), mode="edge")
            yield from np.hsplit(band, columns // SIDE)

    with tifffile.TiffWriter(path, bigtiff=4 * height * columns > 2**31) as file:
        file.write(
            tiles(),
            shape=size,
            dtype="float32",
            tile=(SIDE, SIDE),
            compression="zlib",
            predictor=True,
            photometric="minisblack",
            software=False,
            metadata=None,
        )


def _plain_page(tifffile: Any, stack: contextlib.ExitStack, path: str | os.PathLike[str]) -> Any:
    """The first page of a TIFF file, or None if it needs `lpips_tf.images.load`.

    The page is returned if tifffile's arrays equal the image that `load` gives. `stack` closes the
    file.
    """
    try:
        page = stack.enter_context(tifffile.TiffFile(path)).pages[0]
    except (tifffile.TiffFileError, IndexError):  # another format by that name, or damaged
        return None
    orientation = page.tags.get(images.ORIENTATION)
    plain = (
        page.dtype == np.uint8
        and page.ndim == 3
        and page.samplesperpixel == 3
        and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        and page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
        and (orientation is None or orientation.value == 1)
    )
    return page if plain else None


def _tifffile() -> Any:
    try:
        import tifffile
        import zarr  # noqa: F401, tifffile reads windows with it
    except ModuleNotFoundError as error:
        raise ImportError(
            f'TIFF files need {error.name}, which is not installed: pip install "lpips-tf[tiles]"'
        ) from error
    return tifffile
