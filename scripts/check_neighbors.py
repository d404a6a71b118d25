"""Compares nearest neighbours by an index with those by brute force: recall, time, bytes.

    python scripts/check_neighbors.py [--update BENCHMARKS.md]

Takes about two minutes on two CPU cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time
from pathlib import Path

import faiss
import numpy as np
from benchmarks.markdown_tables import table, update
from PIL import Image
from skimage import data

import lpips_tf
from lpips_tf.neighbors import Index

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry", "retina",
               "hubble_deep_field")  # fmt: skip
COUNT, QUERIES, SIDE, K = 5000, 500, 64, 10
TIMED = 10  # queries that time brute force
SETTINGS = [
    ("Flat", 20), ("PCA64,Flat", 50), ("PCA64,SQ8", 50), ("PCA64,PQ16", 20), ("PCA64,PQ16", 30),
    ("PCA64,PQ16", 50), ("PCA32,PQ8", 50), ("PCA32,PQ8", 100), ("IVF64,Flat", 50),
]  # fmt: skip


def crops(rng: np.random.Generator, count: int) -> np.ndarray:
    """Crops of scikit-image's photographs, of several sizes, resized to one."""
    sources = [getattr(data, name)()[..., :3] for name in PHOTOGRAPHS]
    found = []
    for i in rng.integers(len(sources), size=count):
        side = min(int(rng.integers(64, 160)), *sources[i].shape[:2])
        top, left = (rng.integers(length - side + 1) for length in sources[i].shape[:2])
        crop = Image.fromarray(sources[i][top : top + side, left : left + side])
        found.append(np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return np.stack(found)


def embedded(metric: lpips_tf.LPIPS, images: np.ndarray) -> np.ndarray:
    parts = np.array_split(images, len(images) // 50)
    return np.concatenate([metric.embed(part).numpy() for part in parts])


def by_network(metric: lpips_tf.LPIPS, queries: np.ndarray, images: np.ndarray) -> float:
    """Seconds for a query whose distance from every image is computed by the network."""
    start = time.perf_counter()
    for query in queries[:TIMED]:
        for batch in np.array_split(images, len(images) // 50):
            metric(np.broadcast_to(query, batch.shape), batch).numpy()
    return (time.perf_counter() - start) / TIMED


def by_embeddings(metric: lpips_tf.LPIPS, queries: np.ndarray, kept: np.ndarray) -> float:
    """Seconds for a query that is compared with embeddings in memory."""
    squares = np.square(kept).sum(axis=1)
    start = time.perf_counter()
    for query in queries[:TIMED]:
        embedding = metric.embed(query[None]).numpy()[0]
        np.argsort(squares - 2 * (kept @ embedding))[:K]
    return (time.perf_counter() - start) / TIMED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", type=Path, help="replace the section `neighbors` in this file")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images, queries = crops(rng, COUNT), crops(rng, QUERIES)
    metric = lpips_tf.LPIPS()
    kept, asked = embedded(metric, images), embedded(metric, queries)
    matrix = np.square(asked).sum(1)[:, None] + np.square(kept).sum(1) - 2 * asked @ kept.T
    true = np.argsort(matrix, axis=1)[:, :K]
    brute, remembered = by_network(metric, queries, images), by_embeddings(metric, queries, kept)
    rows = [
        ["brute force, by the network", "–", "100%", "100%", f"{brute * 1e3:.0f} ms", "1",
         f"{images[0].nbytes:,}"],
        ["brute force, embeddings in memory", "–", "100%", "100%", f"{remembered * 1e3:.0f} ms",
         f"{brute / remembered:.0f}", f"{kept[0].nbytes:,}"],
    ]  # fmt: skip
    built: dict[str, Index] = {}
    for factory, candidates in SETTINGS:
        if factory not in built:
            built[factory] = Index.build(metric, images, factory=factory)
        index = built[factory]
        index.search(queries[:2], K, candidates)
        start = time.perf_counter()
        found = index.search(queries, K, candidates).indices
        seconds = (time.perf_counter() - start) / QUERIES
        recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, true, strict=True)])
        first = np.mean(found[:, 0] == true[:, 0])
        size = len(faiss.serialize_index(index.index)) / COUNT
        rows.append([
            f"`{factory}`", str(candidates), f"{recall:.1%}", f"{first:.1%}",
            f"{seconds * 1e3:.1f} ms", f"{brute / seconds:.0f}",
            f"{images[0].nbytes:,} + {size:,.0f}",
        ])  # fmt: skip
        print(rows[-1], flush=True)
    header = [
        "", "candidates", f"recall of {K}", "nearest found", "a query", "times as fast",
        "bytes an image",
    ]  # fmt: skip
    text = table(header, rows)
    print(text)
    if arguments.update:
        update(arguments.update, "neighbors", text)


if __name__ == "__main__":
    main()
