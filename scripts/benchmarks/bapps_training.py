"""Trains heads by this project's command, with and without caches, and by the official steps."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path

import torch

from benchmarks import official
from benchmarks.implementations import DEVICE
from benchmarks.synthetic_bapps import write_photographs
from lpips_tf_cli.training_runs import fitting

BATCH = 50
WORKERS = 2  # processes of PyTorch's DataLoader
DATASET = "train/cnn"


def seconds(root: Path, count: int, epochs: int) -> dict[str, float]:
    """The time that a training takes.

    For this project it is all that the command does after its start, the caching pass included. For
    the official implementation it is `epochs` times the time of one epoch.
    """
    write_photographs(root, "2afc", DATASET.replace("/", "_"), count)
    return {
        "ours": _ours(root, epochs, cached=False),
        "cached": _ours(root, epochs, cached=True),
        "nchw": epochs * _official_epoch(root, torch.contiguous_format),
        "nhwc": epochs * _official_epoch(root, torch.channels_last),
    }


def _ours(root: Path, epochs: int, cached: bool) -> float:
    options = fitting.Options(
        datasets=[DATASET],
        validation=[],
        mode="heads",
        net="alex",
        version="0.1",
        epochs=epochs - epochs // 2,
        decay_epochs=epochs // 2,
        batch_size=BATCH,
        learning_rate=1e-4,
        dropout=0.5,
        seed=0,
        cache_features=cached,
    )
    places = fitting.Places(root / f"run-{cached}", root, None, root / "cache")
    with contextlib.redirect_stderr(io.StringIO()):
        start = time.perf_counter()
        fitting.train_metric(options, places, resume=False)
        return time.perf_counter() - start


def _official_epoch(root: Path, layout: torch.memory_format) -> float:
    """Seconds of one epoch by the `Trainer` of the official repository's `train.py`."""
    lpips = official.import_lpips()
    trainer = lpips.Trainer()
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.initialize(net="alex", use_gpu=DEVICE != "cpu", is_train=True, pnet_rand=True)
    trainer.net.to(memory_format=layout)
    parts = ("ref", "p0", "p1")
    folder = root / "2afc" / DATASET
    start = time.perf_counter()
    for data in official.bapps_loader(folder, parts, "judge", BATCH, WORKERS, shuffle=True):
        images = {name: data[name].contiguous(memory_format=layout) for name in parts}
        trainer.set_input(data | images)
        trainer.optimize_parameters()
    return time.perf_counter() - start
