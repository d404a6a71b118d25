"""Batches of judged images, and a metric's distances on them."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lpips_tf._support.image_batches import BATCH_PIXELS, batch_length
from lpips_tf.baselines import Baseline
from lpips_tf.metric import LPIPS

HELD_PIXELS = 4 * BATCH_PIXELS  # in batches that are not full yet

Example = dict[str, Any]


def by_size(examples: Iterable[Example], image: str, batch_size: int) -> Iterator[Example]:
    """Batches of examples whose images have one size.

    A batch is yielded when it is full; the largest is also yielded when too many pixels wait.

    Args:
        examples: unbatched, with tensors, or with NumPy arrays and numbers.
        image: the feature whose size decides.
        batch_size: the maximum number of examples in a batch.
    """
    waiting: dict[tuple[int, int], list[Example]] = collections.defaultdict(list)
    pixels = 0
    for example in examples:
        height, width = example[image].shape[:2]
        waiting[height, width].append(example)
        pixels += height * width
        full = len(waiting[height, width]) == batch_length((height, width), batch_size)
        if full or pixels > HELD_PIXELS:
            size = (height, width) if full else max(waiting, key=lambda s: _pixels(s, waiting[s]))
            pixels -= _pixels(size, waiting[size])
            yield _stacked(waiting.pop(size))
    yield from map(_stacked, waiting.values())


def _pixels(size: tuple[int, int], examples: Sequence[Example]) -> int:
    return size[0] * size[1] * len(examples)


def _stacked(examples: Sequence[Example]) -> Example:
    columns = {name: [example[name] for example in examples] for name in examples[0]}
    return {
        name: (tf.stack if tf.is_tensor(column[0]) else np.stack)(column)
        for name, column in columns.items()
    }


def compiled(
    metric: Callable[[Any, Any], Any], image_specs: Sequence[tf.TensorSpec]
) -> Callable[[Sequence[Any]], list[npt.NDArray[Any]]]:
    """Returns a function from a list of batches to the distances of the others from the first.

    The first is the reference or p0. Under a `tf.distribute` strategy each replica takes a part.

    Args:
        metric: a function of two batches (N, H, W, 3) that returns distances (N,).
        image_specs: the spec of one image of each batch.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1 and isinstance(metric, (LPIPS, Baseline)):  # these keep their own graphs
        return lambda batches: [d.numpy() for d in _from_first(metric, batches)]

    signature = [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in image_specs]
    function = _from_first if replicas == 1 else _distributed

    @tf.function(input_signature=signature, autograph=False)
    def graph(*batches: tf.Tensor) -> list[tf.Tensor]:
        return function(metric, batches)

    return lambda batches: [d.numpy() for d in graph(*batches)]


def _from_first(metric: Callable[[Any, Any], Any], batches: Sequence[Any]) -> list[Any]:
    first, *others = batches
    if isinstance(metric, LPIPS):
        found: list[Any] = metric.distances(first, *others)
        return found
    return [metric(first, other) for other in others]


def _distributed(metric: Callable[[Any, Any], Any], batches: Sequence[Any]) -> list[tf.Tensor]:
    """Computes the distances of `_from_first` within a graph, a part on each replica.

    Parts have equal size: to fill them, the last example may be computed more than once.
    """
    strategy = tf.distribute.get_strategy()
    size = tf.shape(batches[0])[0]
    part = -(-size // strategy.num_replicas_in_sync)

    def own_part() -> list[tf.Tensor]:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * part
        rows = tf.minimum(tf.range(first, first + part), size - 1)
        return _from_first(metric, [tf.gather(batch, rows) for batch in batches])

    parts = [strategy.experimental_local_results(d) for d in strategy.run(own_part)]
    return [tf.concat(part, axis=0)[:size] for part in parts]
