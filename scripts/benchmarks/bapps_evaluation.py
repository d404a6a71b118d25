"""Evaluation on BAPPS: this project's pipeline from prepared files, and the official steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds
import torch

import tfds_bapps
from benchmarks import official
from benchmarks.implementations import DEVICE, our_metric
from benchmarks.synthetic_bapps import write_photographs
from lpips_tf import evaluation

BATCH = 50
WORKERS = 2  # processes of PyTorch's DataLoader
SPLIT = "val_cnn"


def write_examples(root: Path, count: int) -> None:
    """Writes triplets as the authors' archives have them, and what TFDS prepares of them."""
    for split in (s for s in tfds_bapps.splits("2afc") if s.startswith("val")):
        write_photographs(root, "2afc", split, count if split == SPLIT else 1)
    builder = tfds.builder("bapps/2afc", data_dir=root)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=root))


def calls(root: Path, net: str) -> dict[str, Callable]:
    """Evaluations of all triplets, by the official steps ("nchw", "nhwc") and by this project
    ("ours"), and reading alone ("their input", "our input").
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


def _prepared(root: Path) -> tf.data.Dataset:
    config = tfds.ReadConfig(try_autocache=False)
    config.options.autotune.enabled = False  # as in `evaluation`
    return tfds.builder("bapps/2afc", data_dir=root).as_dataset(split=SPLIT, read_config=config)


def _loader(root: Path):
    folder = root / "2afc" / SPLIT.replace("_", "/")
    return official.bapps_loader(folder, ("ref", "p0", "p1"), "judge", BATCH, WORKERS)


def _official_metric(net: str, channels_last: bool):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    metric = official.random_metric(net).requires_grad_(False).eval()
    return metric.to(DEVICE, memory_format=layout), layout


def _official_evaluation(root: Path, metric, layout) -> list[float]:
    """`score_2afc_dataset` in the official trainer.py: two calls a batch, four passes."""
    distances: list[float] = []
    for data in _loader(root):
        ref, p0, p1 = (
            data[name].to(DEVICE).contiguous(memory_format=layout) for name in ("ref", "p0", "p1")
        )
        with torch.inference_mode():
            for image in (p0, p1):
                distances += metric(ref, image).cpu().numpy().flatten().tolist()
    return distances
