"""Computes distances and embeddings of batches, with one metric for each worker process."""

from __future__ import annotations

import abc
import collections
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import ModelHandler
from keras import ops

from lpips_tf._beam.image_reading import NAMESPACE, Element, Task
from lpips_tf._support.arguments import check_count, checked_source
from lpips_tf.metric import LPIPS


class Handler(ModelHandler[Task, Element, LPIPS], abc.ABC):
    """Loads one metric for each worker process, and computes batches of images with it.

    Args:
        options: arguments of `lpips_tf.LPIPS`.
        batch_size: the maximum number of tasks in a batch.

    Raises:
        TypeError, ValueError: as `lpips_tf.LPIPS` does; or maps are asked for, or no batches.
    """

    nothing: Mapping[str, Any]  # fields of an element that failed
    counted: str  # name of the counter of elements

    def __init__(self, options: Mapping[str, Any], batch_size: int) -> None:
        check_count("batch_size", batch_size)
        # What is wrong would fail in the workers. Files of weights may be there alone.
        for name in ("backbone_weights", "head_weights"):
            checked_source(name, options.get(name))
        LPIPS(**{**options, "backbone_weights": None, "head_weights": None})
        if options.get("spatial"):
            raise ValueError("Expected a metric that gives numbers. Received: spatial=True")
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self.options = dict(options)
        self._counts = collections.defaultdict[str, float](float)

    @property
    def net(self) -> str:
        """The network of the metric."""
        return str(self.options.get("net", "alex"))

    def load_model(self) -> LPIPS:
        """Makes the metric of a worker process."""
        return LPIPS(**self.options)

    def run_inference(
        self, batch: Sequence[Task], model: LPIPS, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Element]:
        """Computes the images of one size together: Beam forms batches as elements come."""
        start = time.perf_counter()
        by_size: dict[tuple[int, ...], list[int]] = collections.defaultdict(list)
        for i, task in enumerate(batch):
            by_size[task.images[0].shape].append(i)
        results: list[Element] = [{}] * len(batch)
        for indices in by_size.values():
            images = zip(*(batch[i].images for i in indices), strict=True)
            found = self.compute(model, *(np.stack(stack) for stack in images))
            for i, fields in zip(indices, found, strict=True):
                results[i] = {**batch[i].element, **self._checked(fields)}
        failed = sum(result["error"] is not None for result in results)
        pixels = sum(image[..., 0].size for task in batch for image in task.images)
        self._count(self.counted, len(batch) - failed)
        if failed:  # `Read` has a counter of this name too, which Beam tells apart by the step
            self._count("errors", failed)
        self._count("megapixels", pixels / 1e6)
        self._count("seconds", time.perf_counter() - start)
        return results

    def _checked(self, fields: Element) -> Element:
        """The fields, or an error in place of numbers that are not finite."""
        for name, value in fields.items():
            if not np.isfinite(value).all():
                reason = f"Expected a finite {name}. Received: NaN or infinity"
                return {**self.nothing, "error": f"{reason}. Check the weights and the dtype"}
        return {**fields, "error": None}

    @abc.abstractmethod
    def compute(self, metric: LPIPS, *images: npt.NDArray[np.uint8]) -> Iterator[Element]:
        """Yields the fields of each task, from batches of images of one size."""

    def _count(self, name: str, amount: float) -> None:
        """Counts in whole numbers, as Beam does; the rest waits for the next batch."""
        self._counts[name] += amount
        whole = int(self._counts[name])
        self._counts[name] -= whole
        Metrics.counter(NAMESPACE, name).inc(whole)


class Scores(Handler):
    """Computes the distances of pairs.

    Args:
        options: arguments of `lpips_tf.LPIPS`.
        batch_size: the maximum number of pairs in a batch.
        per_layer: also give what each layer adds to a distance.
    """

    counted = "pairs"

    def __init__(self, options: Mapping[str, Any], batch_size: int, per_layer: bool) -> None:
        super().__init__(options, batch_size)
        self.per_layer = per_layer
        self.nothing = {"distance": None} | ({"layers": None} if per_layer else {})

    def compute(self, metric: LPIPS, *images: npt.NDArray[np.uint8]) -> Iterator[Element]:
        """Yields the distance of each pair."""
        reference, image = images
        found, layers = metric(reference, image, return_per_layer=True)
        found = ops.convert_to_numpy(found)
        layers = np.stack([ops.convert_to_numpy(layer) for layer in layers], axis=1)
        for distance, parts in zip(found.tolist(), layers.tolist(), strict=True):
            yield {"distance": distance} | ({"layers": parts} if self.per_layer else {})


class Embeddings(Handler):
    """Computes the embeddings of images."""

    counted = "images"
    nothing: Mapping[str, Any] = {"embedding": None}

    def compute(self, metric: LPIPS, *images: npt.NDArray[np.uint8]) -> Iterator[Element]:
        """Yields the embedding of each image."""
        for embedding in ops.convert_to_numpy(metric.embed(*images)):
            yield {"embedding": embedding}
