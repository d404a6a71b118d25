"""Apache Beam transforms: distances, embeddings and diversity of as many pictures as there are.

Pictures are read from any file system that Beam knows. Elements are dicts; whatever fields they
have besides those named here, they keep. What cannot be read or compared becomes an element with
an `error`, so as many elements come out as go in.

`KERAS_BACKEND` may be any. Each worker process has one metric.
"""

from __future__ import annotations

import abc
import collections
import inspect
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.pvalue import TaggedOutput
from keras import ops

import lpips_tf
from lpips_tf import images
from lpips_tf._support.arguments import check_choice
from lpips_tf.metric import NETWORKS, VERSIONS
from lpips_tf.pairwise import mean_of_pairs

NAMESPACE = "lpips_tf"  # of the counters
BATCH_SIZE = 32
FAILED = "failed"
Element = dict[str, Any]


class ScorePairs(beam.PTransform):
    """The distance of each pair of pictures.

    Elements: dicts with `reference` and `image`, the paths of two pictures of one size. They come
    out with `distance`, a float, and `error`, None; or where a picture cannot be read, the sizes
    differ or are below the network's least, or the distance is not finite, with `distance` None and
    `error` a sentence.

    Counters in the namespace "lpips_tf": pairs, errors, megapixels (of both pictures), seconds (of
    computing).

    Args:
        per_layer: also give `layers`, a list of what each layer adds to the distance.
        batch_size: the most pairs of one size that are computed at once.
        srgb: convert images with other colour profiles, as `lpips_tf.images.load` does.
        options: arguments of `lpips_tf.LPIPS`, such as net="vgg" or dtype="mixed_bfloat16".
    """

    def __init__(
        self,
        *,
        per_layer: bool = False,
        batch_size: int = BATCH_SIZE,
        srgb: bool = False,
        **options: Any,
    ):
        super().__init__()
        self._srgb = srgb
        self._handler = _Scores(options, batch_size, per_layer)

    def expand(self, elements):
        return _inferred(elements, ("reference", "image"), self._handler, self._srgb)


class Embed(beam.PTransform):
    """The embedding of each picture.

    Elements: dicts with `image`, the path of a picture. They come out with `embedding`, an array
    (D,) of float32, and `error`, None; or with `embedding` None and `error` a sentence. D depends
    on the size of the picture, so that only those of one size can be compared.

    Args:
        batch_size: the most pictures of one size that are computed at once.
        srgb: as for `ScorePairs`.
        options: arguments of `lpips_tf.LPIPS`.
    """

    def __init__(self, *, batch_size: int = BATCH_SIZE, srgb: bool = False, **options: Any):
        super().__init__()
        self._srgb = srgb
        self._handler = _Embeddings(options, batch_size)

    def expand(self, elements):
        return _inferred(elements, ("image",), self._handler, self._srgb)


class MeanPairwiseDistance(beam.PTransform):
    """The mean distance over all pairs of pictures, without any pairs: the usual measure of a
    generator's diversity.

    Elements: dicts with `image`, the path of a picture; all of one size. One float comes out, equal
    to `lpips_tf.mean_pairwise_distance`. A picture that cannot be read, or of another size, fails
    the pipeline, as a mean of the others would be that of another set.

    Args:
        batch_size, srgb, options: as for `Embed`.
    """

    def __init__(self, *, batch_size: int = BATCH_SIZE, srgb: bool = False, **options: Any):
        super().__init__()
        self._embed = Embed(batch_size=batch_size, srgb=srgb, **options)

    def expand(self, elements):
        return (
            elements
            | "Embed" >> self._embed
            | "Embeddings" >> beam.Map(_embedding)
            | "Mean" >> beam.CombineGlobally(MeanOfPairs()).without_defaults()
        )


class _Moments(NamedTuple):
    number: int
    total: np.ndarray | float  # of embeddings, in float64
    squares: float  # the sum of their squared norms


class MeanOfPairs(beam.CombineFn):
    """Embeddings, (D,) each, to the mean of `‖e_i - e_j‖²` over all pairs, from Σe and Σ‖e‖² alone,
    as `lpips_tf.mean_pairwise_distance`.
    """

    def create_accumulator(self):
        return _Moments(0, 0.0, 0.0)

    def add_input(self, accumulator, element):
        embedding = np.asarray(element, np.float64)
        return _added(accumulator, _Moments(1, embedding, float(embedding @ embedding)))

    def merge_accumulators(self, accumulators):
        merged = self.create_accumulator()
        for accumulator in accumulators:
            merged = _added(merged, accumulator)
        return merged

    def extract_output(self, accumulator):
        return mean_of_pairs(*accumulator)


def _added(a: _Moments, b: _Moments) -> _Moments:
    if a.number and b.number and np.shape(a.total) != np.shape(b.total):
        raise ValueError(
            "Expected pictures of one size. "
            f"Received: embeddings of {np.size(a.total)} and of {np.size(b.total)} numbers"
        )
    return _Moments(a.number + b.number, a.total + b.total, a.squares + b.squares)


def _embedding(element: Element) -> np.ndarray:
    if element["error"] is not None:
        raise ValueError(element["error"])
    return element["embedding"]


class _Task(NamedTuple):
    element: Element
    pictures: Sequence[np.ndarray]


