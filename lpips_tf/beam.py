"""Apache Beam transforms: distances, embeddings and diversity of any number of images.

Images are read from any file system that Beam knows. Elements are dicts; fields other than those
named here are kept. In `ScorePairs` and `Embed` an element whose image cannot be read or compared
gets an `error`, so every input element has an output element.

Each worker process has one metric, under any `KERAS_BACKEND`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import PCollection

from lpips_tf._beam.computing import Embeddings, Handler, Scores
from lpips_tf._beam.image_reading import FAILED, NAMESPACE, Element, Read
from lpips_tf._support.resizing import Resizing
from lpips_tf.pairwise import mean_of_pairs

__all__ = ["NAMESPACE", "Embed", "MeanOfPairs", "MeanPairwiseDistance", "ScorePairs"]

BATCH_SIZE = 32


class ScorePairs(beam.PTransform[PCollection[Element], PCollection[Element]]):
    """The distance of each pair of images.

    Elements: dicts with `reference` and `image`, the paths of two images of one size. They come out
    with `distance`, a float, and `error`, None. Where an image cannot be read, the sizes differ or
    are below the network's minimum size, or the distance is not finite, `distance` is None and
    `error` a sentence.

    Counters in the namespace "lpips_tf": pairs, errors, megapixels (of both images), seconds (of
    computing), distorted (images that `resize` gives other proportions).

    Args:
        per_layer: also give `layers`, a list of what each layer adds to the distance.
        batch_size: the maximum number of pairs of one size in a batch.
        srgb: convert images with other colour profiles, as `lpips_tf.images.load` does.
        resize: what images are resized to, by Pillow's antialiased Lanczos filter: "reference", the
            size of the reference; "WIDTHxHEIGHT"; or "SHORT", pixels of the reference's shorter
            side. Elements then come out with `resized` too, the size as "WIDTHxHEIGHT".
        options: arguments of `lpips_tf.LPIPS`, such as net="vgg" or dtype="mixed_bfloat16".

    Raises:
        TypeError: `options` that `lpips_tf.LPIPS` does not have.
        ValueError: `options` or an argument with a value that cannot be.
    """

    def __init__(
        self,
        *,
        per_layer: bool = False,
        batch_size: int = BATCH_SIZE,
        srgb: bool = False,
        resize: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._srgb = srgb
        self._resizing = None if resize is None else Resizing(resize)
        self._handler = Scores(options, batch_size, per_layer)

    def expand(self, elements: PCollection[Element]) -> PCollection[Element]:
        """Reads the pairs and computes their distances."""
        return _computed(
            elements, ("reference", "image"), self._handler, self._srgb, self._resizing
        )


class Embed(beam.PTransform[PCollection[Element], PCollection[Element]]):
    """The embedding of each image.

    Elements: dicts with `image`, the path of an image. They come out with `embedding`, an array
    (D,) of float32, and `error`, None; or with `embedding` None and `error` a sentence. D depends
    on the size of the image, so only embeddings of images of one size can be compared.

    Args:
        batch_size: the maximum number of images of one size in a batch.
        srgb: as for `ScorePairs`.
        options: arguments of `lpips_tf.LPIPS`.
    """

    def __init__(self, *, batch_size: int = BATCH_SIZE, srgb: bool = False, **options: Any) -> None:
        super().__init__()
        self._srgb = srgb
        self._handler = Embeddings(options, batch_size)

    def expand(self, elements: PCollection[Element]) -> PCollection[Element]:
        """Reads the images and computes their embeddings."""
        return _computed(elements, ("image",), self._handler, self._srgb)


class MeanPairwiseDistance(beam.PTransform[PCollection[Element], PCollection[float]]):
    """The mean distance over all pairs of images, the usual measure of a generator's diversity.

    Elements: dicts with `image`, the path of an image; all of one size. One float comes out, equal
    to `lpips_tf.mean_pairwise_distance`, without any pairs being formed. An image that cannot be
    read, or has another size, fails the pipeline, because the mean of the others would describe
    another set.

    Args:
        batch_size, srgb, options: as for `Embed`.
    """

    def __init__(self, *, batch_size: int = BATCH_SIZE, srgb: bool = False, **options: Any) -> None:
        super().__init__()
        self._embed = Embed(batch_size=batch_size, srgb=srgb, **options)

    def expand(self, elements: PCollection[Element]) -> PCollection[float]:
        """Embeds the images and combines their embeddings."""
        mean: PCollection[float] = (
            elements
            | "Embed" >> self._embed
            | "Embeddings" >> beam.Map(_embedding)
            | "Mean" >> beam.CombineGlobally(MeanOfPairs()).without_defaults()
        )
        return mean


class _Moments(NamedTuple):
    number: int
    total: npt.NDArray[np.float64]  # of embeddings
    squares: float  # the sum of their squared norms


class MeanOfPairs(beam.CombineFn):
    """The mean of `‖e_i - e_j‖²` over all pairs of embeddings, (D,) each.

    It follows from Σe and Σ‖e‖² alone, as in `lpips_tf.mean_pairwise_distance`.
    """

    def create_accumulator(self) -> _Moments:
        """The moments of no embeddings."""
        return _Moments(0, np.zeros(()), 0.0)

    def add_input(self, accumulator: _Moments, element: npt.NDArray[Any]) -> _Moments:
        """The moments with one embedding more."""
        embedding = np.asarray(element, np.float64)
        return _added(accumulator, _Moments(1, embedding, float(embedding @ embedding)))

    def merge_accumulators(self, accumulators: Iterable[_Moments]) -> _Moments:
        """The moments of several sets together."""
        merged = self.create_accumulator()
        for accumulator in accumulators:
            merged = _added(merged, accumulator)
        return merged

    def extract_output(self, accumulator: _Moments) -> float:
        """The mean over all pairs.

        Raises:
            ValueError: there were fewer than two embeddings.
        """
        return mean_of_pairs(*accumulator)


def _added(a: _Moments, b: _Moments) -> _Moments:
    if a.number and b.number and np.shape(a.total) != np.shape(b.total):
        raise ValueError(
            "Expected images of one size. "
            f"Received: embeddings of {np.size(a.total)} and of {np.size(b.total)} numbers"
        )
    return _Moments(a.number + b.number, a.total + b.total, a.squares + b.squares)


def _embedding(element: Element) -> npt.NDArray[Any]:
    if element["error"] is not None:
        raise ValueError(element["error"])
    embedding: npt.NDArray[Any] = element["embedding"]
    return embedding


def _computed(
    elements: PCollection[Element],
    fields: Sequence[str],
    handler: Handler,
    srgb: bool,
    resizing: Resizing | None = None,
) -> PCollection[Element]:
    """Elements with the fields that a handler computes of the images that their fields name."""
    reading = beam.ParDo(Read(fields, handler.net, handler.nothing, srgb, resizing))
    read = elements | "Read" >> reading.with_outputs(FAILED, main="main")
    computed = read.main | "Compute" >> RunInference(handler)
    found: PCollection[Element] = (computed, read[FAILED]) | "All" >> beam.Flatten()
    return found
