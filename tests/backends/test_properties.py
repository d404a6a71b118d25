"""What mathematics says of the metric, for any images."""

import warnings

import keras
import numpy as np
import pytest
from benchmarks.gradients import gradient
from checking import NETS, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import lpips_tf
from lpips_tf._backend.tensors import mean_over_positions

LEAST = {"alex": 31, "vgg": 16, "squeeze": 17}
ON_JAX = keras.backend.backend() == "jax"
if ON_JAX:  # where test_golden.py takes VGG16, which compiles longest
    NETS = ["alex", "squeeze"]
SQUEEZE_LATER = [
    pytest.param(net, marks=pytest.mark.slow) if net == "squeeze" else net for net in NETS
]
any_images = settings(max_examples=2 if ON_JAX else 12, deadline=None)
seeds = st.integers(0, 2**32 - 1)
sides = st.tuples(st.integers(0, 40), st.integers(0, 40))
if ON_JAX:  # which compiles every operation anew for each size
    sides = st.just((9, 3))


def random_images(net, seed, extra, count=2):
    """Images of random blocks and noise, `extra` pixels larger than the network's least."""
    height, width = (LEAST[net] + n for n in extra)
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, -(-height // 8), -(-width // 8), 3))
    images = blocks.repeat(8, 1).repeat(8, 2)[:, :height, :width] + rng.normal(
        0, 20, (count, height, width, 3)
    )
    return np.clip(images, 0, 255).astype("uint8")


def test_means_of_a_million_positions_keep_their_digits():
    """A plain sum of as many numbers in float32 is off by 1e-5 and more."""
    rows = np.random.default_rng(0).exponential(1, (1, 1500, 1000, 3)).astype("float32")
    found = numbers(mean_over_positions(ops.convert_to_tensor(rows)))
    np.testing.assert_allclose(found[0, 0, 0], rows.mean((0, 1, 2), dtype="float64"), rtol=5e-6)


@pytest.mark.parametrize("net", NETS)
@any_images
@given(seed=seeds, extra=sides)
def test_equal_images_have_distance_zero(build, net, seed, extra):
    x = random_images(net, seed, extra)
    assert (numbers(build(net)(x, x)) == 0).all()


@pytest.mark.parametrize("net", NETS)
@any_images
@given(seed=seeds, extra=sides)
def test_distances_are_symmetric_and_not_negative(build, net, seed, extra):
    x, y = random_images(net, seed, extra), random_images(net, seed + 1, extra)
    there, back = numbers(build(net)(x, y)), numbers(build(net)(y, x))
    np.testing.assert_allclose(there, back, rtol=1e-6)
    assert (there > 0).all()


@pytest.mark.parametrize("net", NETS)
@any_images
@given(seed=seeds, extra=sides)
def test_layers_add_up_to_the_distance(build, net, seed, extra):
    x, y = random_images(net, seed, extra), random_images(net, seed + 1, extra)
    distance, layers = build(net)(x, y, return_per_layer=True)
    assert len(layers) == (7 if net == "squeeze" else 5)
    np.testing.assert_allclose(
        sum(numbers(layer) for layer in layers), numbers(distance), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("net", "lpips"),
    [("alex", True), ("alex", False), pytest.param("squeeze", True, marks=pytest.mark.slow)],
)
@any_images
@given(seed=seeds, extra=sides)
def test_the_distance_is_the_squared_one_of_embeddings(build, net, lpips, seed, extra):
    metric = build(net, lpips=lpips)
    x, y = random_images(net, seed, extra), random_images(net, seed + 1, extra)
    embedded = np.square(numbers(metric.embed(x)) - numbers(metric.embed(y))).sum(1)
    np.testing.assert_allclose(embedded, numbers(metric(x, y)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "dtype",
    ["float32", *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("float16", "float64"))],
)
@settings(max_examples=4, deadline=None)
@given(seed=seeds, low=st.floats(-300, 200), span=st.floats(0.5, 500))
def test_value_range_and_dtype_change_nothing(seed, low, span, dtype):
    """Floats of any range are what uint8 images are, but for rounding."""
    x, y = random_images("alex", seed, (9, 3)), random_images("alex", seed + 1, (9, 3))
    metric = _without_construction((low, low + span))
    floats = [(image / 255.0 * span + low).astype(dtype) for image in (x, y)]
    # float16 rounds the images themselves; a range far from zero loses their low bits
    step = float(np.finfo(dtype).eps) * (abs(low) + span) / span if dtype != "float64" else 0
    expected = numbers(metric(x, y))
    np.testing.assert_allclose(numbers(metric(*floats)), expected, rtol=2e-4 + 50 * step, atol=step)


def _without_construction(value_range, metrics={}):  # noqa: B006 (one metric, its range replaced)
    if not metrics:
        metrics["alex"] = lpips_tf.LPIPS()
    config = metrics["alex"].get_config() | {"value_range": value_range}
    return lpips_tf.LPIPS(**config)


def test_maps_average_to_the_distance_where_nothing_is_resized(golden):
    """A layer's map before resizing is what its share averages; resizing keeps the mean roughly."""
    metric, spatial = lpips_tf.LPIPS(), lpips_tf.LPIPS(spatial=True)
    maps = numbers(spatial(golden["large0"], golden["large1"]))
    assert maps.shape == (1, 256, 256, 1)
    distance = numbers(metric(golden["large0"], golden["large1"]))
    np.testing.assert_allclose(maps.mean((1, 2, 3)), distance, rtol=0.02)


@pytest.mark.parametrize("net", SQUEEZE_LATER)
def test_gradients_are_finite_at_equal_and_at_black_images(build, net):
    """Also where features vanish, which makes the official gradient NaN."""
    height, width = (LEAST[net] + extra for extra in (9, 3))
    x = np.repeat([-1.0, 0.0, 1.0], height * width * 3).reshape(3, height, width, 3)
    x, other = np.concatenate([x, x]).astype("float32"), np.concatenate([x, -x]).astype("float32")
    metric = build(net)
    assert np.isfinite(gradient(lambda a: ops.sum(metric(a, other)), x)).all()


@pytest.mark.slow
def test_gradients_are_finite_in_float16():
    """Far out of range too, where float16 overflows."""
    metric = lpips_tf.LPIPS(dtype="mixed_float16")
    x = np.random.default_rng(0).uniform(-1, 1, (4, 36, 36, 3)).astype("float32")
    x[2:] *= 1e4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the range
        slopes = gradient(lambda a: ops.sum(metric(x[[1, 0, 3, 2]], a)), x)
    assert np.isfinite(slopes).all()
    assert np.abs(slopes[:2]).max() > 1e-4


def test_dead_features_have_finite_gradients():
    """All features zero: the norm is 0, where a square root has no derivative."""
    metric = lpips_tf.LPIPS(backbone_weights=None)
    for layer in metric.backbone.layers:
        layer.set_weights([np.zeros(w.shape) - (w.ndim == 1) for w in layer.get_weights()])
    x = random_images("alex", 0, (9, 3)) / np.float32(127.5) - 1
    assert (numbers(metric(x, -x)) == 0).all()
    assert (gradient(lambda a: ops.sum(metric(a, -x)), x) == 0).all()


def test_changed_weights_and_dropout_show_in_later_calls():
    """Also where calls are compiled."""
    metric = lpips_tf.LPIPS(backbone_weights=None)
    x = random_images("alex", 0, (9, 3))
    before = numbers(metric(x, x[::-1]))
    for head in metric.heads:
        head.kernel.assign(2 * head.kernel)
    np.testing.assert_allclose(numbers(metric(x, x[::-1])), 2 * before, rtol=1e-6)
    metric.heads[2].trainable = True
    first, second = (numbers(metric(x, x[::-1], training=True)) for _ in range(2))
    assert (first != second).all()
    np.testing.assert_allclose(numbers(metric(x, x[::-1])), 2 * before, rtol=1e-6)


@pytest.mark.slow
def test_a_metric_may_be_built_while_a_function_is_traced(build):
    x, y = random_images("alex", 0, (9, 3)) / np.float32(127.5) - 1
    built = []

    def distance(a):
        if not built:
            built.append(lpips_tf.LPIPS())
        return ops.sum(built[0](a, y[None]))

    slope = gradient(traced(distance), x[None])
    expected = gradient(lambda a: ops.sum(build()(a, y[None])), x[None])
    np.testing.assert_allclose(slope, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(numbers(built[0](x[None], y[None])),
                                  numbers(build()(x[None], y[None])))  # fmt: skip


def test_a_metric_may_be_built_where_keras_keeps_assignments_or_tries_shapes_out(build):
    x, y = random_images("alex", 0, (9, 3))[:, None]
    built = []

    def distance(a):
        built.append(lpips_tf.LPIPS())
        return a

    with keras.StatelessScope():
        distance(x)
    keras.layers.Lambda(distance)(keras.Input((40, 34, 3)))
    assert len(built) >= 2
    for metric in built:
        np.testing.assert_array_equal(numbers(metric(x, y)), numbers(build()(x, y)))


def traced(function):
    if keras.backend.backend() != "tensorflow":
        return function  # `gradient` compiles by JAX; PyTorch does not trace
    import tensorflow as tf

    return tf.function(function)


def test_random_weights_are_reproducible_and_not_negative():
    def build():
        keras.utils.set_random_seed(7)
        return lpips_tf.LPIPS(net="alex", backbone_weights=None, head_weights=None)

    x = np.random.default_rng(0).uniform(-1, 1, (2, 40, 40, 3)).astype("float32")
    first, second = build(), build()
    assert all(numbers(head.kernel).min() >= 0 for head in first.heads)
    np.testing.assert_array_equal(numbers(first(x, -x)), numbers(second(x, -x)))
    assert (numbers(first(x, -x)) > 0).all()


def test_channels_weigh_as_the_heads_say(build, photos):
    """Heads of ones are the baseline."""
    metric = lpips_tf.LPIPS()
    for head in metric.heads:
        head.kernel.assign(np.ones(head.kernel.shape))
    np.testing.assert_allclose(
        numbers(metric(*photos)), numbers(build(lpips=False)(*photos)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.filterwarnings("ignore:.* spans")  # told once by a metric that tests share
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("net", SQUEEZE_LATER)
def test_the_distance_of_an_image_that_is_not_finite_is_nan(build, net, value):
    """And only that one: a diverged model must not look well."""
    x = random_images(net, 0, (9, 3)) / np.float32(127.5) - 1
    bad = x.copy()
    bad[1, 10, 12, 2] = value
    expected = [False, True]
    distance, layers = build(net)(-x, bad, return_per_layer=True)
    for result in (distance, *layers, build(net)(bad, bad)):
        assert np.isnan(numbers(result)).tolist() == expected
    maps = numbers(build(net, spatial=True)(bad, x))
    assert np.isnan(maps).all((1, 2, 3)).tolist() == expected
    assert np.isnan(numbers(build(net).embed(bad))).all(1).tolist() == expected
    metric = build(net)
    slope = gradient(lambda a: ops.sum(metric(x, a)), bad)
    assert np.isnan(slope).any((1, 2, 3)).tolist() == expected


def test_distances_of_several_batches_equal_calls(build):
    x, y, z = (random_images("alex", seed, (9, 3)) for seed in range(3))
    for metric in (build(), build(spatial=True)):
        received = metric.distances(x, y, z)
        assert len(received) == 2
        for distance, image in zip(received, (y, z), strict=True):
            expected = numbers(metric(x, image))
            np.testing.assert_allclose(numbers(distance), expected, rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(numbers(metric.distances(x, x)[0]), 0)


def test_distances_refuse_what_calls_refuse(build):
    x = np.zeros((2, 40, 36, 3), "uint8")
    with pytest.raises(ValueError, match="Received: none"):
        build().distances(x)
    with pytest.raises(ValueError, match=r"same shape.*\(1, 40, 36, 3\)"):
        build().distances(x, x, x[:1])
    with pytest.raises(ValueError, match=r"images\[1\].shape=\(2, 40, 36\)"):
        build().distances(x, x, x[..., 0])