def _inferred(elements, fields: Sequence[str], handler: _Handler, srgb: bool):
    """Elements with what a handler computes of the pictures that the fields name."""
    read = elements | "Read" >> beam.ParDo(_Read(fields, handler, srgb)).with_outputs(
        FAILED, main="main"
    )
    computed = read.main | "Compute" >> RunInference(handler)
    return (computed, read[FAILED]) | "All" >> beam.Flatten()


class _Read(beam.DoFn):
    """Reads the pictures that fields of an element name."""

    def __init__(self, fields: Sequence[str], handler: _Handler, srgb: bool):
        self._fields = fields
        self._srgb = srgb
        self._least_side = NETWORKS[handler.options.get("net", "alex")].least_side
        self._nothing = handler.nothing
        self._errors = Metrics.counter(NAMESPACE, "errors")

    def process(self, element):
        try:
            pictures = [_loaded(element, field, self._srgb) for field in self._fields]
            self._check_sizes(element, pictures)
        except (OSError, ValueError) as error:
            self._errors.inc()
            yield TaggedOutput(FAILED, {**element, **self._nothing, "error": str(error)})
            return
        yield _Task(element, pictures)

    def _check_sizes(self, element: Element, pictures: Sequence[np.ndarray]) -> None:
        sizes = [f"{picture.shape[1]}x{picture.shape[0]}" for picture in pictures]
        named = " and ".join(
            f"{element[field]} of {size}" for field, size in zip(self._fields, sizes, strict=True)
        )
        if len(set(sizes)) > 1:
            raise ValueError(f"Expected pictures of one size. Received: {named} pixels")
        if min(pictures[0].shape[:2]) < self._least_side:
            least = f"{self._least_side}x{self._least_side}"
            raise ValueError(f"Expected pictures of at least {least} pixels. Received: {named}")


def _loaded(element: Element, field: str, srgb: bool) -> np.ndarray:
    path = element.get(field)
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str) or not path:
        raise ValueError(f"Expected a path as {field}. Received: {path!r}")
    try:
        with FileSystems.open(path) as file:
            content = file.read()
    except Exception as error:  # each file system has its own
        raise OSError(f"Cannot read {path}: {error}") from error
    return images.decode(content, path, srgb)


class _Handler(ModelHandler, abc.ABC):
    """One metric for each worker process, and what it computes of batches of pictures."""

    nothing: Mapping[str, Any]  # fields of an element that failed
    counted: str  # name of the counter of elements

    def __init__(self, options: Mapping[str, Any], batch_size: int):
        if batch_size < 1:
            raise ValueError(f"Expected batch_size of at least 1. Received: {batch_size}")
        inspect.signature(lpips_tf.LPIPS).bind(**options)  # or they would fail in the workers
        check_choice("net", options.get("net", "alex"), NETWORKS)
        check_choice("version", options.get("version", "0.1"), VERSIONS)
        if options.get("spatial"):
            raise ValueError("Expected a metric that gives numbers. Received: spatial=True")
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self.options = dict(options)
        self._counts = collections.Counter[str]()

    def load_model(self):
        return lpips_tf.LPIPS(**self.options)

    def run_inference(self, batch, model, inference_args=None) -> Iterable[Element]:
        """Beam forms batches as elements come; those of one size are computed together."""
        start = time.perf_counter()
        by_size: dict[tuple, list[int]] = collections.defaultdict(list)
        for i, task in enumerate(batch):
            by_size[task.pictures[0].shape].append(i)
        results: list[Element] = [{}] * len(batch)
        for indices in by_size.values():
            pictures = zip(*(batch[i].pictures for i in indices), strict=True)
            found = self.compute(model, *(np.stack(stack) for stack in pictures))
            for i, fields in zip(indices, found, strict=True):
                results[i] = {**batch[i].element, **self._checked(fields)}
        failed = sum(result["error"] is not None for result in results)
        pixels = sum(picture[..., 0].size for task in batch for picture in task.pictures)
        self._count(self.counted, len(batch) - failed)
        if failed:  # `_Read` has a counter of this name too, which Beam tells apart by the step
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
    def compute(self, metric: lpips_tf.LPIPS, *pictures: np.ndarray) -> Iterator[Element]:
        """Fields for each of the pictures in batches of one size."""

    def _count(self, name: str, amount: float) -> None:
        """Beam counts in whole numbers: what is left over waits for the next batch."""
        self._counts[name] += amount  # type: ignore[assignment]
        whole = int(self._counts[name])
        self._counts[name] -= whole
        Metrics.counter(NAMESPACE, name).inc(whole)


class _Scores(_Handler):
    counted = "pairs"

    def __init__(self, options: Mapping[str, Any], batch_size: int, per_layer: bool):
        super().__init__(options, batch_size)
        self.per_layer = per_layer
        self.nothing = {"distance": None} | ({"layers": None} if per_layer else {})

    def compute(self, metric, *pictures):
        found, layers = metric(*pictures, return_per_layer=True)
        found = ops.convert_to_numpy(found)
        layers = np.stack([ops.convert_to_numpy(layer) for layer in layers], axis=1)
        for distance, parts in zip(found.tolist(), layers.tolist(), strict=True):
            yield {"distance": distance} | ({"layers": parts} if self.per_layer else {})


class _Embeddings(_Handler):
    counted = "pictures"
    nothing: Mapping[str, Any] = {"embedding": None}

    def compute(self, metric, *pictures):
        for embedding in ops.convert_to_numpy(metric.embed(*pictures)):
            yield {"embedding": embedding}
