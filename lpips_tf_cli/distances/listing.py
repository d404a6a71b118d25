"""Lists the image names in folders."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from lpips_tf import images
from lpips_tf_cli.console.text import counted


class Names(NamedTuple):
    """Image names of two folders, sorted."""

    common: list[str]
    only0: list[str]
    only1: list[str]


def image_names(folder: Path, least: int) -> list[str]:
    """The images in a folder, sorted.

    Raises:
        ValueError: the folder has fewer than `least`.
    """
    names = images.list_folder(folder)
    if len(names) < least:
        folders = sum(path.is_dir() for path in folder.iterdir())
        searched = f", and {counted(folders, 'subfolder')}, not searched" if folders else ""
        raise ValueError(
            f"Expected a folder with at least {counted(least, 'image')}. "
            f"Received: {folder} with {counted(len(names), 'image')}{searched}"
        )
    return names


def pairs_of(names: Names, folders: tuple[Path, Path]) -> list[tuple[Path, Path]]:
    """The paths of each common name."""
    return [(folders[0] / name, folders[1] / name) for name in names.common]


def common_names(folder0: Path, folder1: Path) -> Names:
    """The image names of both folders.

    Raises:
        ValueError: a folder without images, or no common name.
    """
    names0, names1 = set(image_names(folder0, 1)), set(image_names(folder1, 1))
    if not names0 & names1:
        raise ValueError(
            "Expected images with the same name in both folders. "
            f"Received: {folder0} with {counted(len(names0), 'image')} such as {min(names0)}, "
            f"{folder1} with {len(names1)} such as {min(names1)}"
        )
    return Names(sorted(names0 & names1), sorted(names0 - names1), sorted(names1 - names0))
