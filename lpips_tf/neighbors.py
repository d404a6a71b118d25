"""Nearest neighbours by LPIPS among many images.

LPIPS is a squared Euclidean distance of embeddings (`LPIPS.embed`), but embeddings are long: 31,872
numbers with AlexNet at 64x64. A seeded random projection (the sketch) shortens them to a length
that FAISS indexes, and LPIPS itself sorts what FAISS finds. For that the index keeps the images.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from lpips_tf._neighbors import faiss_indexes, index_files
from lpips_tf._neighbors.embeddings import BATCH, embed, embed_in_batches
from lpips_tf._neighbors.grouping import groups
from lpips_tf._neighbors.sketches import Sketch
from lpips_tf._support.arguments import check_count, is_number, shown
from lpips_tf.metric import LPIPS, check_metric
from lpips_tf.weights import keras_stores

__all__ = ["Index", "Neighbors", "Sketch", "groups"]

SLACK = 1.5  # shortened embeddings are rarely a tenth nearer or farther than long ones
ROUNDING = 1e-5  # of the distances of shortened embeddings
EQUAL = 1e-12  # far below what any difference of pixels makes
SOURCES = ("backbone_weights", "head_weights")
PACKAGED = ("imagenet", "bapps")  # the names of weights that come with the package


class Neighbors(NamedTuple):
    """The nearest images of each query, the nearest first."""

    distances: npt.NDArray[np.float32]  # (Q, k)
    indices: npt.NDArray[np.int64]  # (Q, k), positions of images in the index


class Index:
    """Images of one size, to be searched by LPIPS.

    The metric's weights must stay as they are: with others, the index is of no use.

    Args:
        metric: the `LPIPS` that compares.
        images: (N, H, W, 3) uint8, an array or a data set that gives arrays for slices.
        names: of the images.
        sketch: the projection of embeddings.
        index: FAISS' index of the projected embeddings.
    """

    def __init__(
        self, metric: LPIPS, images: Any, names: Sequence[str], sketch: Sketch, index: Any
    ) -> None:
        self.metric = metric
        self.images = images
        self.names = list(names)
        self.sketch = sketch
        self.index = index
        self._weights = keras_stores.fingerprint(metric)

    @classmethod
    def build(
        cls,
        metric: LPIPS,
        images: Any,
        names: Sequence[str] | None = None,
        dimensions: int = 1024,
        factory: str = "Flat",
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Index:
        """Indexes images.

        Args:
            metric: an `LPIPS` without maps.
            images: (N, H, W, 3) uint8.
            names: N different names; by default the positions.
            dimensions: length of a projected embedding.
            factory: the kind of FAISS index, in the words of `faiss.index_factory`: "Flat" keeps
                all numbers; "PCA64,PQ16" keeps 16 bytes of an image, and "IVF256,Flat" searches
                only a part of the images.
            seed: seed of the projection.
            progress: called as `progress(done, total)` after each batch.

        Raises:
            ValueError: a metric of maps, images of another shape or type, names that do not fit,
                or a factory that FAISS refuses, or has too few images for.
            OSError: for a factory other than "Flat", the temporary folder is full.
        """
        check_metric(metric)
        if metric.spatial:
            raise ValueError("Expected a metric that gives numbers. Received: spatial=True")
        check_count("dimensions", dimensions)
        check_count("seed", seed, least=0)
        if not isinstance(factory, str):
            raise ValueError(f"Expected factory in FAISS' words. Received: {shown(factory)}")
        images = _checked_images(images)
        names = _checked_names(names, len(images))
        length = int(metric.embed(images[:1]).shape[1])
        sketch = Sketch(length, min(int(dimensions), length), int(seed))
        short = np.concatenate(
            [sketch(embeddings) for embeddings in embed_in_batches(metric, images, progress)]
        )
        return cls(metric, images, names, sketch, faiss_indexes.build(short, factory))

    def search(self, queries: Any, k: int = 10, candidates: int = 100) -> Neighbors:
        """Finds the nearest images, with their LPIPS.

        Args:
            queries: (Q, H, W, 3) uint8, of the size of the images.
            k: how many to find for each query; at most as many as there are.
            candidates: number of images that FAISS finds and LPIPS then sorts.

        Raises:
            ValueError: queries of another shape or type, `k` below 1, or a metric whose weights
                have changed since, or are not finite.
        """
        self._check_weights()
        queries = self._checked_queries(queries)
        check_count("k", k)
        check_count("candidates", candidates)
        k = min(k, len(self.names))
        candidates = min(max(k, candidates), len(self.names))
        found = [
            self._nearest(embedding, k, candidates)
            for embeddings in embed_in_batches(self.metric, queries)
            for embedding in embeddings
        ]
        return Neighbors(*(np.stack(part) for part in zip(*found, strict=True)))

    def pairs(
        self, threshold: float, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[tuple[int, int, float]]:
        """Yields pairs of images at most `threshold` apart: positions i < j, and the distance.

        LPIPS is computed for all pairs that are at most 1.5 times `threshold` apart in FAISS'
        index. Kinds of index that search only a part of the images (IVF, HNSW) miss some pairs.

        Args:
            threshold: the largest distance of a pair.
            progress: called as `progress(done, total)` after each batch.

        Raises:
            ValueError: a threshold below 0 or NaN, a kind of index that FAISS cannot search so, or
                a metric whose weights have changed since.
        """
        self._check_weights()
        if not is_number(threshold) or not threshold >= 0:
            raise ValueError(f"Expected a threshold of at least 0. Received: {shown(threshold)}")
        radius = SLACK * threshold + ROUNDING
        for start in range(0, len(self.names), BATCH):
            embeddings = embed(self.metric, self.images[start : start + BATCH])
            near = faiss_indexes.within(self.index, self.sketch(embeddings), radius)
            for i, (embedding, found) in enumerate(zip(embeddings, near, strict=True), start):
                others = np.sort(found[found > i])
                for j, distance in zip(others, self._distances(embedding, others), strict=True):
                    if distance <= threshold:
                        yield i, int(j), float(distance)
            if progress is not None:
                progress(start + len(embeddings), len(self.names))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one HDF5 file, which appears whole or not at all.

        Weights stay in the files that the metric's arguments name. Weights that are in none, such
        as trained ones, must be saved with the metric (`metric.save`), and given to `load` so.

        Raises:
            OSError: it cannot be written.
            ValueError: the metric's weights have changed since the index was built.
        """
        self._check_weights()
        config = self.metric.get_config()
        for name in SOURCES:  # they will be loaded from other folders
            if config[name] not in (*PACKAGED, None):
                config[name] = str(Path(config[name]).resolve())
        content = index_files.Content(
            metric=config,
            weights=self._weights,
            sketch=self.sketch._asdict(),
            names=self.names,
            images=self.images,
            faiss_index=faiss.serialize_index(self.index),
        )
        index_files.write(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str], metric: LPIPS | None = None) -> Index:
        """Reads a file that `save` wrote.

        The index reads images from the file when it needs them, so the file must not change.

        Args:
            path: of the file.
            metric: by default one as the index was built with.

        Raises:
            OSError: the file is missing, damaged, or no index.
            ValueError: it was built with another metric, or with other weights.
        """
        content = index_files.read(path)
        index = faiss.deserialize_index(content.faiss_index)
        if index.ntotal != len(content.names):
            raise OSError(f"Cannot read the index {path}: it is damaged")
        if metric is None:
            metric = LPIPS.from_config(content.metric)
        elif different := _differences(metric.get_config(), content.metric):
            raise ValueError(f"Expected the metric that {path} was built with: {different}")
        if keras_stores.fingerprint(metric) != content.weights:
            raise metric._missing_weights or ValueError(
                f"Expected the weights that {path} was built with. Received: others, in the files "
                "that it names or in none. Index.load(path, metric) takes a metric that has them"
            )
        return cls(metric, content.images, content.names, Sketch(**content.sketch), index)

    def _check_weights(self) -> None:
        if keras_stores.fingerprint(self.metric) != self._weights:
            raise ValueError(
                "Expected the weights that the index was built with. Received: a metric whose "
                "weights have changed since"
            )

    def _nearest(
        self, embedding: npt.NDArray[Any], k: int, candidates: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Distances and positions of the images nearest to one query, given by its embedding."""
        found = faiss_indexes.nearest(self.index, self.sketch(embedding[None]), candidates, k)
        distances = self._distances(embedding, found)
        order = np.argsort(distances, kind="stable")[:k]
        return distances[order].astype(np.float32), found[order]

    def _distances(
        self, embedding: npt.NDArray[Any], positions: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Distances of one embedding from those of images, which are computed again."""
        parts = [np.empty(0)]
        for start in range(0, len(positions), BATCH):
            others = embed(self.metric, self.images[positions[start : start + BATCH]])
            difference = np.square(others - embedding)
            parts.append(difference.sum(axis=1, dtype=np.float64))
        distances = np.concatenate(parts)
        # Batches of other sizes round otherwise: an image's distance from itself would not be 0.
        return np.where(distances < EQUAL, 0, distances)

    def _checked_queries(self, queries: Any) -> npt.NDArray[np.uint8]:
        array, shape = np.asarray(queries), self.images.shape[1:]
        if array.shape[1:] != shape or array.dtype != np.uint8 or not len(array):
            raise ValueError(
                f"Expected queries of shape (Q, {', '.join(map(str, shape))}) and dtype uint8, as "
                f"the images have. Received: shape={array.shape}, dtype={array.dtype}"
            )
        return array


def _checked_images(images: Any) -> npt.NDArray[np.uint8]:
    array = np.asarray(images)
    if array.ndim != 4 or array.dtype != np.uint8 or not len(array):
        raise ValueError(
            "Expected images of shape (N, H, W, 3) and dtype uint8. "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    return array


def _checked_names(names: Sequence[str] | None, count: int) -> list[str]:
    if names is None:
        return [str(i) for i in range(count)]
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise ValueError(f"Expected a sequence of names. Received: {shown(names)}")
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"Expected names as strings. Received: {shown(names[0])}")
    if len(names) != count or len(set(names)) < len(names):
        raise ValueError(
            f"Expected a name of its own for each of {count} images. "
            f"Received: {len(names)} names, {len(set(names))} different ones"
        )
    return names


def _differences(received: dict[str, Any], expected: dict[str, Any]) -> str:
    """The arguments other than weights that make embeddings differ, with both values."""
    names = ("net", "version", "lpips", "value_range")
    return ", ".join(
        f"{name}={expected.get(name)!r}, received {received.get(name)!r}"
        for name in names
        if json.dumps(received.get(name)) != json.dumps(expected.get(name))
    )
