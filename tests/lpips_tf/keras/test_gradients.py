"""Gradients of distances in TensorFlow: right, finite, and no more than needed."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_helpers import MODES, POLICIES, with_gradient
from tensorflow.python.eager import context

import lpips_tf


@pytest.mark.parametrize(
    "mode", ["eager", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("graph", "XLA"))]
)
def test_gradients_towards_one_image_are_those_towards_both(build, pairs, mode):
    metric = build()
    x, y = map(tf.constant, pairs)

    def both(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            loss = tf.reduce_sum(metric(x, y))
        return tape.gradient(loss, [x, y])

    toward_x, toward_y = MODES[mode](both)(x, y)
    _, only_y = MODES[mode](lambda x, y: with_gradient(metric, x, y))(x, y)
    _, only_x = MODES[mode](lambda x, y: with_gradient(lambda a, b: metric(b, a), y, x))(x, y)
    largest = np.abs(toward_y).max()
    assert largest > 1e-3
    np.testing.assert_allclose(only_y, toward_y, atol=1e-5 * largest)
    np.testing.assert_allclose(only_x, toward_x, atol=1e-5 * largest)


@pytest.fixture
def noise():
    """A pair in float64 without equal pixels, at whose max-pools the derivative would jump."""
    return tf.constant(np.random.default_rng(0).uniform(-1, 1, (2, 1, 32, 40, 3)))


@pytest.mark.parametrize("net", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_gradients_are_those_of_finite_differences(noise, net):
    metric = lpips_tf.LPIPS(net, dtype="float64")
    x, y = noise
    loss, gradient = with_gradient(metric, x, y)
    assert loss.dtype == gradient.dtype == tf.float64
    rng = np.random.default_rng(0)
    for _ in range(5):
        direction = rng.normal(size=y.shape)
        step = 1e-7 * direction
        difference = (metric(x, y + step) - metric(x, y - step)).numpy().sum() / 2e-7
        assert difference == pytest.approx(np.vdot(gradient, direction), rel=1e-4)


@pytest.mark.parametrize("mode", ["graph", "eager"])  # XLA on CPU knows none of a max-pool
@pytest.mark.slow
def test_second_derivatives_are_those_of_finite_differences(noise, mode):
    """The gradient of a gradient penalty, through every layer's own gradient."""
    metric = lpips_tf.LPIPS(dtype="float64")
    x, y = noise
    direction = tf.constant(np.random.default_rng(1).normal(size=y.shape))

    def hessian_times(direction):
        with tf.GradientTape() as outer:
            outer.watch(y)
            slope = tf.reduce_sum(with_gradient(metric, x, y)[1] * direction)
        return outer.gradient(slope, y)

    product = MODES[mode](hessian_times)(direction)
    step = 1e-7
    above, below = (with_gradient(metric, x, y + s * direction)[1] for s in (step, -step))
    difference = (above - below) / (2 * step)
    error = np.linalg.norm(product - difference) / np.linalg.norm(difference)
    assert error < 1e-4


@pytest.mark.slow
def test_forward_mode_gives_the_slope_of_the_gradient(build, pairs):
    x, y = map(tf.constant, pairs)
    direction = tf.random.stateless_normal(y.shape, [0, 1])
    with tf.autodiff.ForwardAccumulator(y, direction) as accumulator:
        distance = build()(x, y)
    slope = tf.reduce_sum(with_gradient(build(), x, y)[1] * direction)
    np.testing.assert_allclose(tf.reduce_sum(accumulator.jvp(distance)), slope, rtol=1e-3)


def test_nothing_is_computed_for_frozen_weights_or_for_the_reference(pairs):
    """Five convolutions go back to one image, none to weights."""
    metric = lpips_tf.LPIPS()
    signature = [tf.TensorSpec((None, None, None, 3))] * 2
    graph = tf.function(lambda x, y: with_gradient(metric, x, y), input_signature=signature)
    context.enable_run_metadata()
    graph(*pairs)
    run = context.export_run_metadata()
    context.disable_run_metadata()
    (found,) = run.function_graphs
    types = [node.op for node in found.post_optimization_graph.node]
    assert sum(name.endswith(("Conv2D", "Conv3D")) for name in types) == 10
    assert sum("BackpropInput" in name for name in types) == 5
    assert not any("BackpropFilter" in name for name in types)
    assert types.count("ReadVariableOp") == 15  # each weight once


