"""Compares every export of every variant with its metric, on the test images.

    python scripts/check_exports.py [--update]

Takes about five minutes on two CPU cores, most of it for VGG16.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from benchmarks.markdown_tables import table, update

import lpips_tf
from lpips_tf import export

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "golden.npz"
Pair = tuple[np.ndarray, np.ndarray]  # batches of images


def saved_model(metric: lpips_tf.LPIPS, folder: Path, pair: Pair) -> tuple[np.ndarray, Path]:
    path = export.export_saved_model(metric, folder)
    return tf.saved_model.load(str(path))(*map(tf.constant, pair)).numpy(), path


def onnx(metric: lpips_tf.LPIPS, folder: Path, pair: Pair) -> tuple[np.ndarray, Path]:
    path = folder / "metric.onnx"
    export.export_onnx(metric, path)
    session = onnxruntime.InferenceSession(path)
    return session.run(["distance"], dict(zip(("in0", "in1"), pair, strict=True)))[0], path


def litert(quantize: str | None) -> Callable:
    def convert(metric: lpips_tf.LPIPS, folder: Path, pair: Pair) -> tuple[np.ndarray, Path]:
        path = folder / "metric.tflite"
        export.export_litert(metric, path, pair[0].shape[1:3], quantize)
        run = Interpreter(str(path)).get_signature_runner("serving_default")
        pairs = zip(*pair, strict=True)
        return np.concatenate([run(in0=x[None], in1=y[None])["distance"] for x, y in pairs]), path

    return convert


FORMATS: dict[str, Callable] = {
    "SavedModel": saved_model,
    "ONNX": onnx,
    "LiteRT": litert(None),
    "LiteRT, float16": litert("float16"),
    "LiteRT, dynamic": litert("dynamic"),
}


def mebibytes(path: Path) -> float:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files) / 2**20


def measured(net: str, version: str, heads: bool, pair: Pair) -> dict[str, str]:
    """A row of the table, by column."""
    metric = lpips_tf.LPIPS(net, version, lpips=heads)
    in0, in1 = (batch / np.float32(127.5) - 1 for batch in pair)
    expected = metric(in0, in1).numpy()
    weights = sum(int(np.prod(v.shape)) for v in metric.variables) * 4 / 2**20
    cells = {
        "": f"{net}, {version}{'' if heads else ', no heads'}",
        "weights": f"{weights:.1f} MiB",
    }
    for name, convert in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            found, path = convert(metric, Path(folder), (in0, in1))
            cells[name] = f"{np.abs(found - expected).max():.1e}, {mebibytes(path):.1f} MiB"
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="replace the tables in the documents")
    arguments = parser.parse_args()
    with np.load(GOLDEN, allow_pickle=False) as file:
        pair = file["small0"], file["small1"]
    variants = itertools.product(("alex", "vgg"), ("0.1", "0.0"), (True, False))
    rows = [measured(*variant, pair) for variant in variants]
    found = table(list(rows[0]), [list(row.values()) for row in rows])
    print(found)
    if arguments.update:
        update(ROOT / "BENCHMARKS.md", "exports", found)
        usual = [row for row in rows if row[""].endswith(" 0.1")]
        names = ["", *(name for name in FORMATS if name.startswith("LiteRT"))]
        short = table(names, [[row[name] for name in names] for row in usual])
        header = "The largest error on six pairs of distances up to "
        largest = max(lpips_tf.LPIPS(net)(*pair).numpy().max() for net in ("alex", "vgg"))
        found = f"{header}{largest:.2f}, and the size:\n\n{short}"
        update(ROOT / "docs" / "export.md", "litert", found)


if __name__ == "__main__":
    main()
