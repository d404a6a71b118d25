"""Compares substitutes for dropout where features are cached, by the heads trained with each.

    python scripts/dropout_study.py [--update BENCHMARKS.md]

Heads are trained on triplets that the official metric, the teacher, judged as noisy people would
(`benchmarks/simulated_judgements.py`). They are scored on other triplets: by their agreement with
those people, by how often they prefer the teacher's choice, and by the rank correlation with the
teacher's distances. Takes about ten minutes on two CPU cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from benchmarks import (
    implementations,  # noqa: F401 (finds this checkout)
    simulated_judgements,
)
from benchmarks.markdown_tables import table, update
from benchmarks.simulated_judgements import JudgedTriplets

import lpips_tf
from lpips_tf import feature_cache, scores, training

TRAINED, HELD_OUT, EPOCHS = 4000, 1000, 10
RATES = (1e-3, 1e-2)
SEEDS = range(3)
KINDS = {
    "images, dropout ½, as the original": (training.RankingModel, 0.5),
    "cached, noise of the same variance (the default)": (training.CachedRankingModel, 0.5),
    "cached, nothing dropped": (training.CachedRankingModel, 0.0),
}


def trained(
    kind: type[training.RankingModel],
    dropout: float,
    rate: float,
    seed: int,
    data: JudgedTriplets,
    records: np.ndarray,
) -> lpips_tf.LPIPS:
    keras.utils.set_random_seed(seed)
    metric = lpips_tf.LPIPS(head_weights=None, dropout=dropout)
    model = kind(metric)
    model.compile(training.optimizer(rate))
    cached = kind is training.CachedRankingModel
    inputs = records["differences"] if cached else data.images
    schedule = keras.callbacks.LearningRateScheduler(
        lambda epoch: training.learning_rate(
            epoch, start=rate, epochs=EPOCHS // 2, decay_epochs=EPOCHS - EPOCHS // 2
        )
    )
    model.fit(inputs, data.judge, batch_size=50, epochs=EPOCHS, callbacks=[schedule], verbose=0)
    return metric


def cached(data: JudgedTriplets) -> np.ndarray:
    metric = lpips_tf.LPIPS()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        feature_cache.write(path, metric, data.dataset)
        return np.array(feature_cache.read(path, metric))


def row(name: str, figures: Sequence[tuple[float, ...]]) -> list[str]:
    mean, deviation = np.mean(figures, axis=0), np.std(figures, axis=0)
    cells = [f"{100 * m:.2f}% ± {100 * d:.2f}" for m, d in zip(mean[:2], deviation, strict=False)]
    return [name, *cells, f"{mean[2]:.4f} ± {deviation[2]:.4f}"]


def report() -> str:
    data = simulated_judgements.triplets(TRAINED + HELD_OUT)
    known, held_out = data.part(slice(TRAINED)), data.part(slice(TRAINED, None))
    records = cached(known)
    teacher = scores.two_afc_score(held_out.d0, held_out.d1, held_out.judge)
    random = []
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        random.append(simulated_judgements.compared(lpips_tf.LPIPS(head_weights=None), held_out))
    rows = [["the teacher", f"{100 * teacher:.2f}%", "100%", "1"], row("random heads", random)]
    for rate in RATES:
        for name, kind in KINDS.items():
            metrics = [trained(*kind, rate, seed, known, records) for seed in SEEDS]
            figures = [simulated_judgements.compared(metric, held_out) for metric in metrics]
            rows.append(row(f"{name}; learning rate {rate:g}", figures))
    header = ["", "2AFC", "prefers what the teacher prefers", "Spearman with its distances"]
    title = (
        f"Heads trained on {TRAINED:,} triplets for {EPOCHS} epochs, scored on {HELD_OUT:,} "
        f"others; mean and standard deviation of {len(SEEDS)} seeds"
    )
    return f"{title}\n\n" + table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", type=Path, help="Markdown file whose section is replaced")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = report()
    print(found)
    if arguments.update:
        update(arguments.update, "dropout", found)


if __name__ == "__main__":
    main()