@pytest.mark.slow
def test_frozen_weights_have_no_gradient(pairs):
    metric = lpips_tf.LPIPS()
    x, y = map(tf.constant, pairs)
    for mode in ("eager", "graph"):

        def gradients():
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(y)
                loss = tf.reduce_sum(metric(x, y))
            return [
                g for g in tape.gradient(loss, [v.value for v in metric.variables]) if g is not None
            ]

        assert MODES[mode](gradients)() == []
    metric.backbone.trainable = True
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(metric(x, y))
    gradients = tape.gradient(loss, [v.value for v in metric.trainable_variables])
    assert len(gradients) == 10
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def test_weight_gradients_are_those_of_keras_own_convolution(pairs):
    """AlexNet's first layer brings its own gradient, towards weights too."""
    metric = lpips_tf.LPIPS()
    metric.backbone.trainable = True
    y = tf.constant(pairs[1])
    first = metric.backbone.get_layer("conv1")
    kernel, bias = (tf.Variable(v.value) for v in first.weights)

    def plain(image):
        padded = tf.pad(image, [[0, 0], [2, 2], [2, 2], [0, 0]])
        return tf.nn.relu(tf.nn.conv2d(padded, kernel, 4, "VALID") + bias)

    for height in (31, 32, 33, 34):  # every remainder of the stride
        image = y[:, :height, : height - 1]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(image)
            ours = tf.reduce_sum(tf.sin(first(image)))
            theirs = tf.reduce_sum(tf.sin(plain(image)))
        received = tape.gradient(ours, [image, *(v.value for v in first.weights)])
        expected = tape.gradient(theirs, [image, kernel, bias])
        for a, b in zip(received, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6 * np.abs(b).max())
        del tape


def test_ten_sizes_and_two_batches_trace_once(photos):
    metric = lpips_tf.LPIPS()
    for i in range(10):
        images = [tf.cast(image[: 1 + i % 2, : 40 + i], "float32") / 128 - 1 for image in photos]
        with_gradient(metric, *images)
    (graph,) = metric._distances._graphs.values()
    assert graph.experimental_get_tracing_count() == 1


# Never NaN


def hard_images():
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-1, 1, (33, 35, 3))
    cases = {
        "identical": (pixels, pixels),
        "constant": (np.zeros_like(pixels), np.full_like(pixels, 0.5)),
        "both constant and equal": (np.ones_like(pixels), np.ones_like(pixels)),
        "huge": (1e4 * pixels, -1e4 * pixels),
        "huge and constant": (np.full_like(pixels, 1e4), np.full_like(pixels, -1e4)),
        "tiny differences": (pixels, pixels + 1e-6),
        "normal": (pixels, rng.uniform(-1, 1, pixels.shape)),
    }
    return tuple(np.stack(side).astype("float32") for side in zip(*cases.values(), strict=True))


def dead(metric):
    """Weights with which every feature of every image is 0."""
    for layer in metric.backbone.layers:
        layer.set_weights([np.zeros(w.shape) - (w.ndim == 1) for w in layer.get_weights()])
    return metric


@pytest.mark.parametrize(
    ("policy", "mode", "weights"),
    [
        ("float32", "eager", "imagenet"), ("float32", "eager", None), ("float32", "graph", "zero"),
        pytest.param("float32", "XLA", "imagenet", marks=pytest.mark.slow),
        ("mixed_bfloat16", "graph", "imagenet"),
        ("mixed_float16", "graph", "imagenet"), ("mixed_float16", "graph", "zero"),
        pytest.param("mixed_float16", "XLA", "zero", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_gradients_of_hard_pairs_are_finite(policy, mode, weights):
    """A batch of hard pairs with a normal one among them."""
    metric = lpips_tf.LPIPS(
        backbone_weights="imagenet" if weights == "imagenet" else None, dtype=policy
    )
    if weights == "zero":
        dead(metric)
    x, y = map(tf.constant, hard_images())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the range
        loss, gradient = MODES[mode](lambda x, y: with_gradient(metric, x, y))(x, y)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
    if weights != "zero":
        assert np.abs(gradient[-1]).max() > 0
    else:
        assert (gradient.numpy() == 0).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.slow
def test_gradients_of_hard_pairs_are_finite_by_vgg(policy):
    metric = lpips_tf.LPIPS("vgg", dtype=policy)
    x, y = (tf.constant(image[:, :17, :18]) for image in hard_images())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss, gradient = with_gradient(metric, x, y)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", [tf.Variable, keras.Variable])
def test_images_may_be_variables(build, pairs, kind):
    """The natural form of an image that is optimised."""
    x, y = pairs
    metric, image = build(), kind(y)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(metric(x, image))
    received = tape.gradient(
        loss, getattr(image, "value", image) if kind is keras.Variable else image
    )
    expected = with_gradient(metric, tf.constant(x), tf.constant(y))[1]
    np.testing.assert_allclose(received, expected, atol=1e-7)


@pytest.mark.parametrize("policy", POLICIES)
def test_nan_in_an_image_shows_in_its_gradient(pairs, policy):
    x, y = pairs
    y = y.copy()
    y[1, 3, 4, 0] = np.nan
    gradient = with_gradient(lpips_tf.LPIPS(dtype=policy), tf.constant(x), tf.constant(y))[1]
    assert np.isnan(gradient).any((1, 2, 3)).tolist() == [False, True, False, False]
