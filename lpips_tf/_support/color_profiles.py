"""ICC colour profiles of image files, by Pillow's LittleCMS."""

from __future__ import annotations

import functools
import io
import warnings

import numpy as np
from PIL import Image, ImageCms

SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of profiles, and Pillow's modes
# Levels that a profile may change colours by and still count as sRGB: vendors round differently.
TOLERANCE = 3


class Profile:
    """A colour profile that is not sRGB."""

    def __init__(self, profile: ImageCms.ImageCmsProfile, mode: str) -> None:
        self.name = " ".join(ImageCms.getProfileDescription(profile).split()) or "without a name"
        self.mode = mode  # of the images that it describes
        self._transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), mode, "RGB"
        )

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Converts an image of the profile's mode to sRGB, mode "RGB"."""
        converted = ImageCms.applyTransform(image, self._transform)
        assert converted is not None  # as it is not done in place
        return converted


def to_convert(content: bytes | None, srgb: bool) -> Profile | None:
    """Returns the colour profile to convert from, or warns of it if images are not converted.

    Raises:
        ValueError: the profile to convert from is damaged.
    """
    try:
        profile = _other_than_srgb(content) if content else None
    except ValueError:
        if srgb:
            raise
        return None
    if profile is not None and not srgb:
        # The same words for each file, so that Python and the command say them once.
        warnings.warn(
            f"Images with the colour profile {profile.name} are read as if they were sRGB, as the "
            "official implementation does. To convert them, use --srgb or images.load(srgb=True)",
            stacklevel=4,
        )
    return profile if srgb else None


@functools.lru_cache(maxsize=16)
def _other_than_srgb(content: bytes) -> Profile | None:
    """Reads the profile in an image file; None for sRGB itself, under whatever name.

    Raises:
        ValueError: the profile is damaged, or describes no RGB, grey or CMYK colours.
    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        mode = SPACES[profile.profile.xcolor_space]
        found = Profile(profile, mode)
    except (OSError, ImageCms.PyCMSError, KeyError) as error:
        raise ValueError("its colour profile is damaged or of an unknown kind") from error
    if mode == "CMYK":  # has no numbers that would be those of sRGB
        return found
    probe = _probe().convert(mode)
    plain, converted = np.asarray(probe.convert("RGB"), int), np.asarray(found.to_srgb(probe), int)
    return found if np.abs(plain - converted).max() > TOLERANCE else None


def _probe() -> Image.Image:
    """Colours all over the RGB cube, in one row."""
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return Image.fromarray(colors.reshape(1, -1, 3))
