"""Image files to arrays."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

ORIENTATION = 0x0112  # the EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap the sides
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
)  # Pillow's decoders, by what is damaged


def load(path: str | os.PathLike) -> np.ndarray:
    """Reads an image file that Pillow knows as RGB.

    Grey, palette and CMYK images are converted, 16-bit grey ones scaled to 8 bits (of 16-bit
    colours Pillow keeps the upper byte), the orientation that a camera noted (EXIF) is applied, and
    transparent images are laid over white, with a warning. Of several frames the first counts.

    Returns:
        (H, W, 3) uint8.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is no image, damaged, truncated (unless the program has set Pillow's
            `ImageFile.LOAD_TRUNCATED_IMAGES`), or of more than Pillow's limit of 179 million
            pixels.
    """
    with _opened(path) as image:
        return _pixels(image, path)


def decode(content: bytes, name: str) -> np.ndarray:
    """As `load`, from the content of a file, which errors call `name`."""
    with _identified(io.BytesIO(content), name) as image:
        return _pixels(image, name)


def size(path: str | os.PathLike) -> tuple[int, int]:
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
        if turned and image.format != "TIFF":  # of TIFF files Pillow has swapped the sides already
            width, height = height, width
        return height, width


def list_folder(folder: str | os.PathLike) -> list[str]:
    """The names of the image files in a folder, told by their suffix, sorted; hidden files are left
    out.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"Expected a folder of images. There is none at {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"Expected a folder of images. Received a file: {folder}")
    suffixes = Image.registered_extensions()
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
    )


def _opened(path) -> Image.Image:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Expected an image file. There is none at {path}")
    if path.is_dir():
        raise IsADirectoryError(f"Expected an image file. Received a folder: {path}")
    if not path.is_file():
        raise OSError(f"Expected an image file. Received a pipe or device: {path}")
    return _identified(path, path)


def _identified(file, path) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        raise OSError(f"Cannot read the image {path}: it is no image of a known format") from error
    except Image.DecompressionBombError as error:
        raise OSError(f"Refused to read the image {path}: {_reason(error)}") from error
    except PermissionError as error:
        raise PermissionError(f"Cannot read the image {path}: {error.strerror}") from error
    except _DAMAGED as error:
        raise OSError(f"Cannot read the image {path}: {_reason(error)}") from error


def _pixels(image: Image.Image, path) -> np.ndarray:
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise OSError(
            f"Expected an image of 8 or 16 bits. Received: {path} of 32 bits, mode {image.mode}"
        )
    try:
        return np.asarray(_to_rgb(ImageOps.exif_transpose(image), path))
    except _DAMAGED as error:
        raise OSError(f"Cannot read the image {path}: {_reason(error)}") from error


def _to_rgb(image: Image.Image, path) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; "I" is how Pillow opens it from PGM files
        return Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            warnings.warn(f"{path} is transparent in places, and is laid over white", stacklevel=3)
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
