"""The report of `dirs`: the most different images first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import lpips_tf
from lpips_tf import plots
from lpips_tf_cli.console.text import counted
from lpips_tf_cli.distances import summaries
from lpips_tf_cli.distances.folders import ComparedFolders, compare_folders, interval_text
from lpips_tf_cli.reading.image_files import ImageFiles
from lpips_tf_cli.reading.listing import Names
from lpips_tf_cli.reports import pages
from lpips_tf_cli.reports.drawing import MOST_DRAWN, Drawing, Drawn
from lpips_tf_cli.reports.pages import Row, Value

MOST_ERRORS = 20  # in the notes


def metric_figures(metric: lpips_tf.LPIPS) -> list[tuple[str, str]]:
    """The metric in the words of `evaluate`'s options, with those that are not the default."""
    model = "lpips" if metric.lpips else "baseline"
    usual = {"heads": "bapps", "network": "imagenet", "precision": "float32"}
    given = {
        "heads": str(metric.head_weights),
        "network": str(metric.backbone_weights),
        "precision": metric.dtype_policy.name.removeprefix("mixed_"),
    }
    others = [(name, text) for name, text in given.items() if text != usual[name]]
    return [("model", model), ("net", metric.net), ("version", metric.version), *others]


def spread_figures(distances: Sequence[float]) -> list[tuple[str, str]]:
    """Median, 95th percentile and maximum of distances."""
    middle, high = np.percentile(distances, (50, 95))
    return [
        ("median", f"{middle:.5f}"),
        ("95th percentile", f"{high:.5f}"),
        ("largest", f"{max(distances):.5f}"),
    ]


def mean_figure(numbers: Sequence[float], of: str = "") -> tuple[str, str]:
    """The mean of distances, or of other figures, and its standard error."""
    several = len(numbers) > 1
    return (
        f"{of}mean ± standard error" if several else f"{of}mean",
        summaries.mean_and_error(float(np.mean(numbers)), summaries.standard_error(numbers)),
    )


class MostDifferent:
    """Draws the images that differ most, while they are compared.

    Args:
        drawing: draws them.
        folders: of the references and of the other images.
        names: of the images.
    """

    def __init__(self, drawing: Drawing, folders: Sequence[Path], names: Sequence[str]) -> None:
        self._drawing, self._folders, self._names = drawing, folders, names
        self._drawn: list[tuple[float, int, Drawn]] = []  # a heap, the least different first

    def see(self, index: int, reference: np.ndarray, found: list[plots.Comparison]) -> None:
        """Draws a row, if it is one of the most different so far."""
        largest = max(comparison.distance for comparison in found)
        full = len(self._drawn) >= MOST_DRAWN
        if full and largest <= self._drawn[0][0]:
            return
        shown = [reference, *(comparison.image for comparison in found)]
        images = list(zip(map(str, self._folders), shown, strict=True))
        maps = [
            (str(folder), comparison.map)
            for folder, comparison in zip(self._folders[1:], found, strict=True)
        ]
        drawn = self._drawing.draw_row(self._names[index], (), images, maps)
        push = heapq.heappushpop if full else heapq.heappush
        push(self._drawn, (largest, -index, drawn))

    def rows(
        self, values: Mapping[int, Sequence[Value]], largest: Mapping[int, float]
    ) -> Iterator[Row]:
        """All rows, the most different first.

        Args:
            values: of the rows that were compared, by index.
            largest: the largest distance of each of them.
        """
        drawn = {-index: row for _, index, row in self._drawn}
        for index in sorted(values, key=lambda i: (-largest[i], i)):
            if index in drawn:
                yield drawn[index]._replace(values=values[index]).row()
            else:
                yield Row(self._names[index], values[index])


def write_folder_report(
    path: Path,
    metric: lpips_tf.LPIPS,
    names: Names,
    files: ImageFiles,
    others: Sequence[str] = (),
) -> ComparedFolders:
    """Compares the images of folders and writes the page of `dirs`."""
    folders = [folder for folder, _ in names.alone]
    with Drawing(len(names.common), images=2 * len(folders) - 1) as drawing:
        most_different = MostDifferent(drawing, folders, names.common)
        found = compare_folders(metric, names, files, others, most_different.see)
        pages.write_page(path, _page(metric, most_different, found))
    return found


def _page(
    metric: lpips_tf.LPIPS, most_different: MostDifferent, found: ComparedFolders
) -> pages.Page:
    """The page of `dirs`, whose rows are the common names without errors."""
    names, files = found.names, found.files
    folders = [str(folder) for folder, _ in names.alone]
    notes = [
        f"Only in {folder}, and left out: {len(left):,}, such as {left[0]}."
        if len(names.alone) == 2
        else f"Not in all folders, and left out: {len(left):,} of {folder}, such as {left[0]}."
        for folder, left in names.alone
        if left
    ]
    notes += [f"Skipped: {error}" for error in files.errors.values()][:MOST_ERRORS]
    if len(files.errors) > MOST_ERRORS:
        notes.append(f"And {counted(len(files.errors) - MOST_ERRORS, 'other error')}.")
    distances = found.distances()
    if len(distances[0]) > MOST_DRAWN:
        notes.append(f"The {MOST_DRAWN:,} most different pairs have images.")
    columns = found.columns()
    compared = files.readable(len(names.common))
    rows = zip(*(values for _, values in columns), strict=True)
    values = {
        i: [
            Value(number, f"{number:.2f}" if name.endswith("psnr") else f"{number:.5f}")
            for (name, _), number in zip(columns, row, strict=True)
        ]
        for i, row in zip(compared, rows, strict=True)
    }
    largest = {i: max(row) for i, row in zip(compared, zip(*distances, strict=True), strict=True)}
    return pages.Page(
        title=f"LPIPS of {', '.join(folders[:-1])} and {folders[-1]}",
        notes=notes,
        figures=_figures(found) + metric_figures(metric),
        distances=[distance for of_folder in distances for distance in of_folder],
        heading="Pairs",
        columns=[name for name, _ in columns],
        rows=most_different.rows(values, largest),
        sorted_by="distance" if len(found.folders) == 1 else "",
    )


def _figures(found: ComparedFolders) -> list[tuple[str, str]]:
    """The summary; with several folders the mean of each, and the difference of each two."""
    distances = found.distances()
    resizing = found.files.resizing
    resized = [("resized to", found.resized_text())] if resizing else []
    others = [mean_figure(numbers, f"{name}: ") for name, numbers in found.other_columns()]
    if len(found.folders) == 1:
        pairs = ("pairs", f"{len(distances[0]):,}")
        spread = spread_figures(distances[0])
        return [pairs, mean_figure(distances[0]), *spread, *others, *resized]
    means = [
        mean_figure(numbers, f"{folder}: ")
        for folder, numbers in zip(found.folders, distances, strict=True)
    ]
    differences = [
        (f"mean of {names}", f"{mean:.5f}" + interval_text(interval))
        for names, mean, interval in found.differences()
    ]
    return [("images", f"{len(distances[0]):,}"), *means, *differences, *others, *resized]
