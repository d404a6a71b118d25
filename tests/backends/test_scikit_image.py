"""L2 and DSSIM equal scikit-image's results, on every backend."""

import keras
import numpy as np
import pytest
from checking import numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpips_tf.baselines import DSSIM, L2, rgb_to_lab

skimage = pytest.importorskip("skimage")
from skimage.color import rgb2lab  # noqa: E402
from skimage.metrics import structural_similarity  # noqa: E402


def reference(metric, image0, image1):
    if metric.colorspace == "Lab":
        image0, image1, span = rgb2lab(image0), rgb2lab(image1), 100
    else:
        span = 255
    if isinstance(metric, DSSIM):
        ssim = structural_similarity(image0, image1, channel_axis=2, data_range=span)
        return (1 - ssim) / 2
    if metric.colorspace == "RGB":
        return np.mean((image0 / 127.5 - image1 / 127.5) ** 2)
    return 0.5 * np.mean((image0 / 100 - image1 / 100) ** 2)


FLAT = [(251, 69), (53, 227), (255, 50), (231, 65), (1, 2)]
METRICS = [kind(colorspace) for kind in (L2, DSSIM) for colorspace in ("RGB", "Lab")]


def name(metric):
    return f"{metric.name} {metric.colorspace}"


@pytest.fixture(scope="module")
def pairs():
    """Images where rounding shows: nearly equal, flat and bright, edges, noise, extremes."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (12, 10, 3)).repeat(4, 0).repeat(4, 1).astype("uint8")
    bright = np.full_like(blocks, 250)
    bright_dots = bright.copy()
    bright_dots[::5, ::3] -= 1
    edge = np.zeros_like(blocks)
    edge[:24] = 255
    edge_lines = edge ^ 0
    edge_lines[::7] ^= 1
    noise = rng.integers(0, 256, blocks.shape, "uint8")
    black, white = np.zeros_like(blocks), np.full_like(blocks, 255)
    return np.stack(
        [
            (blocks, noise),
            (blocks, blocks // 2),
            (blocks, blocks ^ 1),
            (bright, bright_dots),
            (edge, edge_lines),
            (black, white),
            *[(np.full_like(blocks, a), np.full_like(blocks, b)) for a, b in FLAT],
        ],
        axis=1,
    )


@pytest.mark.parametrize("metric", METRICS, ids=name)
def test_baselines_equal_scikit_image_where_rounding_shows(metric, pairs):
    expected = [reference(metric, *pair) for pair in pairs.swapaxes(0, 1)]
    np.testing.assert_allclose(numbers(metric(*pairs)), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS, ids=name)
@settings(max_examples=10, deadline=None)
@given(images=hnp.arrays(np.uint8, (2, 3, 9, 8, 3), elements=st.integers(0, 255)))
def test_baselines_equal_scikit_image_on_any_images(metric, images):
    expected = [reference(metric, *pair) for pair in images.swapaxes(0, 1)]
    np.testing.assert_allclose(numbers(metric(*images)), expected, atol=1e-5)


def test_lab_equals_scikit_image_on_all_greys_and_primaries():
    levels = np.arange(256, dtype="uint8")
    primaries = np.stack([np.roll([1, 0, 0], i) for i in range(3)] + [[1, 1, 1]])
    colors = (levels[:, None, None] * primaries).astype("uint8")
    lab = numbers(rgb_to_lab(keras.ops.convert_to_tensor(colors / np.float32(255))))
    np.testing.assert_allclose(lab / 100, rgb2lab(colors) / 100, atol=2e-6)


@pytest.mark.parametrize("metric", METRICS, ids=name)
def test_baselines_are_0_for_equal_images_and_symmetric(metric, pairs):
    x, y = pairs
    np.testing.assert_array_equal(numbers(metric(x, x)), np.zeros(len(x), "f4"))
    np.testing.assert_allclose(numbers(metric(x, y)), numbers(metric(y, x)), rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS, ids=name)
@pytest.mark.parametrize("value_range", [(-1, 1), (0, 1), (0, 255)])
def test_floats_in_their_range_equal_uint8(metric, value_range, pairs):
    low, high = value_range
    floats = (pairs / np.float32(255) * (high - low) + low).astype("f4")
    floating = type(metric)(metric.colorspace, value_range=value_range)
    np.testing.assert_allclose(numbers(floating(*floats)), numbers(metric(*pairs)), atol=1e-5)
