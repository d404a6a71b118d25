"""Errors of every variant against the official outputs for the golden pairs, on one backend.

    KERAS_BACKEND=jax python scripts/accuracy.py [--squeezenet PATH] [--update]

The outputs are those in tests/golden/golden.npz. Takes a minute on two CPU cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import itertools
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from benchmarks.gradients import gradient
from benchmarks.markdown_tables import table, update
from keras import ops

import lpips_tf
from lpips_tf.metric import NETWORKS, VERSIONS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
SETS = ("small", "odd", "large")
RTOL, ATOL = 1e-5, 2e-6  # tolerances of the tests


def errors(golden: dict, net: str, **options: Any) -> list[str]:
    """A row of the table for a variant: its name, and its largest errors."""
    metric = lpips_tf.LPIPS(net, **options)
    key = f"{net}/{metric.version}/{'lpips' if metric.lpips else 'baseline'}"
    distance, layer, share = [0.0], [0.0], [0.0]
    for name in SETS:
        found, layers = metric(golden[f"{name}0"], golden[f"{name}1"], return_per_layer=True)
        expected = golden[f"{key}/{name}"]
        error = np.abs(ops.convert_to_numpy(found) - expected)
        distance.append(error.max())
        share.append((error / (ATOL + RTOL * expected)).max())
        layers = np.stack([ops.convert_to_numpy(x) for x in layers], axis=-1)
        layer.append(np.abs(layers - golden[f"{key}/{name}/layers"]).max())
    maps = gradients = "–"
    if f"{key}/odd/spatial" in golden:
        maps = f"{map_error(golden, net, key, **options):.1e}"
        gradients = "{:.1e}, {:.1e}".format(*gradient_errors(golden, key, metric))
    variant = f"{net}, {metric.version}{'' if metric.lpips else ', no heads'}"
    return [
        variant, f"{max(distance):.1e}", f"{max(share):.0%}", f"{max(layer):.1e}", maps, gradients
    ]  # fmt: skip


def map_error(golden: dict, net: str, key: str, **options: Any) -> float:
    maps = lpips_tf.LPIPS(net, spatial=True, **options)(golden["odd0"], golden["odd1"])
    return np.abs(ops.convert_to_numpy(maps)[..., 0] - golden[f"{key}/odd/spatial"]).max()


def gradient_errors(golden: dict, key: str, metric: lpips_tf.LPIPS) -> tuple[float, float]:
    """The largest error, and the 99th percentile of errors, as shares of the largest slope."""
    in0, in1 = (golden[name].astype("float32") / 127.5 - 1 for name in ("odd0", "odd1"))
    found, expected = (
        gradient(lambda x: ops.sum(metric(in0, x)), in1),
        golden[f"{key}/odd/gradient"],
    )
    share = np.abs(found - expected) / np.abs(expected).max()
    return share.max(), np.quantile(share, 0.99)


def map_means(golden: dict, net: str, **options: Any) -> list[str]:
    """A row of the table of maps: errors of their means as shares of the distances."""
    metric, spatial = (lpips_tf.LPIPS(net, spatial=s, **options) for s in (False, True))
    cells = [net]
    corner = golden["small0"].copy()
    corner[:, :16, :16] = golden["small1"][:, :16, :16]
    pairs = [(golden[f"{name}0"], golden[f"{name}1"]) for name in SETS]
    for pair in (*pairs, (golden["small0"], corner)):
        distance = ops.convert_to_numpy(metric(*pair))
        mean = ops.convert_to_numpy(spatial(*pair)).mean(axis=(1, 2, 3))
        different = distance > 0
        share = (mean[different] - distance[different]) / distance[different]
        cells.append(f"{np.abs(share).max():.1e}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--squeezenet", type=Path, help="torchvision's file; else a download")
    parser.add_argument("--update", action="store_true", help=f"write to docs/{PAGE.name}")
    arguments = parser.parse_args()
    with np.load(ROOT / "tests" / "golden" / "golden.npz", allow_pickle=False) as file:
        golden = dict(file)
    files = {"squeeze": {"backbone_weights": arguments.squeezenet or "imagenet"}}
    variants = itertools.product(NETWORKS, VERSIONS, (True, False))
    header = ["", "distance", "of the tolerance", "a layer", "map", "gradient: largest, 99%"]
    rows = [
        errors(golden, net, version=version, lpips=heads, **files.get(net, {}))
        for net, version, heads in variants
    ]
    backend = keras.backend.backend()
    found = f"Keras {keras.__version__}, {backend} {version(backend)}\n\n{table(header, rows)}"
    print(found)
    if arguments.update:
        update(PAGE, backend, found)
    if backend == "tensorflow":
        sizes = [" × ".join(map(str, golden[f"{name}0"].shape[1:3])) for name in SETS]
        means = [map_means(golden, net, **files.get(net, {})) for net in NETWORKS]
        header = ["", *(f"{size} pixels" for size in sizes), f"{sizes[0]}, only a corner differs"]
        found = table(header, means)
        print(found)
        if arguments.update:
            update(PAGE, "maps", found)


if __name__ == "__main__":
    main()
