"""Everything in float64 where that is the metric's dtype."""

import keras
import numpy as np
import pytest
from benchmarks.gradients import gradient
from checking import numbers
from keras import ops

import lpips_tf
from lpips_tf import feature_cache

BACKEND = keras.backend.backend()
LEAST = {"alex": 31, "squeeze": 17}


@pytest.fixture(scope="module", autouse=True)
def x64():
    if BACKEND != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def images(net, seed=0):
    shape = (1, LEAST[net] + 2, LEAST[net], 3)
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, shape), rng.uniform(-1, 1, shape)


@pytest.mark.skipif(BACKEND != "jax", reason="float64 is there under the other backends")
def test_float64_that_jax_would_round_is_refused():
    import jax

    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        metric("alex")


def metric(net, **options):
    return lpips_tf.LPIPS(net, dtype="float64", **options)


@pytest.mark.parametrize(
    ("net", "first"),
    [("alex", True), ("alex", False), pytest.param("squeeze", False, marks=pytest.mark.slow)],
)
def test_gradients_in_float64_are_those_of_differences(net, first):
    """In float32 the differences of so near images are noise."""
    x, y = images(net)
    keras.utils.set_random_seed(0)
    compare = metric(net, backbone_weights=None)

    def distance(image):
        return ops.sum(compare(image, y) if first else compare(y, image))

    direction = np.random.default_rng(1).normal(size=x.shape)
    step = 1e-7 / np.linalg.norm(direction)
    above, below = (
        numbers(distance(ops.convert_to_tensor(x + sign * step * direction))) for sign in (1, -1)
    )
    slope = (gradient(distance, x) * direction).sum()
    assert above.dtype == np.float64
    assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-5)


def test_all_pairs_keep_their_digits():
    x, y = images("alex")
    matrix = lpips_tf.distance_matrix(metric("alex"), np.concatenate([x, y]))
    assert matrix.dtype == np.float64
    assert matrix[0, len(x)] == pytest.approx(numbers(metric("alex")(x, y))[0], rel=1e-12)


@pytest.mark.skipif(BACKEND != "jax", reason="needs the JAX backend")
def test_gradients_pass_the_check_grads_of_jax():
    from jax.test_util import check_grads

    compare = metric("alex")
    check_grads(
        lambda x, y: compare(x, y)[0],
        tuple(map(ops.convert_to_tensor, images("alex"))),
        order=1,
        modes=["rev"],
        eps=1e-7,
        atol=1e-6,
        rtol=1e-5,
    )


def digits(values):
    """The share of numbers that float32 does not hold."""
    values = numbers(values)
    assert values.dtype == np.float64
    return (values != values.astype("float32")).mean()


@pytest.mark.slow
def test_nothing_is_rounded_to_float32_on_the_way():
    x, y = images("alex")
    compare = metric("alex")
    assert digits(compare(x, y)) == 1
    assert digits(metric("alex", spatial=True)(x, y)) > 0.9
    assert all(digits(part) > 0.9 for part in compare.layer_maps(x, y))
    for part in (compare.embed(x), *compare.normalized_features(x)[0]):
        part = numbers(part)
        assert digits(part[part != 0]) > 0.9
    (found,) = feature_cache.averaged_differences(compare, x, y)
    found = numbers(found)
    assert digits(found[found != 0]) > 0.9
