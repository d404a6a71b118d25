"""Makes the batches of a training: several data sets as one, ordered by seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lpips_tf import evaluation
from lpips_tf_cli.judgements.sources import Source

BUFFER = 10_000  # triplets in the shuffle buffer of TFDS' data sets, 370 MB
PREFETCHED = 2


class Epochs(NamedTuple):
    """Batches of (model inputs, judge), in an order of its own for each epoch."""

    rows: tf.data.Dataset  # to shuffle
    buffer: int  # rows in the shuffle buffer
    # from shuffled rows and a number that is the epoch's own
    to_batches: Callable[[tf.data.Dataset, tf.Tensor], tf.data.Dataset]
    seed: int

    def between(self, first: int, last: int) -> tf.data.Dataset:
        """The batches of the epochs from `first` to before `last`, one epoch after the other."""
        # Runs with different seeds share no epoch seeds.
        numbers = tf.data.Dataset.range((self.seed << 32) + first, (self.seed << 32) + last)
        return numbers.flat_map(self._epoch).prefetch(PREFETCHED).with_options(_dataset_options())

    def _epoch(self, number: tf.Tensor) -> tf.data.Dataset:
        rows = self.rows.shuffle(self.buffer, seed=number, reshuffle_each_iteration=False)
        return self.to_batches(rows, number)


class Data(NamedTuple):
    """The data arguments of `fit`."""

    steps: int  # batches in an epoch
    epochs: Epochs
    validation: tf.data.Dataset | None


class Shuffling(NamedTuple):
    """The shuffling of an epoch's triplets into batches."""

    batch_size: int
    seed: int
    replicas: int  # that share a batch; several leave out an incomplete last batch

    @property
    def whole(self) -> bool:
        """Whether an incomplete last batch is left out."""
        return self.replicas > 1

    def steps(self, count: int) -> int:
        """The number of batches in an epoch of `count` triplets.

        Raises:
            ValueError: there is none.
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
        """The triplets in batches for training."""
        return triplets.batch(self.batch_size, drop_remainder=self.whole)

    def in_order(self, triplets: tf.data.Dataset) -> tf.data.Dataset:
        """Batches of all triplets for validation; even the last has one for every replica.

        Raises:
            ValueError: there are too few triplets.
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
    """Batches of ((ref, p0, p1), judge).

    The triplets of trees and tables are shuffled as a whole. The data sets that TFDS prepared are
    mixed, and shuffled within a buffer.
    """
    counts = [int(source.stored.cardinality()) for source in sources]
    stored = [source.stored for source in sources]
    if sources[0].read_images is not None:
        rows, buffer = _concatenated(stored), sum(counts)
    else:
        weights = [count / sum(counts) for count in counts]
        rows = tf.data.Dataset.sample_from_datasets(stored, weights, shuffling.seed)
        buffer = min(BUFFER, sum(counts))

    def to_batches(shuffled: tf.data.Dataset, number: tf.Tensor) -> tf.data.Dataset:
        return shuffling.batches(sources[0].read_examples(shuffled, number)).map(_inputs)

    validated = None
    if validation:
        examples = _concatenated([source.examples for source in validation])
        validated = shuffling.in_order(examples).map(_inputs).with_options(_dataset_options())
    epochs = Epochs(rows, buffer, to_batches, shuffling.seed)
    return Data(shuffling.steps(sum(counts)), epochs, validated)


def of_differences(
    records: Sequence[np.ndarray], validation: Sequence[np.ndarray], shuffling: Shuffling
) -> Data:
    """Batches of (differences, judge) from feature caches, shuffled as a whole.

    Args:
        records: of the training data, as `feature_cache.read` returns them.
        validation: the same for validation.
        shuffling: makes the batches.
    """
    trained = _Records(records)

    def to_batches(shuffled: tf.data.Dataset, _: tf.Tensor) -> tf.data.Dataset:
        return shuffling.batches(shuffled).map(trained.gather)

    validated = None
    if validation:
        judged = _Records(validation)
        validated = (
            shuffling.in_order(judged.indices).map(judged.gather).with_options(_dataset_options())
        )
    epochs = Epochs(trained.indices, len(trained), to_batches, shuffling.seed)
    return Data(shuffling.steps(len(trained)), epochs, validated)


class _Records:
    """The records of several feature caches as one, within tf.data."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
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


def _dataset_options() -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False  # as in `evaluation`
    # Each host reads everything and keeps its share: there may be fewer files than hosts.
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    return options


def _inputs(
    example: dict[str, tf.Tensor],
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    return (example["ref"], example["p0"], example["p1"]), example["judge"]


def _concatenated(datasets: Sequence[tf.data.Dataset]) -> tf.data.Dataset:
    first, *others = datasets
    for other in others:
        first = first.concatenate(other)
    return first
