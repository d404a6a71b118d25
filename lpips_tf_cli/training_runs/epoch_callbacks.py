"""What happens around the epochs of a training, as callbacks of Keras' `fit`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from lpips_tf_cli.console.progress import Bar
from lpips_tf_cli.training_runs.run_folder import Run
from lpips_tf_cli.training_runs.triplet_sheets import sheet


class Seeds(keras.callbacks.Callback):
    """Lets what is dropped in an epoch depend on the seed and the epoch only."""

    def __init__(self, seed: int):
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        self.model.reseed(self._seed, epoch)


class Report(keras.callbacks.Callback):
    """A progress bar over the batches of an epoch, and a line on standard error of what `Record`
    kept of it.
    """

    def __init__(self, bar: Bar, steps: int, epochs: int, run: Run):
        super().__init__()
        self._bar, self._steps, self._epochs, self._run = bar, steps, epochs, run

    def on_epoch_begin(self, epoch, logs=None):
        self._bar(0, self._steps)
        self._bar.describe(f"epoch {epoch + 1} of {self._epochs}")

    def on_train_batch_end(self, batch, logs=None):
        self._bar(batch + 1, self._steps)

    def on_epoch_end(self, epoch, logs=None):
        kept = self._run.history[-1]
        figures = f"loss {kept['loss']:.4f}, 2AFC {100 * kept['two_afc']:.1f}%"
        if "val_loss" in kept:
            figures += f", validation {kept['val_loss']:.4f}, {100 * kept['val_two_afc']:.1f}%"
        line = f"epoch {epoch + 1} of {self._epochs}: {figures}, {kept['seconds']:.1f} s"
        print(line, file=sys.stderr, flush=True)


class Summaries(keras.callbacks.Callback):
    """Histograms of the heads and a sheet of triplets for TensorBoard, after each epoch."""

    def __init__(self, folder: Path, triplets: Sequence[np.ndarray], judge: np.ndarray):
        super().__init__()
        self._folder, self._triplets, self._judge = folder, triplets, judge

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_end(self, epoch, logs=None):
        metric = self.model.metric
        distances = [keras.ops.convert_to_numpy(d) for d in metric.distances(*self._triplets)]
        with self._writer.as_default(step=epoch):
            for head in metric.heads:
                tf.summary.histogram(head.name, head.kernel)
            tf.summary.image("triplets", sheet(self._triplets, distances, self._judge)[None])
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()


class Record(keras.callbacks.Callback):
    """Keeps each epoch in the folder of the run."""

    def __init__(self, run: Run):
        super().__init__()
        self._run = run

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self._start, 3)
        figures = {name: float(str(np.float32(value))) for name, value in sorted(logs.items())}
        self._run.save(self.model, {"epoch": epoch + 1, **figures, "seconds": seconds})
