"""Sizes of images in words, and the least that a network takes."""

from __future__ import annotations

Size = tuple[int, int]  # (height, width) in pixels


def shown_size(size: tuple[int, ...]) -> str:
    """The size as width x height; the shape of an image will do too."""
    return f"{size[1]}x{size[0]}"


def check_min_size(
    size: Size,
    min_size: int,
    network: str = "this network",
    received: str | None = None,
    images: str = "images",
) -> None:
    """Raises ValueError for images that are too small for a network.

    Args:
        size: (height, width) of the images.
        min_size: the least height and width.
        network: the network, in words.
        received: what was received, in words; by default the size.
        images: what they are called.
    """
    if min(size) < min_size:
        raise ValueError(
            f"Expected {images} of at least {min_size}x{min_size} pixels for {network}. "
            f"Received: {received or shown_size(size)}"
        )
