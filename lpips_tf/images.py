"""Image files to arrays."""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from lpips_tf._support.arguments import checked_size, shown
from lpips_tf._support.color_profiles import Profile, to_convert

# The formats that are listed in folders. Pillow opens more, among them PDF and HDF5 files.
SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm",
    ".ppm", ".tga", ".tif", ".tiff", ".webp",
}  # fmt: skip
ORIENTATION = 0x0112  # the EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap the sides
# Pillow's decoders raise these, by what is damaged.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError)


def load(path: str | os.PathLike[str], srgb: bool = False) -> npt.NDArray[np.uint8]:
    """Reads an image file as RGB.

    Grey, palette and CMYK images are converted, 16-bit grey ones scaled to 8 bits (of 16-bit
    colours Pillow keeps the upper byte), the orientation that a camera noted (EXIF) is applied, and
    transparent images are laid over white, with a warning. Only the first of several frames is
    read, with a warning.

    Args:
        path: of the file, in a format that Pillow reads.
        srgb: convert images with another colour profile, such as Display P3, to sRGB. By default
            their numbers stay as they are, with a warning, as the official implementation takes
            them.

    Returns:
        (H, W, 3) uint8.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is no image, damaged, truncated (unless the program has set Pillow's
            `ImageFile.LOAD_TRUNCATED_IMAGES`), of more than Pillow's limit of 179 million pixels,
            or with `srgb` of a colour profile that is damaged.
    """
    with _opened(path) as image:
        return _pixels(image, path, srgb)


def resize(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resizes an image by Pillow's antialiased Lanczos filter.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) in pixels.

    Returns:
        (height, width, 3) uint8; the image itself, if it has this size.

    Raises:
        ValueError: an image of another shape or type, or a size below 1.
    """
    if getattr(image, "ndim", None) != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"Expected an image (H, W, 3) of uint8. Received: {shown(image)}")
    size = checked_size("size", size)
    if image.shape[:2] == size:
        return image
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS)
    return np.asarray(resized)


def decode(content: bytes, name: str, srgb: bool = False) -> npt.NDArray[np.uint8]:
    """Reads an image as `load` does, from the content of a file, which errors call `name`."""
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise ValueError(f"Expected the bytes of an image file. Received: {shown(content)}")
    with _identified(io.BytesIO(content), name) as image:
        return _pixels(image, name, srgb)


def from_pillow(image: Image.Image, name: str, srgb: bool = False) -> npt.NDArray[np.uint8]:
    """Converts a Pillow image as `load` converts that of a file; warnings call it `name`."""
    if not isinstance(image, Image.Image):
        raise ValueError(f"Expected an image of Pillow. Received: {shown(image)}")
    return _pixels(image, name, srgb)


def size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The (height, width) that `load` gives, read from the file's header.

    Raises:
        As `load` does, as far as the header tells.
    """
    with _opened(path) as image:
        width, height = image.size
        try:
            turned = image.getexif().get(ORIENTATION, 1) in SIDEWAYS
        except _DAMAGED as error:
            raise OSError(f"Cannot read the image {path}: {_reason(error)}") from error
        if turned and image.format != "TIFF":  # Pillow has swapped TIFF's sides already
            width, height = height, width
        return height, width


def list_folder(folder: str | os.PathLike[str], recursive: bool = False) -> list[str]:
    """Lists the names of the image files in a folder, sorted.

    Image files are those with a suffix in `SUFFIXES`. Hidden files and folders are left out.

    Args:
        folder: path of the folder.
        recursive: also list the files of its subfolders, as relative paths with slashes. Links to
            folders are followed, each folder once.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
    """
    folder = _path("folder", folder)
    if not folder.exists():
        raise FileNotFoundError(f"Expected a folder of images. There is none at {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"Expected a folder of images. Received a file: {folder}")
    return sorted(
        path.relative_to(folder).as_posix()
        for path in _files(folder, recursive)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """The files of a folder, or of all folders below it that are not hidden."""
    if not recursive:
        yield from (path for path in folder.iterdir() if not path.is_dir())
        return
    seen = set()  # links may make circles
    for path, subfolders, files in os.walk(folder, onerror=_raise, followlinks=True):
        if (target := os.path.realpath(path)) in seen:
            subfolders.clear()
            continue
        seen.add(target)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(path, name) for name in files)


def _raise(error: OSError) -> None:
    raise error


def _path(name: str, value: str | os.PathLike[str]) -> Path:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"Expected {name} to be a path. Received: {shown(value)}")
    return Path(value)


def _opened(path: str | os.PathLike[str]) -> Image.Image:
    path = _path("path", path)
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f"Expected an image file. {path} links to a file that is missing")
    if not path.exists():
        raise FileNotFoundError(f"Expected an image file. There is none at {path}")
    if path.is_dir():
        raise IsADirectoryError(f"Expected an image file. Received a folder: {path}")
    if not path.is_file():
        raise OSError(f"Expected an image file. Received a pipe or device: {path}")
    return _identified(path, path)


