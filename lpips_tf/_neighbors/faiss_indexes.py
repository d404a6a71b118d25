"""FAISS' indexes: building and searching them."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

# Indexes other than Flat are trained in a separate process, because some parameters, such as those
# of HNSW0, crash it.
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


def build(vectors: npt.NDArray[Any], factory: str) -> Any:
    """Builds FAISS' index of vectors (N, D) with `faiss.index_factory(D, factory)`.

    Raises:
        ValueError: FAISS refuses the factory, or there are too few vectors for it.
        OSError: the temporary folder is full.
    """
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


def nearest(index: Any, vector: npt.NDArray[Any], count: int, least: int) -> npt.NDArray[np.int64]:
    """Positions of the vectors nearest to one vector (1, D), in ascending order.

    An IVF index searches some of its lists only: more are searched until they hold enough vectors.

    Args:
        index: the FAISS index.
        vector: the query.
        count: the maximum number of positions.
        least: the minimum number.
    """
    ivf = faiss.try_extract_index_ivf(index)
    lists = 0 if ivf is None else ivf.nprobe
    try:
        while True:
            _, (found,) = index.search(vector, count)
            found = np.unique(found[found >= 0])  # -1 stands for none
            if len(found) >= least:
                return found
            if ivf is None or ivf.nprobe >= ivf.nlist:
                return np.arange(index.ntotal)  # graphs (HNSW) may be in several parts
            ivf.nprobe *= 2
    finally:
        if ivf is not None:
            ivf.nprobe = lists


def within(index: Any, vectors: npt.NDArray[Any], radius: float) -> list[npt.NDArray[np.int64]]:
    """For each of several vectors the positions that FAISS finds nearer than `radius`.

    Raises:
        ValueError: FAISS cannot search this kind of index by distance.
    """
    try:
        limits, _, found = index.range_search(vectors, radius)
    except RuntimeError as error:
        raise ValueError(
            "Expected an index that finds all images within a distance, such as "
            f"factory='Flat'. Received: {type(index).__name__}, for which FAISS says: "
            f"{_reason(str(error))}"
        ) from error
    return [found[limits[i] : limits[i + 1]] for i in range(len(vectors))]


def _reason(message: str) -> str:
    """FAISS' message without the place in its sources."""
    return message.strip().rsplit(": ", 1)[-1]
