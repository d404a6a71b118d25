"""The batches that training sees: of several data sets as one, in an order that depends on nothing
but a seed and the epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lpips_tf import LPIPS, evaluation, feature_cache
from lpips_tf_cli import work
from lpips_tf_cli.sources import Source, explaining

BUFFER = 10_000  # triplets of TFDS that are shuffled at a time, in 370 MB
PREFETCHED = 2
ABANDONED = 3600  # seconds after which nobody writes to a temporary file any more


class Epochs(NamedTuple):
    """The batches of some epochs, one after the other, as `fit` takes them."""

    batches: tf.data.Dataset  # of (what the model takes, judge)
    steps: int  # batches in an epoch


class Shuffling(NamedTuple):
    """How the triplets of an epoch are put in batches."""

    batch_size: int
    seed: int
    first: int  # epoch, from 0
    last: int  # epoch, exclusive
    whole: bool  # leave out what does not fill a batch

    def batches(self, triplets: tf.data.Dataset) -> tf.data.Dataset:
        return triplets.batch(self.batch_size, drop_remainder=self.whole)


def of_images(sources: Sequence[Source], shuffling: Shuffling) -> Epochs:
    """((ref, p0, p1), judge). Of trees all triplets are shuffled; those that TFDS prepared are
    mixed, and shuffled within a buffer.
    """
    counts = [int(source.stored.cardinality()) for source in sources]
    stored = [source.stored for source in sources]
    if sources[0].tree is not None:
        rows, buffer = _concatenated(stored), sum(counts)
    else:
        weights = [count / sum(counts) for count in counts]
        rows = tf.data.Dataset.sample_from_datasets(stored, weights, shuffling.seed)
        buffer = min(BUFFER, sum(counts))

    def batches(shuffled):
        return shuffling.batches(sources[0].read(shuffled)).map(_inputs)

    return _epochs(rows, sum(counts), buffer, batches, shuffling)


def of_differences(records: Sequence[np.ndarray], shuffling: Shuffling) -> Epochs:
    """(differences, judge) from what `feature_cache.read` gives; all are shuffled."""
    count = sum(len(part) for part in records)
    rows = tf.data.Dataset.range(count)
    gather = _gathering(records)

    def batches(shuffled):
        return shuffling.batches(shuffled).map(gather)

    return _epochs(rows, count, count, batches, shuffling)


def images_for_validation(
    sources: Sequence[Source], batch_size: int, replicas: int
) -> tf.data.Dataset:
    """Batches of ((ref, p0, p1), judge) in order, of no fewer triplets than replicas."""
    triplets = _concatenated([source.examples for source in sources])
    size = _shared_size(int(triplets.cardinality()), batch_size, replicas)
    return evaluation.in_batches(triplets, size).map(_inputs).with_options(_options())


def differences_for_validation(
    records: Sequence[np.ndarray], batch_size: int, replicas: int
) -> tf.data.Dataset:
    """Batches of (differences, judge), as `images_for_validation`."""
    count = sum(len(part) for part in records)
    size = _shared_size(count, batch_size, replicas)
    rows = evaluation.in_batches(tf.data.Dataset.range(count), size)
    return rows.map(_gathering(records)).with_options(_options())


def _shared_size(count: int, batch_size: int, replicas: int) -> int:
    """A batch size of at most `batch_size` that leaves no last batch with too few for all replicas.

    Raises:
        ValueError: there is none.
    """
    for size in range(min(batch_size, count), replicas - 1, -1):
        if count % size == 0 or count % size >= replicas:
            return size
    raise ValueError(
        f"Expected triplets and a batch size for {replicas} devices. "
        f"Received: {count} triplets, batch_size={batch_size}"
    )


def cached(metric: LPIPS, source: Source, folder: Path) -> np.ndarray:
    """The records of a data set in a folder of caches; computed at first.

    Raises:
        ValueError: an image cannot be read.
        OSError: the folder cannot be written to.
    """
    path = folder / f"{feature_cache.key(metric, source.fingerprint())}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.npy"):  # by processes that were killed
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink(missing_ok=True)
        count = int(source.stored.cardinality())
        with work.progress(count, f"caching {source.name}") as bar, explaining(source):
            for done in feature_cache.write(path, metric, source.examples):
                bar.advance(bar.task_ids[0], done)
    return feature_cache.read(path, metric)


def _epochs(
    rows: tf.data.Dataset, count: int, buffer: int, batches: Callable, shuffling: Shuffling
) -> Epochs:
    """`batches` makes them of the shuffled rows of an epoch."""
    size = shuffling.batch_size
    steps = count // size if shuffling.whole else -(-count // size)
    if steps < 1:
        raise ValueError(
            f"Expected at least a batch of {size} triplets where several devices share it. "
            f"Received: {count}"
        )

    def epoch(number):
        shuffled = rows.shuffle(buffer, seed=number, reshuffle_each_iteration=False)
        return batches(shuffled)

    # Seeds of a run lie apart from those of a run with another.
    first, last = ((shuffling.seed << 32) + epoch for epoch in (shuffling.first, shuffling.last))
    all_epochs = tf.data.Dataset.range(first, last).flat_map(epoch)
    return Epochs(all_epochs.prefetch(PREFETCHED).with_options(_options()), steps)


def _gathering(records: Sequence[np.ndarray]) -> Callable:
    """A function of a batch of indices, within tf.data, to (differences, judge)."""
    starts = np.cumsum([0, *(len(part) for part in records)])

    def gather(indices):
        judge = np.empty(len(indices), "float32")
        differences = np.empty((len(indices), *records[0].dtype["differences"].shape), "float32")
        for part, start, end in zip(records, starts, starts[1:], strict=False):
            rows = np.flatnonzero((indices >= start) & (indices < end))
            found = part[indices[rows] - start]
            differences[rows], judge[rows] = found["differences"], found["judge"]
        return differences, judge

    def gathered(indices):
        types = (tf.float32, tf.float32)
        differences, judge = tf.numpy_function(gather, [indices], types, stateful=False)
        differences.set_shape((None, *records[0].dtype["differences"].shape))
        judge.set_shape((None,))
        return differences, judge

    return gathered


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False  # as in `evaluation`
    # Each host reads everything and keeps its part: files may be fewer than hosts, or unequal.
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    return options


def _inputs(example: dict[str, tf.Tensor]) -> tuple:
    return (example["ref"], example["p0"], example["p1"]), example["judge"]


def _concatenated(datasets: Sequence[tf.data.Dataset]) -> tf.data.Dataset:
    first, *others = datasets
    for other in others:
        first = first.concatenate(other)
    return first
