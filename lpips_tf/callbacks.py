"""Keras callbacks that show where a model's outputs differ from their references."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import tensorboard  # noqa: F401  tf.summary.image needs it, and says so only after an epoch
import tensorflow as tf

from lpips_tf import plots
from lpips_tf._support.arguments import check_count, check_flag, is_array, shown
from lpips_tf.metric import LPIPS, check_metric

RUN = "lpips_images"  # beside the runs "train" and "validation" of Keras' own callback


class LPIPSImages(keras.callbacks.Callback):
    """Writes where a model's outputs differ from their references to TensorBoard.

    Each of the first `count` images has a figure (the reference, the output, the map over it and
    the distance) and a curve of its distance.

    Args:
        log_dir: folder of the logs, as of `keras.callbacks.TensorBoard`; the run is called
            "lpips_images".
        validation_data: as of `fit`: inputs and references (x, y), or an iterable of such batches,
            such as a `tf.data.Dataset`, of which the first is taken. References are images
            (N, H, W, 3), uint8 or in the metric's `value_range`, as the model's outputs are.
        metric: an `lpips_tf.LPIPS`; None for one of AlexNet.
        every: write after each `every`-th epoch, starting with the first.
        count: number of images.
        layers: also show each layer's map.

    Raises:
        ValueError: `metric` is not an `LPIPS`, the data are not a batch of inputs and images, or a
            number is below 1.
        NotADirectoryError: `log_dir` is a file.

    Examples:
        >>> images = lpips_tf.callbacks.LPIPSImages("logs", (x, y), metric)
        >>> model.fit(x, y, callbacks=[images])  # tensorboard --logdir logs
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        validation_data: Any,
        metric: LPIPS | None = None,
        every: int = 1,
        count: int = 4,
        layers: bool = False,
    ) -> None:
        super().__init__()
        self.metric = LPIPS() if metric is None else metric
        check_metric(self.metric)
        check_count("every", every)
        check_count("count", count)
        check_flag("layers", layers)
        self.log_dir = os.fspath(log_dir)
        self.every = every
        self.layers = layers
        if Path(log_dir).is_file():
            raise NotADirectoryError(f"Expected log_dir to be a folder. Received: {log_dir}")
        inputs, references = _first_batch(validation_data)
        self.inputs = keras.tree.map_structure(lambda array: array[:count], inputs)
        self.references = keras.ops.convert_to_numpy(references[:count])
        self._writer: tf.summary.SummaryWriter | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the images of every n-th epoch."""
        if epoch % self.every:
            return
        outputs = self.model.predict_on_batch(self.inputs)
        if not is_array(outputs):
            raise ValueError(f"Expected a model with one output. Received: {shown(outputs)}")
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(Path(self.log_dir, RUN)))
        explained = self.metric.explain(self.references, outputs)
        span = self.metric.value_range
        images = [plots.as_uint8(image, span) for image in outputs]
        names = [f"epoch {epoch + 1}"] * len(images)
        compared = plots.comparisons(self.metric, explained, images, names)
        with self._writer.as_default(step=epoch):
            for i, found in enumerate(compared):
                figure = plots.figure(
                    plots.as_uint8(self.references[i], span), [found], self.layers
                )
                tf.summary.image(f"lpips/{i}/figure", _pixels(figure)[None])
                tf.summary.scalar(f"lpips/{i}", found.distance)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _first_batch(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, (tuple, list)) and isinstance(data, Iterable):
        data = next(iter(data), None)
    right = isinstance(data, (tuple, list)) and len(data) in (2, 3)  # with weights, in `fit`
    if not right or not is_array(data[1]):
        raise ValueError(
            "Expected validation_data as inputs and references (x, y), or an iterable of such "
            f"batches. Received: {shown(data)}"
        )
    shapes = [tuple(getattr(array, "shape", ())) for array in keras.tree.flatten(data[:2])]
    if len(data[1].shape) != 4 or len({shape[:1] for shape in shapes}) > 1:
        raise ValueError(
            "Expected references (N, H, W, 3) and as many inputs; `batch` makes batches of a "
            f"tf.data.Dataset. Received: shapes {', '.join(map(str, shapes))}"
        )
    return data[0], data[1]


def _pixels(figure: Any) -> Any:
    """A figure as (H, W, 3) uint8."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return tf.io.decode_png(file.getvalue(), channels=3)
