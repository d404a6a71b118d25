"""Reads the mask of a command from an image file."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lpips_tf import images


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """The weights (H, W) of pixels in a grey image: 0 where it is black, 255 where it is white.

    Raises:
        OSError: the file cannot be read.
        ValueError: the image has colours or transparency, or is black.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of transparency, frames and colour profiles
            image = images.load(path)
    except UserWarning as warning:
        raise ValueError(f"Expected a grey image as the mask. {warning}") from warning
    if (image != image[..., :1]).any():
        raise ValueError(f"Expected a grey image as the mask. Received: {path} with colours")
    if not image.any():
        raise ValueError(f"Expected a mask that is not all black. Received: {path}")
    return image[..., 0]
