"""The report of `dirs`: the most different pairs first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import lpips_tf
from lpips_tf import plots
from lpips_tf_cli.console.text import counted
from lpips_tf_cli.distances import listing, summaries
from lpips_tf_cli.distances.image_files import ImageFiles
from lpips_tf_cli.distances.pairs import pair_distances
from lpips_tf_cli.reports import pages
from lpips_tf_cli.reports.drawing import MOST_DRAWN, Drawing, Drawn
from lpips_tf_cli.reports.pages import Row, Value

MOST_ERRORS = 20  # in the notes


def metric_figures(metric: lpips_tf.LPIPS) -> list[tuple[str, str]]:
    """The metric, in the words of `evaluate`'s options."""
    model = "lpips" if metric.lpips else "baseline"
    return [("model", model), ("net", metric.net), ("version", metric.version)]


def distance_figures(distances: Sequence[float]) -> list[tuple[str, str]]:
    """Count, mean, median, 95th percentile and maximum of distances."""
    middle, high = np.percentile(distances, (50, 95))
    return [
        ("pairs", f"{len(distances):,}"),
        (
            "mean ± standard error" if len(distances) > 1 else "mean",
            summaries.mean_and_error(
                float(np.mean(distances)), summaries.standard_error(distances)
            ),
        ),
        ("median", f"{middle:.5f}"),
        ("95th percentile", f"{high:.5f}"),
        ("largest", f"{max(distances):.5f}"),
    ]


class MostDifferent:
    """Draws the pairs that differ most, while they are compared.

    Args:
        drawing: draws them.
        folders: of the references and of the other images.
        names: of the pairs.
    """

    def __init__(self, drawing: Drawing, folders: tuple[Path, Path], names: Sequence[str]) -> None:
        self._drawing, self._folders, self._names = drawing, folders, names
        self._drawn: list[tuple[float, int, Drawn]] = []  # a heap, the least different first

    def see(self, index: int, reference: np.ndarray, found: plots.Comparison) -> None:
        """Draws a pair, if it is one of the most different so far."""
        full = len(self._drawn) >= MOST_DRAWN
        if full and found.distance <= self._drawn[0][0]:
            return
        images = list(zip(map(str, self._folders), (reference, found.image), strict=True))
        maps = [(str(self._folders[1]), found.map)]
        drawn = self._drawing.draw_row(self._names[index], _value(found.distance), images, maps)
        push = heapq.heappushpop if full else heapq.heappush
        push(self._drawn, (found.distance, -index, drawn))

    def rows(self, compared: Sequence[int], distances: Sequence[float]) -> Iterator[Row]:
        """All pairs, the most different first, given the `distances` of the pairs `compared`."""
        drawn = {-index: row for _, index, row in self._drawn}
        for distance, index in sorted(zip(distances, (-i for i in compared), strict=True))[::-1]:
            if -index in drawn:
                yield drawn[-index].row()
            else:
                yield Row(self._names[-index], _value(distance))


def write_folder_report(
    path: Path,
    metric: lpips_tf.LPIPS,
    folders: tuple[Path, Path],
    names: listing.Names,
    files: ImageFiles,
) -> list[float]:
    """Compares the images of two folders and writes the page of `dirs`.

    Returns:
        The distances, as `pair_distances` does.
    """
    with Drawing(len(names.common), images=3) as drawing:
        most_different = MostDifferent(drawing, folders, names.common)
        pairs = listing.pairs_of(names, folders)
        distances = pair_distances(metric, pairs, files, most_different.see)
        pages.write_page(path, _page(metric, most_different, folders, names, distances, files))
    return distances


def _page(
    metric: lpips_tf.LPIPS,
    most_different: MostDifferent,
    folders: tuple[Path, Path],
    names: listing.Names,
    distances: Sequence[float],
    files: ImageFiles,
) -> pages.Page:
    """The page of `dirs`, whose rows are the common names without errors."""
    notes = [
        f"Only in {folder}, and left out: {len(others):,}, such as {others[0]}."
        for folder, others in zip(folders, (names.only0, names.only1), strict=True)
        if others
    ]
    notes += [f"Skipped: {error}" for error in files.errors.values()][:MOST_ERRORS]
    if len(files.errors) > MOST_ERRORS:
        notes.append(f"And {counted(len(files.errors) - MOST_ERRORS, 'other error')}.")
    if len(distances) > MOST_DRAWN:
        notes.append(f"The {MOST_DRAWN:,} most different pairs have images.")
    return pages.Page(
        title=f"LPIPS of {folders[0]} and {folders[1]}",
        notes=notes,
        figures=distance_figures(distances) + metric_figures(metric),
        distances=distances,
        heading="Pairs",
        columns=("distance",),
        rows=most_different.rows(files.readable(len(names.common)), distances),
        sorted_by="distance",
    )


def _value(distance: float) -> list[Value]:
    return [Value(distance, f"{distance:.5f}")]
