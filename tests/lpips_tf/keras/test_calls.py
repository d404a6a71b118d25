"""Calls of a metric as Keras makes them, with its state and settings."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import lpips_tf


@pytest.mark.parametrize("trainable", [False, True])
def test_stateless_calls_use_the_weights_that_they_are_given(pairs, trainable):
    x, y = map(tf.constant, pairs)
    metric = lpips_tf.LPIPS()
    metric.backbone.trainable = trainable
    before = metric(x, y)
    halved = [v.value / 2 if len(v.shape) == 4 else v.value for v in metric.trainable_variables]
    others = [v.value / 2 if len(v.shape) == 4 else v.value for v in metric.non_trainable_variables]
    for call in (metric.stateless_call, tf.function(metric.stateless_call)):
        received = call(halved, others, x, y)[0]
        assert np.abs(received - before).max() > 1e-3
    np.testing.assert_array_equal(metric(x, y), before)
    for variable, value in zip(metric.trainable_variables, halved, strict=True):
        variable.assign(value)
    for variable, value in zip(metric.non_trainable_variables, others, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(metric(x, y), received, rtol=1e-5)


def test_images_are_channels_last_whatever_keras_says(build, pairs):
    keras.config.set_image_data_format("channels_first")
    try:
        distances = [lpips_tf.LPIPS(net)(*pairs) for net in ("alex", "vgg")]
    finally:
        keras.config.set_image_data_format("channels_last")
    for net, distance in zip(("alex", "vgg"), distances, strict=True):
        np.testing.assert_array_equal(distance, build(net)(*pairs))


def test_flags_of_what_is_trained_survive_saving(tmp_path):
    metric = lpips_tf.LPIPS()
    metric.heads[1].trainable = True
    metric.backbone.trainable = True
    metric.backbone.get_layer("conv1").trainable = False
    metric.save(tmp_path / "metric.keras")
    loaded = keras.saving.load_model(tmp_path / "metric.keras")
    names = [v.path for v in metric.trainable_variables]
    assert len(names) == 9
    assert len(loaded.trainable_variables) == 9
    assert not loaded.backbone.get_layer("conv1").trainable
    assert lpips_tf.LPIPS.from_config(lpips_tf.LPIPS().get_config()).trainable_variables == []


def test_settings_cannot_change_under_a_compiled_graph():
    metric = lpips_tf.LPIPS()
    with pytest.raises(AttributeError, match="value_range cannot be changed; give it to a new"):
        metric.value_range = (0, 1)


@pytest.mark.parametrize("scale", [1e16, 1e20, 1e30])
def test_images_too_large_for_float32_are_nan(build, pairs, scale):
    """Norms of their features are infinite, and the distance would be 0, as of equal images."""
    x, y = pairs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(build()(scale * x, scale * y)).all()
        assert np.isfinite(build()(1e10 * x, 1e10 * y)).all()


@pytest.mark.parametrize("images", ["image.png", None])
def test_what_is_no_batch_of_images_is_refused(build, pairs, images):
    with pytest.raises(ValueError, match=r"Expected arrays or tensors of images\. Received: "):
        build()(images, pairs[0])
