"""Reads the images that elements name, from any file system that Beam knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput

from lpips_tf import images
from lpips_tf._support.resizing import Resizing, is_distorted
from lpips_tf._support.sizes import check_min_size, shown_size
from lpips_tf.metric import NETWORKS

NAMESPACE = "lpips_tf"  # of the counters
FAILED = "failed"  # the output of elements whose images cannot be compared
Element = dict[str, Any]


class Task(NamedTuple):
    """An element and the images that it names."""

    element: Element
    images: Sequence[npt.NDArray[np.uint8]]


class Read(beam.DoFn):
    """Reads the images named in fields of an element into a `Task`, or outputs to `FAILED`.

    Args:
        fields: names of the fields with paths of images.
        net: the network, which has a minimum size.
        nothing: values of the result fields of an element that fails.
        srgb: convert images with other colour profiles.
        resizing: resizes a reference and an image to one size.
    """

    def __init__(
        self,
        fields: Sequence[str],
        net: str,
        nothing: Mapping[str, Any],
        srgb: bool,
        resizing: Resizing | None = None,
    ) -> None:
        self._fields = fields
        self._srgb = srgb
        self._min_size = NETWORKS[net].min_size
        self._nothing = {**nothing, "resized": None} if resizing else nothing
        self._resizing = resizing
        self._errors = Metrics.counter(NAMESPACE, "errors")
        self._distorted = Metrics.counter(NAMESPACE, "distorted")

    def process(self, element: Element) -> Iterator[Task | TaggedOutput[str, Element]]:
        """Yields the task of an element, or the element with its error."""
        try:
            loaded = [_loaded(element, field, self._srgb) for field in self._fields]
            if self._resizing:
                element, loaded = self._resized(element, loaded, self._resizing)
            self._check_sizes(element, loaded)
        except (OSError, ValueError) as error:
            self._errors.inc()
            yield TaggedOutput(FAILED, {**element, **self._nothing, "error": str(error)})
            return
        yield Task(element, loaded)

    def _resized(
        self, element: Element, loaded: Sequence[npt.NDArray[np.uint8]], resizing: Resizing
    ) -> tuple[Element, list[npt.NDArray[np.uint8]]]:
        """The element with the size that a reference and an image are resized to, and these."""
        reference, image = (loaded[0].shape[:2], loaded[1].shape[:2])
        size = resizing.of_image(reference)
        if is_distorted(reference, image):
            self._distorted.inc()
        resized = [images.resize(one, size) for one in loaded]
        return {**element, "resized": shown_size(size)}, resized

    def _check_sizes(self, element: Element, loaded: Sequence[npt.NDArray[np.uint8]]) -> None:
        sizes = [shown_size(image.shape) for image in loaded]
        named = " and ".join(
            f"{element[field]} of {size}" for field, size in zip(self._fields, sizes, strict=True)
        )
        if len(set(sizes)) > 1:
            raise ValueError(
                f"Expected images of one size. Received: {named} pixels. To resize them, use resize"
            )
        check_min_size(loaded[0].shape[:2], self._min_size, received=named)


def _loaded(element: Element, field: str, srgb: bool) -> npt.NDArray[np.uint8]:
    path = element.get(field)
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str) or not path:
        raise ValueError(f"Expected a path as {field}. Received: {path!r}")
    try:
        with FileSystems.open(path) as file:
            content = file.read()
    except Exception as error:  # each file system has its own
        reason = getattr(error, "strerror", None) or error  # which does not repeat the path
        raise OSError(f"Cannot read {path}: {reason}") from error
    return images.decode(content, path, srgb)
