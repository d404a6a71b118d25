"""Evaluates a metric on synthetic data, by this project's pipeline and by the official steps."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
import torch

import tfds_bapps
from benchmarks import official
from benchmarks.implementations import DEVICE, our_metric
from benchmarks.synthetic_bapps import write_photographs
from lpips_tf import evaluation
from lpips_tf_cli.judgements.sources import open_source
from lpips_tf_cli.judgements.tables import open_tables
from lpips_tf_cli.reading.image_files import ImageFiles

BATCH = 50
WORKERS = 2  # processes of PyTorch's DataLoader
SPLIT = "val_cnn"
PARTS = ("ref", "p0", "p1")


def write_examples(root: Path, count: int) -> None:
    """Writes triplets in the layout of the authors' archives, and prepares them with TFDS."""
    for split in (s for s in tfds_bapps.splits("2afc") if s.startswith("val")):
        write_photographs(root, "2afc", split, count if split == SPLIT else 1)
    builder = tfds.builder("bapps/2afc", data_dir=root)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=root))


def calls(root: Path, net: str) -> dict[str, Callable]:
    """Functions that evaluate all triplets, or only read them.

    Returns:
        "nchw" and "nhwc", which evaluate by the official steps, "ours", which does by this project,
        and "their input" and "our input", which only read.
    """
    metric = our_metric(net)
    nchw, nhwc = (_official_metric(net, channels_last) for channels_last in (False, True))
    return {
        "nchw": lambda: _official_evaluation(root, *nchw),
        "nhwc": lambda: _official_evaluation(root, *nhwc),
        "ours": lambda: evaluation.distances(metric, _prepared(root), BATCH),
        "their input": lambda: [None for _ in _loader(root)],
        "our input": lambda: [
            None for _ in _prepared(root).batch(BATCH).prefetch(tf.data.AUTOTUNE)
        ],
    }


def calls_of_files(root: Path, net: str) -> dict[str, Callable]:
    """Functions that evaluate all triplets from the files of a tree, and from a table of them."""
    metric, table = our_metric(net), root / "table.csv"
    rows = [
        [*(os.path.relpath(os.fsdecode(row[part]), root) for part in PARTS), row["judge"]]
        for row in tfds_bapps.load_paths(root, "2afc", SPLIT).as_numpy_iterator()
    ]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("reference", "image0", "image1", "judge"), *rows])
    name = SPLIT.replace("_", "/")

    def of_table() -> None:
        (found,) = open_tables(table, None, ImageFiles(skip_errors=False))
        found.distances(metric, BATCH)

    return {
        "tree": lambda: open_source("2afc", name, root, None).distances(metric, BATCH),
        "table": of_table,
    }


def _prepared(root: Path) -> tf.data.Dataset:
    config = tfds.ReadConfig(try_autocache=False)
    config.options.autotune.enabled = False  # as in `evaluation`
    return tfds.builder("bapps/2afc", data_dir=root).as_dataset(split=SPLIT, read_config=config)


def _loader(root: Path) -> torch.utils.data.DataLoader:
    folder = root / "2afc" / SPLIT.replace("_", "/")
    return official.bapps_loader(folder, PARTS, "judge", BATCH, WORKERS)


def _official_metric(net: str, channels_last: bool) -> tuple[Any, torch.memory_format]:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    metric = official.random_metric(net).requires_grad_(False).eval()
    return metric.to(DEVICE, memory_format=layout), layout


def _official_evaluation(root: Path, metric: Any, layout: torch.memory_format) -> list[float]:
    """Distances by the official `score_2afc_dataset`: two calls, four passes for each batch."""
    distances: list[float] = []
    for data in _loader(root):
        ref, p0, p1 = (
            data[name].to(DEVICE).contiguous(memory_format=layout) for name in ("ref", "p0", "p1")
        )
        with torch.inference_mode():
            for image in (p0, p1):
                distances += metric(ref, image).cpu().numpy().flatten().tolist()
    return distances
