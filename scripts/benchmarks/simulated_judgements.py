"""Triplets that the official metric judged as noisy people would, for a training to recover."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

import lpips_tf
from benchmarks import official
from benchmarks.synthetic_bapps import distorted
from lpips_tf import scores

PEOPLE = 5
NOISE = 0.05  # of a person's judgement, in units of distance
BATCH = 50


class JudgedTriplets(NamedTuple):
    """Triplets (N, 64, 64, 3) uint8, the teacher's distances, and the share of people for p1."""

    images: tuple[np.ndarray, np.ndarray, np.ndarray]  # ref, p0, p1
    d0: np.ndarray
    d1: np.ndarray
    judge: np.ndarray

    @property
    def dataset(self) -> tf.data.Dataset:
        """The triplets in the form of TFDS' BAPPS."""
        columns = dict(zip(("ref", "p0", "p1"), self.images, strict=True)) | {"judge": self.judge}
        return tf.data.Dataset.from_tensor_slices(columns)

    def part(self, rows: slice) -> JudgedTriplets:
        ref, p0, p1 = (batch[rows] for batch in self.images)
        return JudgedTriplets((ref, p0, p1), self.d0[rows], self.d1[rows], self.judge[rows])


def triplets(count: int, seed: int = 0) -> JudgedTriplets:
    """Crops of photographs, each distorted twice, with judgements by the official AlexNet 0.1."""
    rng = np.random.default_rng(seed)
    ref, p0, p1 = (np.stack(images) for images in distorted(rng, count)[:3])
    d0, d1 = _teacher_distances(ref, p0), _teacher_distances(ref, p1)
    for_p1 = 1 / (1 + np.exp((d1 - d0) / NOISE))
    judge = rng.binomial(PEOPLE, for_p1) / PEOPLE
    return JudgedTriplets((ref, p0, p1), d0, d1, judge.astype("float32"))


def compared(metric: lpips_tf.LPIPS, data: JudgedTriplets) -> tuple[float, float, float]:
    """A metric's agreement with people and with the teacher, and its correlation with the latter.

    Agreement with the teacher is how often both prefer the same image. The correlation is that of
    the ranks of both distances.
    """
    batches = [[x[i : i + BATCH] for x in data.images] for i in range(0, len(data.judge), BATCH)]
    found = [[keras.ops.convert_to_numpy(d) for d in metric.distances(*b)] for b in batches]
    d0, d1 = np.concatenate(found, axis=1)
    agrees = np.mean((d1 < d0) == (data.d1 < data.d0))
    theirs = np.concatenate([data.d0, data.d1])
    correlation = stats.spearmanr(np.concatenate([d0, d1]), theirs).statistic
    return scores.two_afc_score(d0, d1, data.judge), float(agrees), float(correlation)


def _teacher_distances(reference: np.ndarray, images: np.ndarray) -> np.ndarray:
    import torch

    teacher = official.pretrained_metric("alex")
    found = []
    with torch.inference_mode():
        for i in range(0, len(images), BATCH):
            pair = (official.to_nchw(batch[i : i + BATCH]) for batch in (reference, images))
            found.append(teacher(*pair).numpy().ravel())
    return np.concatenate(found)
