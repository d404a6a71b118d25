"""Functions that a backend traces or transforms, where images have no numbers to look at."""

import keras
import numpy as np
import pytest
from checking import numbers

import lpips_tf

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 2, 32, 33, 3)).astype("float32")


@pytest.mark.skipif(BACKEND != "torch", reason="needs the PyTorch backend")
def test_pytorch_transforms_a_metric(build, images):
    import torch

    x, y = map(torch.tensor, images)
    metric, direction = build(), torch.ones(2, 32, 33, 3)
    distance, slope = torch.func.jvp(lambda a: metric(a, y), (x,), (direction,))
    gradient = torch.func.grad(lambda a: metric(a, y).sum())(x)
    np.testing.assert_allclose(numbers(distance), numbers(metric(x, y)), rtol=1e-6)
    assert float(slope.sum()) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)
    assert metric(x.to("meta"), y.to("meta")).shape == (2,)
    torch.func.jvp(lambda a: lpips_tf.baselines.L2()(a, y), (x,), (direction,))


@pytest.mark.skipif(BACKEND != "torch", reason="needs the PyTorch backend")
def test_pytorch_compiles_a_metric_to_one_graph(build, images):
    """Compiled once for a size, however often the metric is called besides."""
    import torch
    from torch._dynamo.testing import CompileCounterWithBackend

    x, y = map(torch.tensor, images)
    metric, counter = lpips_tf.LPIPS(), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda a: metric(a, y).sum(), backend=counter, fullgraph=True)
    for _ in range(2):
        gradients = []
        for function in (compiled, lambda a: metric(a, y).sum()):
            a = x.clone().requires_grad_()
            distance = function(a)
            gradients.append(torch.autograd.grad(distance, a)[0])
            assert float(distance) == pytest.approx(float(metric(x, y).sum()), rel=1e-6)
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)
    assert counter.frame_count == 1


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
