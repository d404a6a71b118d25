"""Losses and metrics of Keras by numbers of the distance itself."""

import json

import keras
import numpy as np
import pytest
from checking import numbers

import lpips_tf


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).integers(0, 256, (2, 4, 40, 34, 3), "uint8")


@pytest.fixture(scope="module")
def weights():
    return np.array([1, 0, 2, 0.5], "float32")


def by_hand(values, weights, reduction):
    """What Keras says of its reductions, for a weight for each of the values."""
    weighted = values * weights
    return {
        "sum": weighted.sum(), "none": weighted, None: weighted,
        "sum_over_batch_size": weighted.mean(), "mean": weighted.mean(),
        "mean_with_sample_weight": weighted.sum() / weights.sum(),
    }[reduction]  # fmt: skip


REDUCTIONS = ["sum", "none", None, "sum_over_batch_size", "mean", "mean_with_sample_weight"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_are_those_of_keras(build, images, weights, reduction):
    distances = numbers(build()(*images))
    loss = lpips_tf.losses.LPIPS(metric=build(), reduction=reduction)
    for given, used in ((None, np.ones(4)), (weights, weights), (weights[:, None], weights)):
        expected = by_hand(distances, used, reduction)
        np.testing.assert_allclose(numbers(loss(*images, given)), expected, rtol=1e-5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_maps_are_weighted_by_images_or_pixels(build, images, weights, reduction):
    metric = build(spatial=True)
    maps = numbers(metric(*images))[..., 0]
    loss = lpips_tf.losses.LPIPS(metric=metric, reduction=reduction)
    pixels = np.random.default_rng(4).random(maps.shape).astype("float32")
    of_images = np.broadcast_to(weights[:, None, None], maps.shape)
    for given, used in (
        (None, np.ones_like(maps)), (pixels, pixels), (pixels[..., None], pixels),
        (weights, of_images), (np.float32(2), np.full_like(maps, 2)),
    ):  # fmt: skip
        expected = by_hand(maps, used, reduction)
        np.testing.assert_allclose(numbers(loss(*images, given)), expected, rtol=1e-5)


def test_weights_of_pixels_are_a_mask_where_there_is_no_map(build, images):
    pixels = np.random.default_rng(4).random(images.shape[1:4]).astype("float32")
    expected = numbers(build()(*images, mask=pixels)).mean()
    loss = lpips_tf.losses.LPIPS(metric=build())
    mean = lpips_tf.metrics.LPIPS(metric=build())
    for options in ({"sample_weight": pixels}, {"mask": pixels}):
        assert float(loss(*images, **options)) == pytest.approx(expected, rel=1e-5)
        mean.reset_state()
        mean.update_state(*images, **options)
        assert float(mean.result()) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"Expected a mask or weights of pixels.*both"):
        loss(*images, pixels, mask=pixels)


def test_defaults_are_vgg_for_the_loss_and_alexnet_for_the_metric():
    assert lpips_tf.losses.LPIPS().metric.net == "vgg"
    made = lpips_tf.losses.LPIPS("alex", version="0.0", value_range=(0, 1), name="d").metric
    assert (made.net, made.version, made.value_range) == ("alex", "0.0", (0, 1))
    assert lpips_tf.metrics.LPIPS().metric.net == "alex"


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 at first")
def test_a_loss_in_float64_keeps_its_digits():
    loss = lpips_tf.losses.LPIPS("alex", dtype="float64")
    assert loss.dtype == "float64"
    assert lpips_tf.losses.LPIPS("alex", dtype="mixed_bfloat16").dtype == "float32"


def test_a_metric_is_the_mean_over_images_of_all_batches(build, images, weights):
    distances = numbers(build()(*images))
    mean = lpips_tf.metrics.LPIPS(metric=build())
    assert np.isnan(float(mean.result()))
    for rows in (slice(0, 3), slice(3, 4)):
        mean.update_state(images[0][rows], images[1][rows])
    assert float(mean.result()) == pytest.approx(distances.mean(), rel=1e-6)
    mean.reset_state()
    for rows in (slice(0, 3), slice(3, 4)):
        mean.update_state(images[0][rows], images[1][rows], weights[rows])
    expected = (distances * weights).sum() / weights.sum()
    assert float(mean.result()) == pytest.approx(expected, rel=1e-6)


def test_a_metric_of_maps_is_weighted_by_images_or_pixels(build, images, weights):
    maps = numbers(build(spatial=True)(*images))[..., 0]
    pixels = np.random.default_rng(4).random(maps.shape).astype("float32")
    for given, used in ((None, 1), (weights, weights[:, None, None]), (pixels, pixels)):
        mean = lpips_tf.metrics.LPIPS(metric=build(spatial=True))
        mean.update_state(*images, given)
        used = np.broadcast_to(used, maps.shape)
        expected = (maps * used).sum() / used.sum()
        assert float(mean.result()) == pytest.approx(expected, rel=1e-5)


def test_diversity_is_the_mean_over_all_pairs_of_all_batches(build, images):
    images = images.reshape(-1, *images.shape[2:])
    diversity = lpips_tf.metrics.MeanPairwiseLPIPS(metric=build())
    assert np.isnan(float(diversity.result()))
    for rows in (slice(0, 4), slice(4, 8)):
        diversity.update_state(None, images[rows])
    expected = lpips_tf.mean_pairwise_distance(build(), images)
    assert float(diversity.result()) == pytest.approx(expected, rel=1e-5)
    diversity.reset_state()
    diversity.update_state(None, images[:1])
    assert np.isnan(float(diversity.result()))


@pytest.mark.slow
def test_models_train_with_the_loss_and_metrics_of_one_network(build, images):
    x, y = (batch.astype("float32") / 127.5 - 1 for batch in images)
    image = keras.Input((40, 34, 3))
    model = keras.Model(image, keras.layers.Rescaling(0.5)(image) + keras.layers.Conv2D(
        3, 1, kernel_initializer="zeros")(image))  # fmt: skip
    metric = build()
    metrics = [
        lpips_tf.metrics.LPIPS(metric=metric), lpips_tf.metrics.MeanPairwiseLPIPS(metric=metric)
    ]  # fmt: skip
    model.compile("adam", loss=lpips_tf.losses.LPIPS(metric=metric), metrics=metrics)
    distance = numbers(metric(x, y / 2)).mean()
    diversity = lpips_tf.mean_pairwise_distance(metric, y / 2)
    found = model.evaluate(y, x, batch_size=2, verbose=0)
    np.testing.assert_allclose(found, [distance, distance, diversity], rtol=1e-4)
    history = model.fit(y, x, batch_size=2, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


def test_diversity_within_conditions_has_its_standard_error(build, images):
    images = images.reshape(-1, *images.shape[2:])
    conditions = np.array([0, 4, 1, 0, 4, 1, 1, 0])
    within = [lpips_tf.mean_pairwise_distance(build(), images[conditions == i]) for i in (0, 1, 4)]
    diversity = lpips_tf.metrics.MeanPairwiseLPIPS(conditions=6, metric=build())
    for rows in (slice(0, 3), slice(3, 8)):
        diversity.update_state(conditions[rows], images[rows])
    assert float(diversity.result()) == pytest.approx(np.mean(within), rel=1e-5)
    expected = np.std(within, ddof=1) / 3**0.5
    assert float(diversity.standard_error()) == pytest.approx(expected, rel=1e-3)
    diversity.update_state(np.array([2]), images[:1])  # a condition without a pair
    assert np.isnan(float(diversity.result()))
    for wrong in (6, -1, 0.5, np.nan):
        diversity.reset_state()
        diversity.update_state(np.array([0, 0, 1, 1, wrong], "float32"), images[:5])
        assert np.isnan(float(diversity.result()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: lpips_tf.losses.LPIPS("vgg", metric=m), "other arguments.*Received: net"),
        (lambda m: lpips_tf.losses.LPIPS(metric=m, lpips=True), "Received: lpips"),
        (lambda m: lpips_tf.metrics.LPIPS(metric=m, dtype="float32", version="0.1"),
         "Received: dtype, version"),
        (lambda m: lpips_tf.metrics.MeanPairwiseLPIPS(metric=m, net="alex"), "Received: net"),
        (lambda m: lpips_tf.losses.LPIPS(metric="alex"), "Expected an lpips_tf.LPIPS"),
        (lambda m: lpips_tf.losses.LPIPS(metric=m, reduction="median"), "reduction.*median"),
        (lambda m: lpips_tf.losses.LPIPS("resnet"), "net to be one of"),
        (lambda m: lpips_tf.metrics.MeanPairwiseLPIPS(conditions=0, metric=m), "conditions of at"),
        (lambda m: lpips_tf.metrics.MeanPairwiseLPIPS(image_size=64, metric=m), "(height, width)"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_are_refused(build, make, message):
    with pytest.raises(ValueError, match=message):
        make(build())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"each of the images, \(4,\), or for each pixel, \(4, 40, 34\)"),
        (np.ones((4, 40)), "Received"),
        (np.ones((4, 40, 33)), "Received"),
        (np.ones((4, 40, 34, 3)), "Received"),
    ],
)
def test_weights_of_other_shapes_are_refused(build, images, weights, message):
    for spatial in (False, True):
        loss = lpips_tf.losses.LPIPS(metric=build(spatial=spatial))
        with pytest.raises(ValueError, match=message):
            loss(*images, weights)


def test_lists_of_images_are_batches(build, images):
    """Also where weights or sizes are looked at first."""
    weights = np.array([1.0, 0, 2, 0.5], "float32")
    lists = [list(batch) for batch in images]
    for make in (lpips_tf.losses.LPIPS, lpips_tf.metrics.LPIPS):
        found = make(metric=build())(*lists, sample_weight=weights)
        expected = make(metric=build())(*images, sample_weight=weights)
        assert numbers(found) == pytest.approx(numbers(expected), rel=1e-6)
    diversity = [lpips_tf.metrics.MeanPairwiseLPIPS(metric=build()) for _ in range(2)]
    assert diversity[0](None, lists[0]) == diversity[1](None, images[0])


def test_diversity_refuses_what_has_no_pairs(build, images):
    diversity = lpips_tf.metrics.MeanPairwiseLPIPS(conditions=2, metric=build())
    with pytest.raises(ValueError, match="no sample_weight"):
        diversity.update_state(np.zeros(4), images[0], np.ones(4))
    for wrong in (np.zeros((4, 2)), None, np.array(list("abcd"))):
        with pytest.raises(ValueError, match=r"each image's condition, \(N,\)"):
            diversity.update_state(wrong, images[0])
    diversity.update_state(np.zeros(4), images[0])
    with pytest.raises(ValueError, match=r"images \(N, 40, 34, 3\)"):
        diversity.update_state(np.zeros(4), images[0][:, :39])


@pytest.mark.parametrize(
    "kept",
    [
        lambda: lpips_tf.losses.LPIPS("alex", version="0.0", reduction="sum", name="d"),
        lambda: lpips_tf.metrics.LPIPS(value_range=(0, 1), spatial=True, dtype="mixed_bfloat16"),
        lambda: lpips_tf.metrics.MeanPairwiseLPIPS(
            conditions=3, image_size=(40, 32), name="diversity"
        ),
    ],
)
def test_configurations_are_json_and_rebuild(kept):
    kept = kept()
    config = json.loads(json.dumps(kept.get_config()))
    for again in (
        type(kept).from_config(config),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(kept)),
    ):
        assert json.loads(json.dumps(again.get_config())) == config
        assert again.metric.get_config() == kept.metric.get_config()
