"""Convolutions of large images strip by strip, as oneDNN needs them without AVX-512."""

import numpy as np
import pytest
import tensorflow as tf
from checking import numbers

import lpips_tf
from lpips_tf._backend import strips


@pytest.fixture
def bounded(monkeypatch):
    """As on a processor without AVX-512, with a bound that small images reach."""
    monkeypatch.setattr(strips, "_bounded", lambda: True)
    monkeypatch.setattr(strips, "MOST_BYTES", 2**19)
    monkeypatch.setattr(strips, "STRIP_BYTES", 2**19)
    monkeypatch.setattr(strips, "MOST_PIXELS", 2**12)


@pytest.mark.parametrize(("side", "stride"), [(3, 1), (5, 1), (11, 4), (3, 2)])
@pytest.mark.parametrize("number", [2, 4, 16])
def test_strips_give_the_convolution_of_the_whole(side, stride, number):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 97, 41, 3)).astype("float32")
    kernel = rng.normal(size=(side, side, 3, 5)).astype("float32")
    expected = tf.nn.conv2d(images, kernel, stride, "VALID")
    found = strips.convolved(tf.constant(images), tf.constant(kernel), stride, number)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_only_large_convolutions_are_computed_in_strips(monkeypatch):
    """By the sizes at which oneDNN 3 was seen to fall back, on 2 and on 16 threads."""
    monkeypatch.setattr(strips, "_bounded", lambda: True)
    for threads, side, channels, large in (
        (2, 128, 128, False), (2, 480, 128, True), (2, 256, 512, True), (16, 512, 64, True),
    ):  # fmt: skip
        monkeypatch.setattr(strips, "_threads", lambda threads=threads: threads)
        shape, kernel = (None, side, side, channels), (3, 3, channels, channels)
        assert (strips.number_of_strips(shape, kernel, 1) > 1) == large
    assert strips.number_of_strips((None, None, None, 512), (3, 3, 512, 512), 1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_large_images_have_the_distances_and_gradients_of_the_whole(build, net, bounded):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (2, 2, 131, 97, 3)).astype("float32")
    metric = lpips_tf.LPIPS(net, backbone_weights=None)
    metric.set_weights(build(net).get_weights())

    def distance_and_gradient(metric):
        with tf.GradientTape() as tape:
            tape.watch(image := tf.constant(y))
            distance = metric(x, image)
        return numbers(distance), numbers(tape.gradient(distance, image))

    counted = []
    original = strips.convolved
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "convolved", lambda *a: counted.append(a[-1]) or original(*a))
        found = distance_and_gradient(metric)
    assert max(counted) > 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "_bounded", lambda: False)
        expected = distance_and_gradient(build(net))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4 * np.abs(expected[1]).max())
    assert (numbers(metric(x, x)) == 0).all()


def test_large_images_of_many_sizes_keep_one_graph(bounded):
    metric = lpips_tf.LPIPS()
    for width in (70, 80, 90):
        image = np.zeros((1, 64, width, 3), "uint8")
        assert numbers(metric(image, image)) == 0
    assert len(metric._distances._of_one_size) == 1
