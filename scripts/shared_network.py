"""Measures a model whose loss and metrics share one network, for docs/loss.md.

The time of a training step with the loss alone, with a metric of the same network, and with a
metric that has a network of its own; the variables that are held; and the size of a saved file.

python scripts/shared_network.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command sets it

import gc
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

import lpips_tf

ROUNDS = 15
NETS = (("alex", 16, 64), ("vgg", 4, 64))  # with the number and the side of the images


def model_of(loss: keras.losses.Loss, metrics: list[keras.metrics.Metric]) -> keras.Model:
    image = keras.Input((None, None, 3))
    output = keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(image)
    model = keras.Model(image, output)
    model.compile("adam", loss=loss, metrics=metrics)
    return model


def of_network(
    net: str, shared: bool, metrics: int, weights: str | None = "imagenet"
) -> tuple[keras.losses.Loss, list[keras.metrics.Metric]]:
    """A loss and some metrics."""
    networks = 1 if shared else metrics + 1
    made = [lpips_tf.LPIPS(net, backbone_weights=weights) for _ in range(networks)]
    first, *others = itertools.islice(itertools.cycle(made), metrics + 1)
    return lpips_tf.losses.LPIPS(metric=first), [
        lpips_tf.metrics.LPIPS(metric=metric, name=f"lpips{i}") for i, metric in enumerate(others)
    ]


def held() -> float:
    """MiB of the weights of all metrics."""
    gc.collect()
    metrics = (x for x in gc.get_objects() if type(x) is lpips_tf.LPIPS)
    return float(sum(4 * metric.count_params() for metric in metrics)) / 2**20


def main() -> None:
    for net, count, side in NETS:
        shape = (count, side, side, 3)
        x, y = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype("float32")
        models = {
            "the loss alone": model_of(*of_network(net, True, 0)),
            "with a metric of the same network": model_of(*of_network(net, True, 1)),
            "with a metric of its own network": model_of(*of_network(net, False, 1)),
        }
        times: dict[str, list[float]] = {name: [] for name in models}
        for i in range(ROUNDS + 2):
            for name, model in models.items():
                start = time.perf_counter()
                model.train_on_batch(x, y)
                if i >= 2:  # the first trace
                    times[name].append(1e3 * (time.perf_counter() - start))
        print(f"{net}, {count} pairs of {side}²:")
        for name, found in times.items():
            print(f"  {name}: {statistics.median(found):.0f} ms a step")
        del models, model
        for shared in (True, False):
            before = held()
            model = model_of(*of_network(net, shared, 2, weights=None))
            model.train_on_batch(x, y)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "model.keras")
                model.save(path)
                size = path.stat().st_size / 2**20
            print(f"  a loss and two metrics, {'shared' if shared else 'apart'}: "
                  f"{held() - before:.1f} MiB held, {size:.1f} MiB saved")  # fmt: skip
            del model


if __name__ == "__main__":
    main()
