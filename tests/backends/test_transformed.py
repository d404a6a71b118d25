"""Functions that a backend traces or transforms, where images have no numbers to look at."""

import keras
import numpy as np
import pytest

import lpips_tf

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 2, 32, 33, 3)).astype("float32")


def of_tiles(metric, images):
    return lpips_tf.tiled_distance(metric, images[0], images[0], tile=128)


@pytest.mark.parametrize(
    "function",
    [lpips_tf.distance_matrix, lpips_tf.mean_pairwise_distance, of_tiles],
    ids=lambda f: f.__name__,
)
def test_distances_that_numpy_computes_are_not_traced(build, images, function):
    metric, x = build(), images[0]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        traced = tf.function(lambda a: function(metric, a))
    elif BACKEND == "jax":
        import jax

        traced = jax.jit(lambda a: function(metric, a))
    else:
        import torch

        traced, x = torch.func.grad(lambda a: function(metric, a)), torch.tensor(x)
    with pytest.raises(ValueError, match=r"Expected .*arrays of numbers.*being traced"):
        traced(x)
