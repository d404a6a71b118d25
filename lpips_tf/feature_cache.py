"""The averaged differences of triplets on disk, from which heads train without the backbone.

A file is a NumPy array with a record for each triplet, which is memory-mapped: "differences" (2, 2,
C), the results of `averaged_differences` for p0 and p1, and "judge".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from keras import ops

from lpips_tf._backend.tensors import mean
from lpips_tf._support.arguments import shown
from lpips_tf._support.whole_files import written_whole
from lpips_tf.metric import LPIPS
from lpips_tf.scores import check_judgements

if TYPE_CHECKING:
    import tensorflow as tf

FORMAT = "lpips_tf averaged differences 1"


def averaged_differences(metric: LPIPS, reference: Any, *images: Any) -> list[Any]:
    """The averaged differences of pairs of images, which are all that the heads see of them.

    Spatial averaging and heads are both linear, so the average over positions of the squared
    differences of features comes first. If a share p of the differences is dropped, the variance of
    an average is p / (1 - p) times the mean of their squares, divided by the number of positions.

    Args:
        metric: its backbone is used.
        reference: images (N, H, W, 3), as for a call of the metric.
        images: batches of that shape.

    Returns:
        For each batch of images an array (N, 2, C) with the channels of all layers. It has the
        averages, and their variances if half of the differences is dropped.

    Raises:
        ValueError: as a call of the metric does.
    """
    if not images:
        raise ValueError("Expected images to compare with the reference. Received: none")
    features0, *others = metric.normalized_features(reference, *images)
    return [
        ops.concatenate([_moments(x, y) for x, y in zip(features0, features, strict=True)], axis=-1)
        for features in others
    ]


def _moments(features0: Any, features1: Any) -> Any:
    """The averages and variances of one layer, (N, 2, C)."""
    differences = ops.square(features0 - features1)
    height, width = ops.shape(differences)[1:3]
    squares = mean(ops.square(differences), axis=(1, 2))
    variances = squares / ops.cast(height * width, squares.dtype)
    return ops.stack([mean(differences, axis=(1, 2)), variances], axis=1)


def key(metric: LPIPS, data: str) -> str:
    """Returns the name of the cache file for a metric's backbone and a data set.

    Args:
        metric: the name depends on its network, version, convolutions, dtype policy and range.
        data: whatever identifies the data.
    """
    described = hashlib.sha256()
    policy, span = metric.dtype_policy.name, metric.value_range
    named = [FORMAT, metric.net, metric.version, policy, span, data]
    described.update(json.dumps(named).encode())
    for variable in metric.backbone.variables:
        described.update(ops.convert_to_numpy(variable).tobytes())
    return f"{metric.net}-{metric.version}-{described.hexdigest()[:16]}"


def write(
    path: str | os.PathLike[str],
    metric: LPIPS,
    dataset: tf.data.Dataset,
    batch_size: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Computes the differences of a data set under TensorFlow and writes them, whole or not at all.

    Args:
        path: of the file, which appears at the end.
        metric: its backbone is used.
        dataset: unbatched triplets of known cardinality, as `tfds.load("bapps/2afc")` gives them.
        batch_size: number of triplets in a batch.
        progress: called as `progress(done, total)` after each batch.

    Raises:
        ValueError: there are no triplets, their number is not known, or a judgement is not between
            0 and 1.
        OSError: the file cannot be written.
    """
    import tensorflow as tf

    from lpips_tf.evaluation import in_batches

    spec = dataset.element_spec if isinstance(dataset, tf.data.Dataset) else dataset
    if not isinstance(spec, dict) or not {"ref", "p0", "p1", "judge"} <= set(spec):
        raise ValueError(
            "Expected a tf.data.Dataset of dicts with ref, p0, p1 and judge. "
            f"Received: {sorted(spec) if isinstance(spec, dict) else shown(spec)}"
        )
    count = int(dataset.cardinality())
    if count < 1:
        raise ValueError(f"Expected a data set of known length. Received: cardinality {count}")

    @tf.function(autograph=False)
    def differences(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.stack(averaged_differences(metric, batch["ref"], batch["p0"], batch["p1"]), 1)

    record = record_type(metric)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        # Not as a memory map: a full disk would end the process.
        header = {"descr": record.descr, "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for batch in in_batches(dataset, batch_size):
            rows = np.zeros(len(batch["judge"]), record)
            rows["differences"], rows["judge"] = differences(batch).numpy(), batch["judge"].numpy()
            check_judgements("judge", rows["judge"])
            file.write(rows.tobytes())
            done += len(rows)
            if progress is not None:
                progress(done, count)


def read(path: str | os.PathLike[str], metric: LPIPS) -> npt.NDArray[Any]:
    """The records in a file, (N,) with the fields "differences" and "judge", as a memory map.

    Raises:
        OSError: the file is missing or damaged.
        ValueError: it was written for another network.
    """
    try:
        records: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise OSError(
            f"Cannot read the feature cache {Path(path)}, it is damaged. "
            "Delete the file; the next run rebuilds it"
        ) from error
    if records.dtype != record_type(metric) or records.ndim != 1:
        raise ValueError(
            f"Expected records of {record_type(metric)}. "
            f"Received: {Path(path)} with {records.dtype}"
        )
    return records


def record_type(metric: LPIPS) -> np.dtype[np.void]:
    """The type of a record in a file, by the channels of the metric's layers."""
    channels = sum(features.shape[-1] for features in metric.backbone.outputs)
    fields: list[Any] = [("differences", "<f4", (2, 2, channels)), ("judge", "<f4")]
    return np.dtype(fields)
