"""Lists the image names in folders, and matches those of several."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lpips_tf import images
from lpips_tf_cli.console.list_options import ListOptions
from lpips_tf_cli.console.text import counted

ALL = ListOptions()
LONGEST = 80  # letters of a name that is no file's
MOST_NAMED = 10  # of the files that have no partner


class Names(NamedTuple):
    """Image names of several folders, sorted, or in the order of a list."""

    common: list[str]  # of the first folder
    items: list[tuple[Path, ...]]  # for each name, its file in each folder
    alone: list[tuple[Path, list[str]]]  # folders, and their names that are not in all folders


def image_names(folder: Path, least: int, options: ListOptions = ALL) -> list[str]:
    """The images in a folder that the options choose.

    Raises:
        ValueError: these are fewer than `least`, or the folder lacks a name of the list.
    """
    names = images.list_folder(folder, options.recursive)
    if len(names) < least:
        folders = 0 if options.recursive else sum(path.is_dir() for path in folder.iterdir())
        searched = f", and {counted(folders, 'subfolder')}, not searched" if folders else ""
        raise ValueError(
            f"Expected a folder with at least {counted(least, 'image')}. "
            f"Received: {folder} with {counted(len(names), 'image')}{searched}"
        )
    chosen = _chosen(names, folder, options)
    if len(chosen) < least:
        raise ValueError(
            f"Expected at least {counted(least, 'image')}. Received: {len(chosen)} by the options"
        )
    return chosen


def common_names(
    folders: Sequence[Path], options: ListOptions = ALL, by_stem: bool = False
) -> Names:
    """The images of a first folder that all others have.

    Args:
        folders: two or more.
        options: choose the images of the first folder.
        by_stem: names may differ in their suffix.

    Raises:
        ValueError: a folder without images, no common name, a folder with several images of one
            stem, or a name of the list that not all folders have.
    """
    unlisted = options.without_list()
    found = [_keys(f, image_names(f, 1, unlisted), by_stem) for f in folders]
    common = found[0].keys() & set.intersection(*(set(names) for names in found[1:]))
    if not common:
        raise ValueError(_no_common(folders, found, by_stem))
    alone = [
        (folder, sorted(names[key] for key in names.keys() - common))
        for folder, names in zip(folders, found, strict=True)
    ]
    names = _chosen(sorted(found[0][key] for key in common), "all folders", options)
    if options.list_file is not None:  # whose names all folders have
        alone = [(folder, []) for folder in folders]
    by_name = {name: key for key, name in found[0].items()}
    items = [
        tuple(f / keys[by_name[name]] for f, keys in zip(folders, found, strict=True))
        for name in names
    ]
    return Names(names, items, alone)


def sentences_on_alone(names: Names) -> list[str]:
    """What to say of images that are not in all folders."""
    where = "only in {}" if len(names.alone) == 2 else "in {}, but not in all folders"
    return [
        f"{where.format(folder)}: {', '.join(left[:MOST_NAMED])}"
        + (f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else "")
        for folder, left in names.alone
        if left
    ]


def _keys(folder: Path, names: Sequence[str], by_stem: bool) -> Mapping[str, str]:
    """What names are matched by, and the names."""
    if not by_stem:
        return {name: name for name in names}
    keys: dict[str, str] = {}
    for name in names:
        key = str(PurePosixPath(name).with_suffix(""))
        if key in keys:
            raise ValueError(
                f"Expected one image of each stem in {folder}. Received: {keys[key]} and {name}"
            )
        keys[key] = name
    return keys


def _no_common(folders: Sequence[Path], found: Sequence[Mapping[str, str]], by_stem: bool) -> str:
    first, *others = (
        f"{folder} with {count} such as {min(names.values())}"
        for folder, names in zip(folders, found, strict=True)
        for count in [counted(len(names), "image") if folder == folders[0] else len(names)]
    )
    where = "both" if len(folders) == 2 else "all"
    stems = {PurePosixPath(name).stem for name in found[0].values()}
    same = {PurePosixPath(name).stem for name in found[1].values()} & stems
    advice = ". To match names without their suffix, use --match stem" if same else ""
    return (
        f"Expected images with the same {'stem' if by_stem else 'name'} in {where} folders. "
        f"Received: {', '.join((first, *others))}{'' if by_stem else advice}"
    )


def _chosen(names: list[str], folder: Path | str, options: ListOptions) -> list[str]:
    if options.list_file is not None:
        listed = _listed(options.list_file)
        if missing := sorted(set(listed) - set(names)):
            raise ValueError(
                f"Expected names of images in {folder}. "
                f"Received: {options.list_file} with {counted(len(missing), 'other')}: "
                f"{', '.join(name[:LONGEST] for name in missing[:MOST_NAMED])}"
            )
        names = listed
    return names[: options.first]


def _listed(path: Path) -> list[str]:
    """The names in a file or, for "-", on standard input: a line each."""
    if str(path) == "-" and sys.stdin is None:
        raise OSError("Cannot read the list: standard input is closed")
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise OSError(f"Cannot read the list {path}: {error.strerror}") from error
    names = [os.fsdecode(line) for line in content.splitlines() if line.strip()]
    names = [str(PurePosixPath(name)) for name in names]
    if not names:
        raise ValueError(f"Expected a file with a name on each line. Received: {path} without any")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"Expected each name once. Received: {path} with {twice[0]} again")
    return names
