"""Distances by masks are weighted averages of each layer's map."""

import keras
import numpy as np
import pytest
from benchmarks.gradients import gradient
from checking import NETS, numbers
from keras import ops

import lpips_tf

SIZE = (40, 34)  # which no layer's size divides
# JAX compiles every operation of a network for its size.
MASKED_NETS = ["alex"] if keras.backend.backend() == "jax" else NETS


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (2, 4, *SIZE, 3), "uint8")


@pytest.fixture(scope="module")
def mask():
    """Weights of many sizes, zeros among them."""
    weights = np.random.default_rng(6).exponential(1, (4, *SIZE)) ** 3
    weights[1, 5:20, :11] = 0
    return weights.astype("float32")


def averaged(mask, size):
    """The mask's mean over each of the equal parts of its area, by repeating pixels."""
    (count, height, width), (rows, columns) = mask.shape, size
    fine = mask.astype("float64").repeat(rows, 1).repeat(columns, 2)
    return fine.reshape(count, rows, height, columns, width).mean((2, 4))


@pytest.mark.parametrize("net", MASKED_NETS)
def test_each_layer_is_the_weighted_mean_of_its_map(build, images, mask, net):
    metric = build(net)
    distance, layers = metric(*images, return_per_layer=True, mask=mask)
    expected = []
    for values in map(numbers, metric.layer_maps(*images)):
        weights = averaged(mask, values.shape[1:])
        expected.append((weights * values).sum((1, 2)) / weights.sum((1, 2)))
    np.testing.assert_allclose(list(map(numbers, layers)), expected, rtol=1e-5)
    np.testing.assert_allclose(numbers(distance), np.sum(expected, 0), rtol=1e-5)


def test_a_mask_of_ones_changes_nothing(build, images):
    for spatial in (False, True):
        metric = build(spatial=spatial)
        for ones in (np.ones((4, *SIZE)), np.full((4, *SIZE, 1), 0.3, "float32")):
            np.testing.assert_array_equal(
                numbers(metric(*images, mask=ones)), numbers(metric(*images))
            )


def test_two_halves_add_up_by_their_areas_layer_by_layer(build, images, mask):
    metric, low = build(), np.minimum(mask, 1)
    areas = low.mean((1, 2)), (1 - low).mean((1, 2))
    halves = [metric(*images, return_per_layer=True, mask=part)[1] for part in (low, 1 - low)]
    _, whole = metric(*images, return_per_layer=True)
    for first, second, expected in zip(*halves, whole, strict=True):
        found = areas[0] * numbers(first) + areas[1] * numbers(second)
        np.testing.assert_allclose(found, numbers(expected), rtol=1e-5)


def test_neither_scale_nor_order_nor_type_of_masks_matters(build, images, mask):
    metric, half = build(), np.arange(SIZE[1]) < 17
    half = np.broadcast_to(half, (4, *SIZE))
    expected = numbers(metric(*images, mask=mask))
    for scale in (1e-30, 1e30):
        found = numbers(metric(*images, mask=(scale * mask)[..., None]))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    turned = numbers(metric(*images[:, ::-1], mask=mask[::-1]))[::-1]
    np.testing.assert_allclose(turned, expected, rtol=1e-6)
    by_bits = numbers(metric(*images, mask=half))
    for same in (255 * half.astype("uint8"), ops.convert_to_tensor(half.astype("float32"))):
        np.testing.assert_array_equal(numbers(metric(*images, mask=same)), by_bits)


def test_an_empty_mask_gives_nan_for_its_image_and_finite_gradients(build, images, mask):
    mask = mask.copy()
    mask[1] = 0
    metric = build()
    floats = images / np.float32(127.5) - 1
    found = numbers(metric(*floats, mask=mask))
    assert list(np.isnan(found)) == [False, True, False, False]
    slopes = gradient(lambda y: ops.sum(metric(floats[0], y, mask=mask)), floats[1])
    assert np.isfinite(slopes).all()
    assert (slopes[1] == 0).all()
    assert all(np.abs(slopes[i]).max() > 0 for i in (0, 2, 3))


