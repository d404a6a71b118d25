"""Images of another value range are told."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from keras_helpers import network

import lpips_tf


@pytest.mark.parametrize(
    ("scale", "value_range", "advice"),
    [(5, (-1, 1), "Pass value_range"), (1, (-1, 1), r"pass value_range=\(0, 1\)"),
     (5, (0, 1), "Pass value_range"), (1, (0, 255), r"in \[-1, 1\] or \[0, 1\]")],
)  # fmt: skip
def test_images_of_another_range_are_told_once(photos, scale, value_range, advice):
    metric = lpips_tf.LPIPS(value_range=value_range)
    images = photos[0].astype("float32") / 255 * scale
    with pytest.warns(UserWarning, match=advice):
        metric(images, images)
    metric = lpips_tf.LPIPS(value_range=value_range)
    black = np.full_like(images, value_range[0])
    metric(black, black)  # says nothing of the range
    with pytest.warns(UserWarning, match=advice):
        metric(images, images)
    with warnings.catch_warnings():  # once is enough
        warnings.simplefilter("error")
        metric(images, images)


def test_images_in_range_are_not_told_of(photos, floats):
    for value_range, images in [((-1, 1), floats), ((0, 1), photos)]:
        metric = lpips_tf.LPIPS(value_range=value_range)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            metric(*images)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_targets_of_8_bits_make_the_loss_nan_and_not_the_metric(x, jit_compile):
    """Keras casts them to floats before a loss sees them, but not for a metric."""
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS(), metrics=[lpips_tf.LPIPS()], jit_compile=jit_compile)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loss, metric = model.evaluate(x, np.round(127.5 * x + 127.5).astype("uint8"), verbose=0)
    assert np.isnan(loss)
    assert 0 < metric < 1
    said = [str(warning.message) for warning in told if "value_range" in str(warning.message)]
    assert len(said) == (not jit_compile)  # from what XLA compiles TensorFlow calls no Python
    assert all("The distance is NaN. Scale 8-bit images" in message for message in said)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["arrays", "tf.data"])
def test_a_range_that_cannot_be_is_told_once_in_fit(x, y, source):
    targets = (x + 1) / 2
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS(), metrics=[lpips_tf.baselines.L2("RGB")])
    data = {"x": y, "y": targets, "batch_size": 2}
    if source == "tf.data":
        data = {"x": tf.data.Dataset.from_tensor_slices((y, targets)).batch(2)}
    with pytest.warns(UserWarning, match=r"in0 spans 0\.0.* pass value_range=\(0, 1\)") as told:
        model.fit(**data, epochs=2, shuffle=False, verbose=0)
    assert len([w for w in told if "value_range" in str(w.message)]) == 2  # the loss and the metric


def test_a_right_range_is_not_told_in_fit(x, y):
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*value_range")
        model.fit(y, x, batch_size=4, verbose=0)


@pytest.mark.parametrize("value_range", [(-1, 1), (0, 1)])
def test_eager_calls_refuse_floats_of_8_bit_images(x, value_range):
    metric = lpips_tf.LPIPS(value_range=value_range)
    images = 127.5 * x + 127.5
    with pytest.raises(ValueError, match=r"Expected in0 in value_range=.*Received: floats from"):
        metric(images, images)
    metric._range_watch._checks = 0  # as after twenty arrays
    assert np.isnan(metric(images, images / 255)).all()
    assert np.isfinite(lpips_tf.LPIPS(value_range=(0, 255))(images, images)).all()


def test_what_a_network_gives_that_has_lost_its_way_has_finite_gradients(x, y):
    metric = lpips_tf.LPIPS()
    metric._range_watch._checks = 0
    for image in (100 * y, np.full_like(y, 1e4), np.full_like(y, -1e3)):
        assert np.isfinite(metric(x, image)).all()
