"""Moves an image towards another by gradient descent, as the official `lpips_loss.py` does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import lpips_tf
from lpips_tf import images
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.reading import batches


class Descent(NamedTuple):
    """The images and distances of a descent."""

    image: np.ndarray  # the last, (H, W, 3) uint8
    distances: list[float]  # at first and after each step, of images before rounding
    frames: list[np.ndarray]  # some of the images, evenly spaced: the first, …, the last
    last: float  # distance of the last image as uint8


def optimize_image(
    metric: lpips_tf.LPIPS,
    reference: Path,
    start: Path,
    steps: int,
    learning_rate: float,
    frames: int,
    srgb: bool = False,
) -> Descent:
    """Moves the image in one file towards that in another, under a progress bar.

    Raises:
        ValueError: the images' sizes differ.
    """
    batches.common_size((reference, start), metric.min_size)
    target, image = images.load(reference, srgb), images.load(start, srgb)
    kept = {round(i * steps / (frames - 1)) for i in range(frames)} if frames else set()
    shown, distances = [], []
    with progress_bar("distance") as progress:
        descent = descend(metric, target, image, steps, learning_rate)
        for step, (moved, distance) in enumerate(descent):
            distances.append(distance)
            if step in kept:
                shown.append(moved)
            progress(step, steps)
            progress.describe(f"distance {distance:.4f}")
    last = ops.convert_to_numpy(metric(target[None], moved[None]))
    return Descent(moved, distances, shown, float(last[0]))


def descend(
    metric: lpips_tf.LPIPS,
    reference: np.ndarray,
    start: np.ndarray,
    steps: int,
    learning_rate: float,
) -> Iterator[tuple[np.ndarray, float]]:
    """Moves `start` towards `reference` with Adam, clamped to the range of an image.

    Args:
        metric: with the default `value_range`.
        reference, start: (H, W, 3) uint8.
        steps: number of steps.
        learning_rate: Adam's. In a step a value in [-1, 1] moves by at most about this much.

    Yields:
        The image (H, W, 3) uint8 and its distance before rounding to uint8, `steps` + 1 times. The
        first are those of `start`.
    """
    model = _ImageModel(_to_floats(start))
    model.compile(keras.optimizers.Adam(learning_rate), loss=metric)
    nothing, target = np.zeros((1, 1), np.float32), _to_floats(reference)
    for step in range(steps + 1):
        image = model.image()
        model.reset_metrics()  # some versions of Keras average over all calls otherwise
        run = model.train_on_batch if step < steps else model.test_on_batch
        yield image, float(run(nothing, target))


class _ImageModel(keras.Model):
    """A model whose only weight is its output: the values of an image (1, H, W, 3) in [-1, 1]."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(name="image", dtype="float32")
        self.values = self.add_weight(shape=values.shape, constraint=_Clamped(), name="values")
        self.values.assign(values)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.convert_to_tensor(self.values)

    def image(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        values: np.ndarray = ops.convert_to_numpy(self.values.value)[0]
        return np.round((values + 1) * 127.5).astype(np.uint8)


class _Clamped(keras.constraints.Constraint):
    def __call__(self, values: Any) -> Any:
        return ops.clip(values, -1, 1)


def _to_floats(image: np.ndarray) -> np.ndarray:
    return (image / np.float32(127.5) - 1)[None]
