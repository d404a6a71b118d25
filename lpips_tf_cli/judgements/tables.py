"""Tables of judgements: reads their images, which may differ in size, and computes distances."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from lpips_tf._judgements.batches import by_size, compiled
from lpips_tf.evaluation import Columns
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.judgements.metrics import Metric
from lpips_tf_cli.reading.batches import loaded
from lpips_tf_cli.reading.image_files import ImageFiles
from tfds_bapps.manifest_rows import KINDS, Row, read_rows
from tfds_bapps.manifests import answers

AT_ONCE = 50  # rows that the report reads together
TOTALS = ("all", "mean")  # rows of results that are no group
DISTANCES = {"2afc": ("d0", "d1"), "opinions": ("distance",)}


@dataclasses.dataclass(frozen=True)
class Table:
    """The judgements in a table, or those of a group.

    Args:
        path: of the table.
        name: of the group, or of the file.
        mode: "2afc" or "opinions".
        rows: of the whole table.
        items: the paths of each row's images.
        indices: the rows that belong to the group.
        files: reads the images, and has the errors by the index of the row.
    """

    path: Path
    name: str
    mode: str
    rows: Sequence[Row]
    items: Sequence[tuple[Path, ...]]
    indices: Sequence[int]
    files: ImageFiles

    def distances(self, metric: Metric, batch_size: int) -> Columns:
        """The distances of readable rows, if any, as `evaluation.distances` gives them.

        Raises:
            OSError, ValueError: an image cannot be read, or images of a row differ in size; where
                errors may be skipped, there are no others.
        """
        compute = compiled(metric, [tf.TensorSpec((None, None, 3), tf.uint8)] * len(self.items[0]))
        found: dict[int, tuple[np.float32, ...]] = {}
        with progress_bar(self.name) as progress:
            for indices, batch in self._batches(self.indices, metric.min_size, batch_size):
                distances = compute(list(batch.values()))
                found |= zip(indices, zip(*distances, strict=True), strict=True)
                progress(len(found), len(self.indices))
        return self._columns(found)

    def _batches(
        self, indices: Iterable[int], min_size: int, batch_size: int
    ) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
        """Batches of images of one size by feature name, with the indices of their rows."""
        names = list(KINDS[self.mode].images)
        rows = loaded(indices, self.items, min_size, self.files, 2 * batch_size)
        examples = (dict(zip(names, found, strict=True)) | {"index": i} for i, found in rows)
        for batch in by_size(examples, names[0], batch_size):
            yield batch.pop("index").tolist(), batch

    def _columns(self, found: dict[int, tuple[np.float32, ...]]) -> Columns:
        order = sorted(found)
        rows = [self.rows[i] for i in order]
        names = DISTANCES[self.mode]
        distances = np.array([found[i] for i in order], np.float32).reshape(-1, len(names))
        columns = {"id": np.array([row.id for row in rows])}
        columns |= dict(zip(names, distances.T, strict=True))
        columns |= answers(self.mode, rows)
        return columns | {"reference": np.array([row.images["ref"] for row in rows])}

    @property
    def readable(self) -> list[int]:
        """The rows whose distances were found, in the order of the columns."""
        return [i for i in self.indices if i not in self.files.errors]

    @property
    def skipped(self) -> list[tuple[Row, str]]:
        """The rows that could not be read, with the reasons."""
        errors = self.files.errors
        return [(self.rows[i], errors[i]) for i in self.indices if i in errors]

    def read(self, places: Sequence[int]) -> Iterator[tuple[Sequence[int], dict[str, np.ndarray]]]:
        """Batches of images by feature name, with their places among the columns."""
        readable = self.readable
        wanted = {readable[place]: place for place in places}
        for indices, batch in self._batches(wanted, 1, AT_ONCE):
            yield [wanted[i] for i in indices], batch


def open_tables(path: Path, group: str | None, files: ImageFiles) -> list[Table]:
    """The judgements in a table, or those of each value of the column `group`, in their order.

    Raises:
        OSError, ValueError: as `tfds_bapps.load_manifest` does; or no such column, or an empty
            value in it.
    """
    mode, rows = read_rows(path)
    items = [tuple(path.parent / name for name in row.images.values()) for row in rows]
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(path.stem if group is None else _group(path, row, group), []).append(i)
    return [
        Table(path, name, mode, rows, items, indices, files) for name, indices in groups.items()
    ]


def _group(table: Path, row: Row, column: str) -> str:
    if column not in row.columns:
        raise ValueError(
            f"Expected {column} among the columns of {table}. Received: {', '.join(row.columns)}"
        )
    value = "" if row.columns[column] is None else str(row.columns[column]).strip()
    if not value or value in TOTALS:
        expected = f"a group other than {value}" if value in TOTALS else "a group"
        raise ValueError(
            f"Expected {expected} in {column}. Received: {table}, row {int(row.id)}: {value!r}"
        )
    return value
