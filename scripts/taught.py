"""Triplets that the official metric judged as noisy people would: what a training can recover."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import official
from made_bapps import crops, distort

PEOPLE = 5
NOISE = 0.05  # a person's, in units of distance: how unsure a person is of small differences
BATCH = 50


class Taught(NamedTuple):
    """Triplets (N, 64, 64, 3) uint8, the teacher's distances and the fraction of people for p1."""

    images: tuple[np.ndarray, np.ndarray, np.ndarray]  # ref, p0, p1
    d0: np.ndarray
    d1: np.ndarray
    judge: np.ndarray

    def part(self, rows: slice) -> Taught:
        ref, p0, p1 = (batch[rows] for batch in self.images)
        return Taught((ref, p0, p1), self.d0[rows], self.d1[rows], self.judge[rows])


def triplets(count: int, seed: int = 0) -> Taught:
    """Crops of photographs, each distorted twice, and the answers of the official AlexNet 0.1."""
    rng = np.random.default_rng(seed)
    references = crops(rng, count)
    strengths = rng.uniform(0, 1, (2, count))
    p0, p1 = (
        np.stack([distort(rng, crop, s) for crop, s in zip(references, row, strict=True)])
        for row in strengths
    )
    ref = np.stack(references)
    d0, d1 = _teacher_distances(ref, p0), _teacher_distances(ref, p1)
    for_p1 = 1 / (1 + np.exp((d1 - d0) / NOISE))
    judge = rng.binomial(PEOPLE, for_p1) / PEOPLE
    return Taught((ref, p0, p1), d0, d1, judge.astype("float32"))


def _teacher_distances(reference: np.ndarray, images: np.ndarray) -> np.ndarray:
    import torch

    teacher = official.pretrained_metric("alex")
    found = []
    with torch.inference_mode():
        for i in range(0, len(images), BATCH):
            pair = (official.to_nchw(batch[i : i + BATCH]) for batch in (reference, images))
            found.append(teacher(*pair).numpy().ravel())
    return np.concatenate(found)
