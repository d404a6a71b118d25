"""Keras callbacks of a training: seeds, the progress bar, TensorBoard, checkpoints."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from lpips_tf._support.floats import short_float
from lpips_tf_cli.console.progress import ProgressBar
from lpips_tf_cli.training_runs.run_folder import Run
from lpips_tf_cli.training_runs.triplet_sheets import triplet_sheet

Logs = Mapping[str, float] | None  # Keras' figures of a batch or an epoch


class Seeds(keras.callbacks.Callback):
    """Makes an epoch's dropout depend only on the seed and the epoch."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Sets the seed of the epoch."""
        self.model.reseed(self._seed, epoch)


class EpochProgress(keras.callbacks.Callback):
    """Shows a progress bar over the batches of an epoch, then a line of its results.

    The results are those that `EpochSaver` kept; the line goes to standard error.
    """

    def __init__(self, bar: ProgressBar, steps: int, epochs: int, run: Run) -> None:
        super().__init__()
        self._bar, self._steps, self._epochs, self._run = bar, steps, epochs, run

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Restarts the bar."""
        self._bar(0, self._steps)
        self._bar.describe(f"epoch {epoch + 1} of {self._epochs}")

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Advances the bar."""
        self._bar(batch + 1, self._steps)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Prints the line."""
        kept = self._run.history[-1]
        figures = f"loss {kept['loss']:.4f}, 2AFC {100 * kept['two_afc']:.1f}%"
        if "val_loss" in kept:
            figures += f", validation {kept['val_loss']:.4f}, {100 * kept['val_two_afc']:.1f}%"
        line = f"epoch {epoch + 1} of {self._epochs}: {figures}, {kept['seconds']:.1f} s"
        print(line, file=sys.stderr, flush=True)


class TensorBoardSummaries(keras.callbacks.Callback):
    """Writes histograms of the heads and a sheet of triplets for TensorBoard after each epoch."""

    def __init__(self, folder: Path, triplets: Sequence[np.ndarray], judge: np.ndarray) -> None:
        super().__init__()
        self._folder, self._triplets, self._judge = folder, triplets, judge

    def on_train_begin(self, logs: Logs = None) -> None:
        """Opens the log."""
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Writes the histograms and the sheet."""
        metric = self.model.metric
        distances = [keras.ops.convert_to_numpy(d) for d in metric.distances(*self._triplets)]
        sheet = triplet_sheet(self._triplets, distances, self._judge)
        with self._writer.as_default(step=epoch):
            for head in metric.heads:
                tf.summary.histogram(head.name, head.kernel)
            tf.summary.image("triplets", sheet[None])
        self._writer.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        """Closes the log."""
        self._writer.close()


class EpochSaver(keras.callbacks.Callback):
    """Saves each epoch in the folder of the run."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Notes the time."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Saves the model and its figures."""
        seconds = round(time.perf_counter() - self._start, 3)
        figures = {
            name: short_float(np.float32(value)) for name, value in sorted((logs or {}).items())
        }
        self._run.save_epoch(self.model, {"epoch": epoch + 1, **figures, "seconds": seconds})
