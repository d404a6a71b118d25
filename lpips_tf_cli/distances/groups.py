"""The mean distance within each subfolder of a folder, for `all-pairs --groups`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import lpips_tf
from lpips_tf import images
from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.list_options import ListOptions
from lpips_tf_cli.console.text import counted, printable, say
from lpips_tf_cli.distances import summaries
from lpips_tf_cli.distances.pairs import mean_distance
from lpips_tf_cli.reading.image_files import ImageFiles
from lpips_tf_cli.reading.listing import image_names


class Group(NamedTuple):
    """The mean over all pairs of images of one subfolder."""

    name: str
    images: int
    mean: float
    standard_error: float  # over the images
    errors: int


class Groups(NamedTuple):
    """The subfolders of a folder that have a mean."""

    found: Sequence[Group]

    def write(self, write: outputs.Write, errors: bool) -> None:
        """Writes a row for each group, with the number of errors if `errors`."""
        columns = ("group", "images", "pairs", "mean", "standard_error", "errors")[: 5 + errors]
        rows = (
            (g.name, g.images, math.comb(g.images, 2), g.mean, g.standard_error, g.errors)
            for g in self.found
        )
        write(columns, (row[: len(columns)] for row in rows))

    def print_rows(self) -> None:
        """Prints the mean of each group."""
        for group in self.found:
            mean = summaries.mean_and_error(group.mean, group.standard_error)
            print(f"{printable(group.name)}: {mean} ({counted(group.images, 'image')})")

    def summary(self) -> str:
        """The mean over groups, each counting the same, and its standard error."""
        means = [group.mean for group in self.found]
        error = np.std(means, ddof=1) / len(means) ** 0.5 if len(means) > 1 else math.nan
        mean = summaries.mean_and_error(summaries.mean_or_nan(means), float(error))
        errors = sum(group.errors for group in self.found)
        counts = counted(len(means), "group") + (f", {counted(errors, 'error')}" if errors else "")
        return f"mean: {mean} ({counts})"


def compare_groups(
    metric: lpips_tf.LPIPS, folder: Path, listed: ListOptions, files: ImageFiles
) -> Groups:
    """The mean of each subfolder, whose images are of one size.

    Args:
        metric: the metric.
        folder: has the subfolders.
        listed: chooses the images of each subfolder.
        files: how images are read; gets the errors of all subfolders.

    Raises:
        ValueError: there is no subfolder, or one has fewer than two images that can be read.
    """
    if beside := images.list_folder(folder):
        say("lpips-tf", f"in no group, and left out: {counted(len(beside), 'image')} of {folder}")
    subfolders = list(_subfolders(folder))
    if not subfolders:
        raise ValueError(f"Expected a folder with subfolders for --groups. Received: {folder}")
    found = []
    for subfolder in subfolders:
        names = image_names(subfolder, 2, listed)
        of_group = ImageFiles(files.srgb, files.skip_errors, files.resizing)
        try:
            paths = [subfolder / name for name in names]
            mean, error = mean_distance(metric, paths, of_group)
        except ValueError as problem:
            raise ValueError(f"In {subfolder}: {problem}") from problem
        count = len(of_group.readable(len(names)))
        found.append(Group(subfolder.name, count, mean, error, len(of_group.errors)))
        for message in of_group.errors.values():
            files.errors[len(files.errors)] = message
    return Groups(found)


def _subfolders(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path
