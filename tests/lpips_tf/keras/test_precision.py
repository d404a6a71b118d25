"""Distances and gradients under mixed precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_helpers import network, with_gradient

import lpips_tf


@pytest.mark.parametrize(
    ("net", "policy", "tolerance"),
    [("alex", "mixed_bfloat16", 0.005), ("alex", "mixed_float16", 0.001),
     pytest.param("vgg", "mixed_float16", 0.001, marks=pytest.mark.slow)],
)  # fmt: skip
def test_distances_under_mixed_precision_are_near_float32(golden, build, net, policy, tolerance):
    metric = lpips_tf.LPIPS(net, dtype=policy)
    assert metric.backbone.outputs[-1].dtype == policy.removeprefix("mixed_")
    for name in ("small", "odd", "large"):
        pair = golden[f"{name}0"], golden[f"{name}1"]
        distance = metric(*pair)
        assert distance.dtype == tf.float32
        np.testing.assert_allclose(distance, build(net)(*pair), rtol=tolerance)


@pytest.mark.parametrize(("policy", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_small_differences_survive_low_precision(golden, build, policy, tolerance):
    """Images rounded to 8 bits of mantissa would be off by a quarter."""
    rng = np.random.default_rng(5)
    image = np.concatenate([golden["small0"], golden["small1"]])
    changes = [rng.integers(-3, 4, image.shape), rng.integers(-5, 6, (12, 1, 1, 3))]
    low = lpips_tf.LPIPS(dtype=f"mixed_{policy}")
    for change in changes:
        other = np.clip(image.astype(int) + change, 0, 255).astype("uint8")
        expected = build()(image, other).numpy()
        assert np.median(expected) < 0.02
        of_class = expected > 0.001
        assert of_class.sum() > 3
        np.testing.assert_allclose(low(image, other)[of_class], expected[of_class], rtol=tolerance)


def test_a_metric_takes_the_global_policy_unless_given_one(build, photos):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        metric = lpips_tf.LPIPS()
        exact = lpips_tf.LPIPS(dtype="float32")
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert metric.compute_dtype == "bfloat16"
    np.testing.assert_array_equal(exact(*photos), build()(*photos))
    np.testing.assert_allclose(metric(*photos), exact(*photos), rtol=0.01)


@pytest.mark.parametrize("loss_scale", [1, 2**15])
@pytest.mark.slow
def test_float16_gradients_do_not_underflow(golden, build, loss_scale):
    """With Keras' loss scale and without one; a mean over images of 256x256."""
    x, y = (tf.constant(golden[key].astype("float32") / 127.5 - 1) for key in ("large0", "large1"))
    low = lpips_tf.LPIPS(dtype="mixed_float16")
    received = with_gradient(lambda a, b: low(a, b) * loss_scale, x, y)[1] / loss_scale
    expected = with_gradient(build(), x, y)[1]
    error = np.linalg.norm(received - expected) / np.linalg.norm(expected)
    assert error < 0.06


@pytest.mark.slow
def test_a_model_trains_under_a_float16_policy(pairs):
    """Keras scales the loss; the model computes in float16 too."""
    x, y = pairs
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = network()
        model.compile(keras.optimizers.Adam(1e-2), loss=lpips_tf.LPIPS())
        losses = model.fit(y, x, epochs=12, verbose=0).history["loss"]
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_a_layer_around_does_not_change_the_policy_of_a_metric(build, pairs):
    """Neither this call nor any later one computes in the policy of the layer."""
    x, y = map(tf.constant, pairs)
    metric = lpips_tf.LPIPS(dtype="float32")

    class Outer(keras.layers.Layer):
        def call(self, _):
            return metric(x, y)

    for distance in (Outer(dtype="mixed_bfloat16")(tf.zeros(1)), metric(x, y)):
        np.testing.assert_array_equal(distance, build()(x, y))
