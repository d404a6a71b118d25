"""A metric's scores on data sets of BAPPS, under a progress bar."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path

import absl.logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import lpips_tf
import tfds_bapps
from lpips_tf import evaluation
from lpips_tf_cli import work

# TFDS warns of what the errors say as well.
absl.logging.set_verbosity(absl.logging.ERROR)


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set, and where it is read from."""

    name: str  # such as val/cnn
    mode: str
    examples: tf.data.Dataset
    tree: Path | None  # the unpacked archives; None if prepared by TFDS

    def check(self) -> None:
        """Raises ValueError for the first image of a tree that cannot be decoded."""
        if self.tree is not None:
            tfds_bapps.check_images(self.tree, self.mode, _split(self.name))


@dataclasses.dataclass(frozen=True)
class Result:
    """A metric's score on one data set."""

    dataset: str
    score: float
    low: float  # of the 95% confidence interval
    high: float
    count: int
    seconds: float


def build(
    model: str, net: str, version: str, colorspace: str, head_weights: Path | None
) -> Callable:
    """The metric that the command's options describe."""
    if model in ("l2", "dssim"):
        kind = {"l2": lpips_tf.baselines.L2, "dssim": lpips_tf.baselines.DSSIM}[model]
        return kind(colorspace)
    return lpips_tf.LPIPS(
        net=net, version=version, lpips=model == "lpips", head_weights=head_weights or "bapps"
    )


def all_devices() -> contextlib.AbstractContextManager:
    """The scope of a strategy over all GPUs, if there are several."""
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy().scope()
    return contextlib.nullcontext()


def open_source(mode: str, name: str, tree: Path | None, data_dir: Path | None) -> Source:
    """Finds a data set; nothing is downloaded.

    Raises:
        ValueError: it is not there, or its files are not as they should be.
    """
    split = _split(name)
    if tree is not None:
        return Source(name, mode, tfds_bapps.load_tree(tree, mode, split), tree)
    builder = tfds.builder(f"bapps/{mode}", data_dir=data_dir)
    if not builder.is_prepared() or split not in builder.info.splits:
        raise ValueError(
            f"Expected {name} prepared by TensorFlow Datasets. Received: {builder.data_dir} "
            "without. Prepare it as the README says, or name the unpacked archives' folder with "
            "--bapps-dir"
        )
    config = tfds.ReadConfig(try_autocache=False)  # nothing is read twice
    return Source(name, mode, builder.as_dataset(split=split, read_config=config), None)


def score(metric: Callable, source: Source, batch_size: int) -> tuple[Result, evaluation.Columns]:
    """The score of a metric on a data set, and the distances that it comes from.

    Raises:
        ValueError: an image cannot be decoded; which one is said.
    """
    start = time.perf_counter()
    batches = []
    with work.progress(int(source.examples.cardinality()), source.name) as bar:
        try:
            for batch in evaluation.batch_distances(metric, source.examples, batch_size):
                batches.append(batch)
                bar.advance(bar.task_ids[0], len(batch["id"]))
        except tf.errors.OpError as error:
            source.check()
            reason = re.sub(
                r"\{\{.*?\}\} ?|' failed.*| \[Op:.*", "", error.message.partition("\n")[0]
            )
            raise ValueError(f"Cannot read {source.name}: {reason}") from error
    columns = evaluation.joined(batches)
    seconds = time.perf_counter() - start
    low, high = evaluation.confidence_interval(columns)
    count = len(columns["id"])
    return Result(source.name, evaluation.score(columns), low, high, count, seconds), columns


def _split(name: str) -> str:
    """What TFDS calls a data set, such as val_cnn."""
    return name.replace("/", "_")


def mean(results: list[Result]) -> float:
    return float(np.mean([result.score for result in results]))
