"""Compares the images of folders with those of a first one: distances, means, differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lpips_tf
from lpips_tf import standard_errors
from lpips_tf._support.sizes import shown_size
from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.text import printable
from lpips_tf_cli.distances import summaries
from lpips_tf_cli.distances.pairs import Compared, See, compare
from lpips_tf_cli.distances.rows import rows_of, text_of, write_rows
from lpips_tf_cli.reading.image_files import ImageFiles
from lpips_tf_cli.reading.listing import Names


class ComparedFolders:
    """The figures of each name that all folders have.

    Args:
        names: of the images in all folders.
        compared: the figures of the names that could be read, in order.
        files: has the errors of the others.
    """

    def __init__(self, names: Names, compared: Sequence[Compared], files: ImageFiles) -> None:
        self.names, self.files = names, files
        self.folders = [str(folder) for folder, _ in names.alone[1:]]
        readable = files.readable(len(names.common))
        self._compared = dict(zip(readable, compared, strict=True))
        self._figures = list(compared[0].figures[0])

    def distances(self, figure: str = "distance") -> list[list[float]]:
        """The distances of each folder's images, or another measure of them."""
        return [
            [found.figures[place][figure] for found in self._compared.values()]
            for place in range(len(self.folders))
        ]

    def columns(self) -> list[tuple[str, list[float]]]:
        """Names and numbers of the columns of a report, with the difference of each two folders."""
        columns = self._columns(self._figures)
        if len(self.folders) > 1:
            columns += [
                (f"{self.folders[i]} - {self.folders[j]}", differences)
                for i, j, differences in self._differences()
            ]
        return columns

    def other_columns(self) -> list[tuple[str, list[float]]]:
        """Names and numbers of the columns of further measures."""
        return self._columns(self._figures[1:])

    def paths(self, place: int) -> list[Path]:
        """The images of a folder that were compared; of an only folder their names."""
        items, common = self.names.items, self.names.common
        if len(self.folders) == 1:
            return [Path(common[i]) for i in self._compared]
        return [items[i][place + 1] for i in self._compared]

    def write(self, write: outputs.Write, errors: bool) -> None:
        """Writes a row for each name, with a column for each folder."""
        columns: list[tuple[str, Sequence[Any]]] = [*self._columns(self._figures)]
        if self.files.resizing:
            sizes = [shown_size(found.size) for found in self._compared.values()]
            columns.append(("resized", sizes))
        values = zip(*(numbers for _, numbers in columns), strict=True)
        names = self.names.common
        rows = rows_of(((i,) for i in range(len(names))), names, values, self.files)
        write_rows(write, ("name",), rows, errors, [name for name, _ in columns])

    def _columns(self, figures: Sequence[str]) -> list[tuple[str, list[float]]]:
        found = {figure: self.distances(figure) for figure in figures}
        if len(self.folders) == 1:
            return [(figure, found[figure][0]) for figure in figures]
        return [
            (folder if figure == "distance" else f"{folder} {figure}", found[figure][place])
            for place, folder in enumerate(self.folders)
            for figure in figures
        ]

    def print_rows(self) -> None:
        """Prints the figures of each name; errors have been printed before."""
        for i, found in self._compared.items():
            texts = map(text_of, found.figures)
            if len(self.folders) > 1:
                texts = map("{} {}".format, map(printable, self.folders), texts)
            print(f"{printable(self.names.common[i])}: {'; '.join(texts)}")

    def summary(self) -> Iterator[str]:
        """Lines with the mean of each folder, and the mean difference of each two."""
        resized = f", resized to {self.resized_text()}" if self.files.resizing else ""
        for name, numbers in self._columns(["distance"]):
            of = f" of {printable(name)}" if len(self.folders) > 1 else ""
            mean, error = summaries.mean_or_nan(numbers), summaries.standard_error(numbers)
            errors = len(self.files.errors)
            yield summaries.summary_line(mean, error, len(numbers), errors, of) + resized
        for name, numbers in self.other_columns():
            yield summaries.figure_line(printable(name), numbers)
        for names, mean, interval in self.differences():
            yield f"mean of {printable(names)}: {mean:.5f}{interval_text(interval)}"

    def resized_text(self) -> str:
        """The size that images were resized to or, where there are several, the option."""
        sizes = {found.size for found in self._compared.values()}
        text = self.files.resizing.text if self.files.resizing else ""
        return shown_size(sizes.pop()) if len(sizes) == 1 else text

    def differences(self) -> Iterator[tuple[str, float, tuple[float, float]]]:
        """The names of each two folders, the mean difference of their distances, its interval."""
        for i, j, differences in self._differences():
            interval = standard_errors.paired_interval(differences)
            names = f"{self.folders[i]} - {self.folders[j]}"
            yield names, summaries.mean_or_nan(differences), interval

    def _differences(self) -> Iterator[tuple[int, int, list[float]]]:
        distances = self.distances()
        for i, j in itertools.combinations(range(len(self.folders)), 2):
            pairs = zip(distances[i], distances[j], strict=True)
            yield i, j, [a - b for a, b in pairs]


def interval_text(interval: tuple[float, float]) -> str:
    """A 95% interval after its number; nothing of one that is NaN."""
    low, high = interval
    return "" if math.isnan(low) else f", 95% interval {low:.5f} to {high:.5f}"


def compare_folders(
    metric: lpips_tf.LPIPS,
    names: Names,
    files: ImageFiles,
    others: Sequence[str] = (),
    see: See | None = None,
) -> ComparedFolders:
    """Compares the images of several folders, as `compare` does."""
    compared = compare(metric, names.items, files, others, see)
    return ComparedFolders(names, compared, files)
