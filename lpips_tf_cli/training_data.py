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


class Data(NamedTuple):
    """What `fit` takes: batches of (what the model takes, judge)."""

    steps: int  # batches in an epoch
    epochs: Callable[[int, int], tf.data.Dataset]  # of a first and a last epoch, exclusive
    validation: tf.data.Dataset | None


class Shuffling(NamedTuple):
    """How the triplets of an epoch are put in batches."""

    batch_size: int
    seed: int
    replicas: int  # that share a batch; of several what does not fill one is left out

    @property
    def whole(self) -> bool:
        return self.replicas > 1

    def steps(self, count: int) -> int:
        """How many batches there are in an epoch of `count` triplets.

        Raises:
            ValueError: none.
        """
        size = self.batch_size
        steps = count // size if self.whole else -(-count // size)
        if steps < 1:
            raise ValueError(
                f"Expected at least a batch of {size} triplets where several devices share it. "
                f"Received: {count}"
            )
        return steps

    def batches(self, triplets: tf.data.Dataset) -> tf.data.Dataset:
        return triplets.batch(self.batch_size, drop_remainder=self.whole)

    def in_order(self, triplets: tf.data.Dataset) -> tf.data.Dataset:
        """Batches of all triplets, the last of which too is enough for every replica.

        Raises:
            ValueError: there are too few.
        """
        count = int(triplets.cardinality())
        for size in range(min(self.batch_size, count), self.replicas - 1, -1):
            if count % size == 0 or count % size >= self.replicas:
                return evaluation.in_batches(triplets, size)
        raise ValueError(
            f"Expected triplets and a batch size for {self.replicas} devices. "
            f"Received: {count} triplets, batch_size={self.batch_size}"
        )


def of_images(
    sources: Sequence[Source], validation: Sequence[Source], shuffling: Shuffling
) -> Data:
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

    validated = None
    if validation:
        examples = _concatenated([source.examples for source in validation])
        validated = shuffling.in_order(examples).map(_inputs).with_options(_options())
    steps = shuffling.steps(sum(counts))
    return Data(steps, _epochs(rows, buffer, batches, shuffling.seed), validated)


def of_differences(
    records: Sequence[np.ndarray], validation: Sequence[np.ndarray], shuffling: Shuffling
) -> Data:
    """(differences, judge) from what `feature_cache.read` gives; all are shuffled."""
    count = sum(len(part) for part in records)
    gather = _gathering(records)

    def batches(shuffled):
        return shuffling.batches(shuffled).map(gather)

    validated = None
    if validation:
        rows = tf.data.Dataset.range(sum(len(part) for part in validation))
        gather_validation = _gathering(validation)
        validated = shuffling.in_order(rows).map(gather_validation).with_options(_options())
    epochs = _epochs(tf.data.Dataset.range(count), count, batches, shuffling.seed)
    return Data(shuffling.steps(count), epochs, validated)


def cached(metric: LPIPS, source: Source, folder: Path) -> np.ndarray:
    """The records of a data set in a folder of caches; computed at first.

    Raises:
        ValueError: an image cannot be read.
        OSError: the folder cannot be written to, or the file is damaged.
    """
    count = int(source.stored.cardinality())
    path = folder / f"{feature_cache.key(metric, source.fingerprint())}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.npy"):  # by processes that were killed
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink(missing_ok=True)
        with work.progress(count, f"caching {source.name}") as bar, explaining(source):
            for done in feature_cache.write(path, metric, source.examples):
                bar.advance(bar.task_ids[0], done)
    records = feature_cache.read(path, metric)
    if len(records) != count:
        raise OSError(
            f"Expected a feature cache of {count} triplets. Received: {path} with {len(records)}. "
            "Without it, it is made anew"
        )
    return records


def _epochs(rows: tf.data.Dataset, buffer: int, batches: Callable, seed: int) -> Callable:
    """A function of a first and a last epoch to the batches that `batches` makes of each epoch's
    shuffled rows, one epoch after the other.
    """

    def epoch(number):
        return batches(rows.shuffle(buffer, seed=number, reshuffle_each_iteration=False))

    def between(first, last):
        # Seeds of a run lie apart from those of a run with another.
        numbers = tf.data.Dataset.range((seed << 32) + first, (seed << 32) + last)
        return numbers.flat_map(epoch).prefetch(PREFETCHED).with_options(_options())

    return between


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