def _identified(file: Path | io.BytesIO, path: str | os.PathLike[str]) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        raise OSError(f"Cannot read the image {path}: {_unidentified(file)}") from error
    except Image.DecompressionBombError as error:
        raise OSError(f"Refused to read the image {path}: {_reason(error)}") from error
    except PermissionError as error:
        raise PermissionError(f"Cannot read the image {path}: {error.strerror}") from error
    except _DAMAGED as error:
        raise OSError(f"Cannot read the image {path}: {_reason(error)}") from error


def _unidentified(source: Path | io.BytesIO) -> str:
    """The reason why Pillow cannot identify a file."""
    with source.open("rb") if isinstance(source, Path) else source as file:
        file.seek(0)
        start = file.read(8)
        if not start:
            return "the file is empty"
        if start[4:] == b"ftyp":
            return "HEIC, HEIF and videos are not supported. Convert it to PNG or JPEG"
        if start[:2] in (b"II", b"MM") and (bits := _bits_of_tiff(start, file)) > 16:
            return f"TIFF of {bits} bits a channel is not supported. Convert it to 8 bits"
    return "it is no image of a known format"


def _bits_of_tiff(header: bytes, file: Any) -> int:
    """The bits of a channel that a TIFF file says it has; 0 if it says nothing."""
    directory: Any = TiffImagePlugin.ImageFileDirectory_v2
    try:
        tags = directory(header)
        file.seek(tags.next)
        tags.load(file)
        return int(max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (0,))))
    except (*_DAMAGED, struct.error):
        return 0


def _pixels(image: Image.Image, path: str | os.PathLike[str], srgb: bool) -> npt.NDArray[np.uint8]:
    # What Pillow opens as "I" has 16 bits in these formats; elsewhere its numbers may be any.
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PPM", "PNG")):
        raise OSError(
            f"Expected an image of 8 or 16 bits. Received: {path} of 32 bits, mode {image.mode}"
        )
    try:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a JPEG with previews after the image
            warnings.warn(f"{path} has {frames} frames; only the first is read", stacklevel=3)
        profile = to_convert(image.info.get("icc_profile"), srgb)
        upright = ImageOps.exif_transpose(image)
        return np.asarray(_to_rgb(upright, path, profile))
    except _DAMAGED as error:
        raise OSError(f"Cannot read the image {path}: {_reason(error)}") from error


def _to_rgb(
    image: Image.Image, path: str | os.PathLike[str], profile: Profile | None
) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; "I" is how Pillow opens it from PGM files
        image = Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    if not image.has_transparency_data:
        return _converted(image, profile)
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if np.asarray(alpha).min() < 255:
        warnings.warn(f"{path} is transparent in places, and is laid over white", stacklevel=4)
    image = _converted(image.convert("RGB"), profile)
    image.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _converted(image: Image.Image, profile: Profile | None) -> Image.Image:
    if profile is None:
        return image.convert("RGB")
    return profile.to_srgb(image if image.mode == profile.mode else image.convert(profile.mode))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
