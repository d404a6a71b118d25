"""Sketches: short vectors that approximately preserve the distances of long ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Sketch(NamedTuple):
    """A random projection (N, length) to (N, dimensions) that preserves distances on average.

    Each number of a vector is added to, or subtracted from, one number of its projection.

    Reference:
        Weinberger et al., "Feature hashing for large scale multitask learning" (ICML 2009), here
        with equally many of a vector's numbers for each number of its projection.
    """

    length: int
    dimensions: int
    seed: int

    def __call__(self, vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.length <= self.dimensions:
            return np.ascontiguousarray(vectors)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        order, signs = rng.permutation(self.length), rng.integers(0, 2, self.length) * 2 - 1
        starts = np.linspace(0, self.length, self.dimensions, endpoint=False).astype(int)
        signed = vectors * signs.astype(np.float32)
        sums: npt.NDArray[Any] = np.add.reduceat(signed[:, order], starts, axis=1)
        return sums
