"""Batches of images in [-1, 1]."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(-1, 1, (10, 32, 33, 3)).astype("float32")


@pytest.fixture(scope="module")
def y(x):
    return np.clip(x[::-1] / 2, -1, 1)
