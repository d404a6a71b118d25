"""Batches that training sees: several data sets as one, in an order of seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lpips_tf import evaluation
from lpips_tf_cli.bapps.sources import Source

BUFFER = 10_000  # triplets of TFDS that are shuffled at a time, in 370 MB
PREFETCHED = 2


class Epochs(NamedTuple):
    """Batches of (what the model takes, judge), in an order of its own for each epoch."""

    rows: tf.data.Dataset  # what is shuffled
    buffer: int  # of how many rows the next is drawn
    read: Callable[[tf.data.Dataset], tf.data.Dataset]  # from shuffled rows to batches
    seed: int

    def between(self, first: int, last: int) -> tf.data.Dataset:
        """The batches of one epoch after the other, from the `first` to before the `last`."""
        # Seeds of a run lie apart from those of a run with another.
        numbers = tf.data.Dataset.range((self.seed << 32) + first, (self.seed << 32) + last)
        return numbers.flat_map(self._epoch).prefetch(PREFETCHED).with_options(_options())

    def _epoch(self, number: tf.Tensor) -> tf.data.Dataset:
        return self.read(
            self.rows.shuffle(self.buffer, seed=number, reshuffle_each_iteration=False)
        )


class Data(NamedTuple):
    """What `fit` takes."""

    steps: int  # batches in an epoch
    epochs: Epochs
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

    def read(shuffled: tf.data.Dataset) -> tf.data.Dataset:
        return shuffling.batches(sources[0].read(shuffled)).map(_inputs)

    validated = None
    if validation:
        examples = _concatenated([source.examples for source in validation])
        validated = shuffling.in_order(examples).map(_inputs).with_options(_options())
    epochs = Epochs(rows, buffer, read, shuffling.seed)
    return Data(shuffling.steps(sum(counts)), epochs, validated)


def of_differences(
    records: Sequence[np.ndarray], validation: Sequence[np.ndarray], shuffling: Shuffling
) -> Data:
    """(differences, judge) from what `feature_cache.read` gives; all are shuffled."""
    trained = _Records(records)

    def read(shuffled: tf.data.Dataset) -> tf.data.Dataset:
        return shuffling.batches(shuffled).map(trained.gather)

    validated = None
    if validation:
        judged = _Records(validation)
        validated = shuffling.in_order(judged.indices).map(judged.gather).with_options(_options())
    epochs = Epochs(trained.indices, len(trained), read, shuffling.seed)
    return Data(shuffling.steps(len(trained)), epochs, validated)


class _Records:
    """The records of several feature caches as one, within tf.data."""

    def __init__(self, parts: Sequence[np.ndarray]):
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def indices(self) -> tf.data.Dataset:
        return tf.data.Dataset.range(len(self))

    def gather(self, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(differences, judge) of a batch of indices."""
        types = (tf.float32, tf.float32)
        differences, judge = tf.numpy_function(self._gather, [indices], types, stateful=False)
        differences.set_shape((None, *self._shape))
        judge.set_shape((None,))
        return differences, judge

    @property
    def _shape(self) -> tuple[int, ...]:
        return self._parts[0].dtype["differences"].shape

    def _gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        judge = np.empty(len(indices), "float32")
        differences = np.empty((len(indices), *self._shape), "float32")
        for part, start, end in zip(self._parts, self._starts, self._starts[1:], strict=False):
            rows = np.flatnonzero((indices >= start) & (indices < end))
            found = part[indices[rows] - start]
            differences[rows], judge[rows] = found["differences"], found["judge"]
        return differences, judge


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
