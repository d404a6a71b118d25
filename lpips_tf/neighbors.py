"""Nearest neighbours by LPIPS among many pictures.

LPIPS is a squared Euclidean distance of embeddings (`LPIPS.embed`), but embeddings are long: 31,872
numbers with AlexNet at 64x64. A seeded sketch shortens them to some that FAISS indexes, and what
FAISS finds is ordered anew by the distances themselves. The pictures are kept for that, so an index
needs no other file.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from keras import ops

from lpips_tf._support.arguments import check_count, is_number, shown
from lpips_tf._support.whole_files import hdf5_written_whole
from lpips_tf.metric import LPIPS, check_metric

FORMAT = "lpips_tf index 1"
SLACK = 1.5  # shortened embeddings are rarely a tenth nearer or farther than long ones
ROUNDING = 1e-5  # of the distances of shortened embeddings
EQUAL = 1e-12  # far below what any difference of pixels makes
BATCH = 64  # pictures that are embedded at once
# Kinds of FAISS index other than Flat are trained by a process of their own, as some parameters,
# such as those of HNSW0, end it.
BUILDER = """
import os, sys
factory, folder, *sys.path = sys.argv[1:]
import faiss, numpy
vectors = numpy.load(os.path.join(folder, "vectors.npy"), mmap_mode="r")
index = faiss.index_factory(vectors.shape[1], factory)
index.train(vectors)
index.add(vectors)
index.search(vectors[:1], 1)  # which some refuse
faiss.write_index(index, os.path.join(folder, "index"))
faiss.read_index(os.path.join(folder, "index"))
"""


class Neighbors(NamedTuple):
    """Of each query the nearest pictures, the nearest first."""

    distances: np.ndarray  # (Q, k) float32
    indices: np.ndarray  # (Q, k), positions of pictures in the index


class Index:
    """Pictures of one size, to be searched by LPIPS.

    Args:
        metric: the `LPIPS` that compares.
        pictures: (N, H, W, 3) uint8, an array or a data set that gives arrays for slices.
        names: of the pictures.
        sketch: what shortens embeddings.
        index: FAISS' index of the shortened embeddings.
    """

    def __init__(self, metric: LPIPS, pictures: Any, names: Sequence[str], sketch: Sketch, index):
        self.metric = metric
        self.pictures = pictures
        self.names = list(names)
        self.sketch = sketch
        self.index = index

    @classmethod
    def build(
        cls,
        metric: LPIPS,
        pictures: Any,
        names: Sequence[str] | None = None,
        dimensions: int = 1024,
        factory: str = "Flat",
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Index:
        """Indexes pictures.

        Args:
            metric: an `LPIPS` without maps.
            pictures: (N, H, W, 3) uint8.
            names: N different names; by default the positions.
            dimensions: numbers that an embedding is shortened to.
            factory: the kind of FAISS index, in the words of `faiss.index_factory`: "Flat" keeps
                all numbers; "PCA64,PQ16" keeps 16 bytes of a picture, and "IVF256,Flat" looks at a
                part of them only.
            seed: of the sketch.
            progress: called as `progress(done, total)` after each batch.

        Raises:
            ValueError: a metric of maps, pictures of another shape or type, names that do not fit,
                or a factory that FAISS refuses, or has too few pictures for.
            OSError: for a factory other than "Flat", the temporary folder is full.
        """
        check_metric(metric)
        if metric.spatial:
            raise ValueError("Expected a metric that gives numbers. Received: spatial=True")
        check_count("dimensions", dimensions)
        check_count("seed", seed, least=0)
        if not isinstance(factory, str):
            raise ValueError(f"Expected factory in FAISS' words. Received: {shown(factory)}")
        pictures = np.asarray(pictures)
        if pictures.ndim != 4 or pictures.dtype != np.uint8 or not len(pictures):
            raise ValueError(
                "Expected pictures of shape (N, H, W, 3) and dtype uint8. "
                f"Received: shape={pictures.shape}, dtype={pictures.dtype}"
            )
        names = [str(i) for i in range(len(pictures))] if names is None else names
        if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
            raise ValueError(f"Expected a sequence of names. Received: {shown(names)}")
        names = list(names)
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"Expected names as strings. Received: {shown(names[0])}")
        if len(names) != len(pictures) or len(set(names)) < len(names):
            raise ValueError(
                f"Expected a name of its own for each of {len(pictures)} pictures. "
                f"Received: {len(names)} names, {len(set(names))} different ones"
            )
        length = int(metric.embed(pictures[:1]).shape[1])
        sketch = Sketch(length, min(dimensions, length), seed)
        short = np.concatenate(
            [sketch(embeddings) for embeddings in _embedded(metric, pictures, progress)]
        )
        return cls(metric, pictures, names, sketch, _indexed(short, factory))

    def search(self, queries: Any, k: int = 10, candidates: int = 100) -> Neighbors:
        """The nearest pictures, with their LPIPS.

        Args:
            queries: (Q, H, W, 3) uint8, of the size of the pictures.
            k: how many of each; at most as many as there are.
            candidates: how many FAISS finds to be ordered by the distance itself.

        Raises:
            ValueError: queries of another shape or type, `k` below 1, or a metric whose weights are
                not finite.
        """
        queries = self._checked(queries)
        check_count("k", k)
        check_count("candidates", candidates)
        k = min(k, len(self.names))
        candidates = min(max(k, candidates), len(self.names))
        found = [
            self._nearest(embedding, k, candidates)
            for embeddings in _embedded(self.metric, queries)
            for embedding in embeddings
        ]
        return Neighbors(*(np.stack(part) for part in zip(*found, strict=True)))

    def pairs(
        self, threshold: float, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[tuple[int, int, float]]:
        """Pairs of pictures whose distance is at most `threshold`: positions i < j, and it.

        Distances are computed of all pairs that in FAISS' index are at most 1.5 times as far. Kinds
        of index that look at a part of the pictures only (IVF, HNSW) miss some.

        Args:
            threshold: the largest distance of a pair.
            progress: called as `progress(done, total)` after each batch.

        Raises:
            ValueError: a threshold below 0 or NaN, or a kind of index that FAISS cannot search so.
        """
        if not is_number(threshold) or not threshold >= 0:
            raise ValueError(f"Expected a threshold of at least 0. Received: {shown(threshold)}")
        for start in range(0, len(self.names), BATCH):
            embeddings = _embed(self.metric, self.pictures[start : start + BATCH])
            limits, found = self._within(self.sketch(embeddings), SLACK * threshold + ROUNDING)
            for i, embedding in enumerate(embeddings, start):
                others = found[limits[i - start] : limits[i - start + 1]]
                others = np.sort(others[others > i])
                for j, distance in zip(others, self._distances(embedding, others), strict=True):
                    if distance <= threshold:
                        yield i, int(j), float(distance)
            if progress is not None:
                progress(start + len(embeddings), len(self.names))

    def save(self, path: str | os.PathLike) -> None:
        """Writes one HDF5 file, which appears whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        import faiss

        content = faiss.serialize_index(self.index)
        names = b"\0".join(os.fsencode(name) for name in self.names)
        with hdf5_written_whole(path) as file:
            file.attrs["format"] = FORMAT
            file.attrs["metric"] = json.dumps(self.metric.get_config())
            file.attrs["sketch"] = json.dumps(self.sketch._asdict())
            file.attrs["sha256"] = hashlib.sha256(content.tobytes()).hexdigest()
            file["index"] = content
            file["names"] = np.frombuffer(names, np.uint8)
            shape = (len(self.names), *self.pictures.shape[1:])
            stored = file.create_dataset("pictures", shape, np.uint8)
            for start in range(0, len(self.names), BATCH):
                stored[start : start + BATCH] = self.pictures[start : start + BATCH]

    @classmethod
    def load(cls, path: str | os.PathLike, metric: LPIPS | None = None) -> Index:
        """Reads what `save` wrote. Pictures stay in the file, which must not change meanwhile.

        Args:
            path: of the file.
            metric: by default one as the index was built with.

        Raises:
            OSError: the file is missing, damaged, or no index.
            ValueError: it was built with another metric.
        """
        import faiss

        config, sketch, names, pictures, content = _read(path)
        index = faiss.deserialize_index(content)
        if index.ntotal != len(names):
            raise OSError(f"Cannot read the index {path}: it is damaged")
        if metric is None:
            metric = LPIPS.from_config(config)
        elif different := _differences(metric.get_config(), config):
            raise ValueError(f"Expected the metric that {path} was built with: {different}")
        return cls(metric, pictures, names, Sketch(**sketch), index)

    def _nearest(self, embedding: np.ndarray, k: int, candidates: int):
        """Of one picture, by its embedding: distances and positions."""
        found = self._candidates(self.sketch(embedding[None]), candidates, k)
        distances = self._distances(embedding, found)
        order = np.argsort(distances, kind="stable")[:k]
        return distances[order].astype(np.float32), found[order]

    def _candidates(self, vector: np.ndarray, count: int, least: int) -> np.ndarray:
        """Positions that FAISS finds, in order, for the file. Of an IVF index more lists are
        searched until these are enough.
        """
        import faiss

        ivf = faiss.try_extract_index_ivf(self.index)
        lists = 0 if ivf is None else ivf.nprobe
        try:
            while True:
                _, (found,) = self.index.search(vector, count)
                found = np.unique(found[found >= 0])  # -1 stands for none
                if len(found) >= least:
                    return found
                if ivf is None or ivf.nprobe >= ivf.nlist:
                    return np.arange(len(self.names))  # graphs (HNSW) may be in several parts
                ivf.nprobe *= 2
        finally:
            if ivf is not None:
                ivf.nprobe = lists

    def _within(self, vectors: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """What FAISS finds nearer than `radius`: where each vector's positions begin, and these."""
        try:
            limits, _, found = self.index.range_search(vectors, radius)
        except RuntimeError as error:
            raise ValueError(
                "Expected an index that finds all pictures within a distance, such as "
                f"factory='Flat'. Received: {type(self.index).__name__}, for which FAISS says: "
                f"{_reason(str(error))}"
            ) from error
        return limits, found

    def _distances(self, embedding: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Of an embedding from those of pictures, which are computed again."""
        parts = [np.empty(0)]
        for start in range(0, len(positions), BATCH):
            others = _embed(self.metric, self.pictures[positions[start : start + BATCH]])
            difference = np.square(others - embedding)
            parts.append(difference.sum(axis=1, dtype=np.float64))
        distances = np.concatenate(parts)
        # Batches of other sizes round otherwise: a picture's distance from itself would not be 0.
        return np.where(distances < EQUAL, 0, distances)

    def _checked(self, queries: Any) -> np.ndarray:
        queries, shape = np.asarray(queries), self.pictures.shape[1:]
        if queries.shape[1:] != shape or queries.dtype != np.uint8 or not len(queries):
            raise ValueError(
                f"Expected queries of shape (Q, {', '.join(map(str, shape))}) and dtype uint8, as "
                f"the pictures have. Received: shape={queries.shape}, dtype={queries.dtype}"
            )
        return queries


class Sketch(NamedTuple):
    """A random projection (N, length) to (N, dimensions) that keeps distances in the mean: each
    number of a vector is added to, or subtracted from, one of the projection's.

    Reference:
        Weinberger et al., "Feature hashing for large scale multitask learning" (ICML 2009), here
        with as many numbers for each of the projection's.
    """

    length: int
    dimensions: int
    seed: int

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        if self.length <= self.dimensions:
            return np.ascontiguousarray(vectors)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        order, signs = rng.permutation(self.length), rng.integers(0, 2, self.length) * 2 - 1
        starts = np.linspace(0, self.length, self.dimensions, endpoint=False).astype(int)
        return np.add.reduceat((vectors * signs.astype(np.float32))[:, order], starts, axis=1)


def groups(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What pairs connect, directly or by others: lists of positions, the largest first."""
    leader: dict[int, int] = {}

    def find(i: int) -> int:
        while leader.setdefault(i, i) != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for i, j in pairs:
        leader[find(j)] = find(i)
    found: dict[int, list[int]] = {}
    for i in sorted(leader):
        found.setdefault(find(i), []).append(i)
    return sorted(found.values(), key=lambda group: (-len(group), group))


def _read(path: str | os.PathLike) -> tuple[dict, dict, list[str], h5py.Dataset, np.ndarray]:
    """What `Index.save` wrote: the configurations of the metric and of the sketch, the names, the
    pictures, which stay in the file, and the bytes of FAISS' index.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"Expected an index. There is none at {path}")
    try:
        file = h5py.File(path, "r")
        if file.attrs.get("format") != FORMAT:
            raise ValueError(f"format={file.attrs.get('format')!r}")
        config, sketch = (json.loads(file.attrs[name]) for name in ("metric", "sketch"))
        content, names, pictures = file["index"][:], file["names"][:], file["pictures"]
        expected = file.attrs["sha256"]
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # h5py's, by what is damaged
        raise OSError(
            f"Cannot read the index {path}, it is damaged or not from Index.save: {error}"
        ) from error
    names = [os.fsdecode(name) for name in names.tobytes().split(b"\0")]
    # FAISS trusts what it reads.
    if hashlib.sha256(content.tobytes()).hexdigest() != expected or len(names) != len(pictures):
        raise OSError(f"Cannot read the index {path}: it is damaged")
    return config, sketch, names, pictures, content


def _indexed(vectors: np.ndarray, factory: str) -> Any:
    import faiss

    if factory == "Flat":
        index = faiss.IndexFlatL2(vectors.shape[1])
        index.add(vectors)
        return index
    with tempfile.TemporaryDirectory(prefix="lpips_tf-") as folder:
        try:
            np.save(Path(folder, "vectors.npy"), vectors)
        except OSError as error:
            raise OSError(
                f"Cannot write {folder}: {error.strerror}. Set TMPDIR to a folder with "
                f"{2 * vectors.nbytes:,} bytes of space"
            ) from error
        arguments = [sys.executable, "-I", "-c", BUILDER, factory, folder, *sys.path]
        run = subprocess.run(arguments, capture_output=True, errors="replace", check=False)
        if run.returncode:
            reason = _reason(run.stderr)
            if run.returncode < 0:
                reason = f"its process ends with {signal.Signals(-run.returncode).name}"
            raise ValueError(f"FAISS refuses factory={factory!r}: {reason}")
        return faiss.read_index(str(Path(folder, "index")))


def _reason(message: str) -> str:
    """What FAISS says went wrong, without where in its sources."""
    return message.strip().rsplit(": ", 1)[-1]


def _embed(metric: LPIPS, pictures: np.ndarray) -> np.ndarray:
    embeddings = ops.convert_to_numpy(metric.embed(pictures))
    if not np.isfinite(embeddings).all():  # FAISS would find any or none
        raise ValueError(
            "Expected a metric of finite embeddings. Received: embeddings with NaN or infinity. "
            "Check the weights of the metric"
        )
    return embeddings


def _embedded(
    metric: LPIPS, pictures: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> Iterator[np.ndarray]:
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        yield _embed(metric, batch)
        if progress is not None:
            progress(start + len(batch), len(pictures))


def _differences(received: dict, expected: dict) -> str:
    """What two metrics' configurations say that makes their embeddings others."""
    names = ("net", "version", "lpips", "value_range", "backbone_weights", "head_weights")
    return ", ".join(
        f"{name}={expected.get(name)!r}, received {received.get(name)!r}"
        for name in names
        if json.dumps(received.get(name)) != json.dumps(expected.get(name))
    )