def test_all_functions_take_masks(build, images, mask):
    metric = build()
    expected = numbers(metric(*images, mask=mask))
    (found,) = metric.distances(*images, mask=mask)
    np.testing.assert_allclose(numbers(found), expected, rtol=1e-6)
    explained = metric.explain(*images, mask=mask)
    np.testing.assert_allclose(numbers(explained.distance), expected, rtol=1e-6)
    plain = numbers(metric.maps(*images))[..., 0]
    weights = mask / mask.mean((1, 2), keepdims=True)
    for maps in (explained.map, metric.maps(*images, mask=mask),
                 build(spatial=True)(*images, mask=mask)):  # fmt: skip
        np.testing.assert_allclose(numbers(maps)[..., 0], weights * plain, rtol=2e-5, atol=1e-7)


def test_masks_are_inputs_of_models(build, images, mask):
    metric = build()
    inputs = [keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3)), keras.Input(SIZE)]
    outputs = [
        metric(*inputs[:2], mask=inputs[2]),
        *metric.distances(*inputs[:2], mask=inputs[2]),
        metric.maps(*inputs[:2], mask=inputs[2]),
    ]
    model = keras.Model(inputs, outputs)
    found = list(map(numbers, model([*(images / np.float32(127.5) - 1), mask])))
    expected = numbers(metric(*images, mask=mask))
    np.testing.assert_allclose(found[:2], [expected] * 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        found[2], numbers(metric.maps(*images, mask=mask)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:, 1:], r"images' size, \(4, 40, 34\).* Received: mask.shape=\(4, 39, 34\)"),
        (lambda m: m[:1], r"Received: mask.shape=\(1, 40, 34\)"),
        (lambda m: m[0], r"; mask\[None\] is a batch of one. Received: mask.shape=\(40, 34\)"),
        (lambda m: m[..., None].repeat(3, 3), r"Received: mask.shape=\(4, 40, 34, 3\)"),
        (lambda m: -m, "none of them negative. Received: -"),
        (lambda m: np.where(m > 1, np.nan, m), "finite weights.* Received: nan"),
        (lambda m: np.where(m > 1, np.inf, m), "finite weights.* Received: inf"),
        (lambda m: m.astype("complex64"), "mask of numbers. Received: mask.dtype=complex64"),
        (lambda m: "mask", "arrays or tensors"),
    ],
)
def test_masks_that_cannot_be_are_refused(build, images, mask, change, message):
    mask = change(mask)
    for call in (build(), build().maps, build().distances, build().explain):
        with pytest.raises(ValueError, match=message):
            call(*images, mask=mask)


def test_grey_images_are_three_equal_channels(build, images):
    grey = images[..., :1]
    expected = numbers(build()(*grey.repeat(3, -1)))
    for x, y in (grey, map(ops.convert_to_tensor, grey), (grey[0], grey[1].repeat(3, -1))):
        np.testing.assert_array_equal(numbers(build()(x, y)), expected)
    np.testing.assert_allclose(
        numbers(lpips_tf.baselines.L2()(*grey)),
        numbers(lpips_tf.baselines.L2()(*grey.repeat(3, -1))),
    )
    slope = gradient(lambda y: ops.sum(build()(grey[0], y)), grey[1] / np.float32(127.5) - 1)
    assert slope.shape == (4, *SIZE, 1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((35, 38, 3), r"; in0\[None\] is a batch of one image. Received: in0.shape=\(35, 38, 3\)"),
        ((35, 38), r"in0\[None, :, :, None\] is a batch of one grey image"),
        ((2, 3, 35, 38), r"; for channels first, transpose in0 by \(0, 2, 3, 1\)"),
        ((2, 35, 38, 4), r"; in0\[..., :3\] leaves out the alpha channel"),
        ((2, 35, 38, 2), r"; in0\[..., :1\] leaves out the alpha channel of grey"),
        ((2, 35, 38, 5), r"\(N, H, W, 3\), channels last. Received"),
    ],
)
def test_other_shapes_are_refused_with_what_mends_them(build, shape, message):
    images = np.zeros(shape, "uint8")
    for metric in (build(), lpips_tf.baselines.L2()):
        with pytest.raises(ValueError, match=message):
            metric(images, images)
