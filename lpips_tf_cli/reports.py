"""What reports show of folders and of data sets, the worst first, with pictures of these."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import lpips_tf
from lpips_tf_cli import heatmaps, pages, results, work
from lpips_tf_cli.image_files import ImageFiles
from lpips_tf_cli.pages import Picture, Row, Value
from lpips_tf_cli.program import counted

MOST_PICTURED = 2000  # rows with pictures
MOST_ERRORS = 20  # that are told
BYTES = 50_000_000  # of all pictures of a page
SIDES = ((500, 256), (MOST_PICTURED, 160))  # of pictures in pixels, by the number of rows
AT_ONCE = 16  # rows whose pictures are made at a time


class Example(NamedTuple):
    """A row before its pictures are encoded."""

    name: str
    values: Sequence[Value]
    images: Sequence[tuple[str, np.ndarray]]  # captions and pictures, the reference first


def described(metric: lpips_tf.LPIPS) -> list[tuple[str, str]]:
    """Which metric it was, in the words of `evaluate`'s options."""
    model = "lpips" if metric.lpips else "baseline"
    return [("model", model), ("net", metric.net), ("version", metric.version)]


def figures(distances: Sequence[float]) -> list[tuple[str, str]]:
    """What distances sum up to."""
    middle, high = np.percentile(distances, (50, 95))
    return [
        ("pairs", f"{len(distances):,}"),
        (
            "mean ± standard error" if len(distances) > 1 else "mean",
            results.mean_and_error(float(np.mean(distances)), results.standard_error(distances)),
        ),
        ("median", f"{middle:.5f}"),
        ("95th percentile", f"{high:.5f}"),
        ("largest", f"{max(distances):.5f}"),
    ]


def of_folders(
    metric: lpips_tf.LPIPS,
    spatial: lpips_tf.LPIPS,
    folders: tuple[Path, Path],
    names: work.Names,
    distances: Sequence[float],
    files: ImageFiles,
) -> pages.Page:
    """The page of `dirs`: of the common names without errors, which the distances belong to."""
    compared = [names.common[i] for i in files.read(len(names.common))]
    order = np.argsort(distances)[::-1]
    pictured, rest = order[:MOST_PICTURED], order[MOST_PICTURED:]

    def value(i):
        return [Value(distances[i], f"{distances[i]:.5f}")]

    def examples():
        paths = [[folder / compared[i] for folder in folders] for i in pictured]
        for i, loaded in zip(pictured, _loaded(paths, files), strict=True):
            captions = zip(map(str, folders), loaded, strict=True)
            yield Example(compared[i], value(i), list(captions))

    def rows():
        yield from with_pictures(spatial, examples(), len(pictured), pictures=3)
        yield from (Row(compared[i], value(i)) for i in rest)

    notes = [
        f"Only in {folder}, and left out: {len(others):,}, such as {others[0]}."
        for folder, others in zip(folders, (names.only0, names.only1), strict=True)
        if others
    ]
    notes += [f"Skipped: {error}" for error in files.errors.values()][:MOST_ERRORS]
    if len(files.errors) > MOST_ERRORS:
        notes.append(f"And {counted(len(files.errors) - MOST_ERRORS, 'other error')}.")
    if len(rest):
        notes.append(f"The {len(pictured):,} most different pairs have pictures.")
    return pages.Page(
        title=f"LPIPS of {folders[0]} and {folders[1]}",
        notes=notes,
        figures=figures(distances) + described(metric),
        distances=distances,
        heading="Pairs",
        columns=("distance",),
        rows=rows(),
        sorted_by="distance",
    )


def with_pictures(
    spatial: lpips_tf.LPIPS | None, examples: Iterable[Example], count: int, pictures: int
) -> Iterator[Row]:
    """Rows with the examples' pictures and, for a metric, maps over all but the first of them.

    Args:
        spatial: a metric that gives maps, or None.
        examples: `count` of them.
        pictures: of an example, with the maps; all of a page share `BYTES`.
    """
    side = next(side for most, side in SIDES if count <= most)
    most_bytes = min(BYTES // max(count * pictures, 1), 60_000)

    def encoded(task: tuple[str, Image.Image]) -> Picture:
        return pages.picture(*task, side, most_bytes)

    with ThreadPoolExecutor(os.cpu_count()) as pool, work.progress(count, "drawing") as bar:
        for chunk in _chunks(examples):
            maps = [list(_maps(spatial, example)) for example in chunk]
            shown = [pool.map(encoded, _as_pictures(example.images)) for example in chunk]
            hidden = [pool.map(encoded, tasks) for tasks in maps]
            for example, plain, mapped in zip(chunk, shown, hidden, strict=True):
                yield Row(example.name, example.values, list(plain), list(mapped))
            bar.advance(bar.task_ids[0], len(chunk))


def _as_pictures(named: Iterable[tuple[str, np.ndarray]]) -> list[tuple[str, Image.Image]]:
    return [(caption, Image.fromarray(image)) for caption, image in named]


def _maps(spatial: lpips_tf.LPIPS | None, example: Example) -> Iterator[tuple[str, Image.Image]]:
    if spatial is None:
        return
    (_, reference), *others = example.images
    for caption, image in others:
        values = np.asarray(spatial(reference[None], image[None]))[0, ..., 0]
        largest = float(values.max())
        yield f"{caption}: brightest is {largest:.2f}", heatmaps.over(image, values, largest)


def _loaded(paths: Sequence[Sequence[Path]], files: ImageFiles) -> Iterator[list[np.ndarray]]:
    """The pictures of each example, read some at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), AT_ONCE):
            chunk = paths[start : start + AT_ONCE]
            found = pool.map(files.load, [path for example in chunk for path in example])
            yield from ([next(found) for _ in example] for example in chunk)


def _chunks(examples: Iterable[Example]) -> Iterator[list[Example]]:
    chunk = []
    for example in examples:
        chunk.append(example)
        if len(chunk) == AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
