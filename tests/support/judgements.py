"""Random distances with what people said of them."""

import numpy as np


def judgements(size, seed=0, ties=True):
    """Random distances, a tenth of them rounded so that they tie, and fractions of five people."""
    rng = np.random.default_rng(seed)
    d0, d1 = rng.exponential(size=(2, size)).astype("float32")
    if ties:
        d0, d1 = (np.where(rng.random(size) < 0.3, d.round(1), d) for d in (d0, d1))
        d1 = np.where(rng.random(size) < 0.1, d0, d1)
    fractions = rng.integers(0, 6, size) / 5
    fractions[0] = 1  # somebody saw no difference
    return d0, d1, fractions
