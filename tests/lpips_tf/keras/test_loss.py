"""LPIPS as a loss and a metric of Keras models."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers
from keras_helpers import network

import lpips_tf


@pytest.mark.slow
def test_saved_models_do_not_carry_the_backbone(pairs, tmp_path):
    x, y = pairs
    model = network()
    model.compile("adam", loss=lpips_tf.LPIPS(net="vgg"), metrics=[lpips_tf.LPIPS()])
    model.fit(y, x, verbose=0)
    for name in ("model.keras", "model.weights.h5"):
        path = tmp_path / name
        (model.save if name == "model.keras" else model.save_weights)(path)
        assert path.stat().st_size < 50_000
    expected = model.evaluate(y, x, verbose=0)
    model.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(model.evaluate(y, x, verbose=0), expected, rtol=1e-5)


def test_saved_models_carry_weights_of_ones_own(pairs, tmp_path):
    x, y = pairs
    model = network()
    metric = lpips_tf.LPIPS(backbone_weights=None)
    metric.heads[0].kernel.assign(3 * metric.heads[0].kernel)
    model.compile("adam", loss=metric)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    expected = model.evaluate(y, x, verbose=0)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(y, x, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_losses_of_several_outputs_are_weighted(pairs):
    x, y = pairs
    model = network(outputs=2)
    model.compile(
        "adam",
        loss={"image0": [lpips_tf.LPIPS(), "mse"], "image1": lpips_tf.LPIPS(version="0.0")},
        loss_weights={"image0": [0.5, 2.0], "image1": 0.25},
    )
    targets = {"image0": x, "image1": -x}
    loss = model.evaluate(y, targets, verbose=0, return_dict=True)["loss"]
    first, second = model(y)
    expected = (
        0.5 * numbers(lpips_tf.LPIPS()(x, first)).mean()
        + 2.0 * np.square(x - numbers(first)).mean()
        + 0.25 * numbers(lpips_tf.LPIPS(version="0.0")(-x, second)).mean()
    )
    assert loss == pytest.approx(expected, rel=1e-4)
    before = numbers(first)
    model.fit(y, targets, verbose=0)
    assert np.abs(numbers(model(y)[0]) - before).max() > 0


@pytest.mark.slow
def test_samples_are_weighted(pairs):
    x, y = pairs
    model = network()
    model.compile("adam", loss=lpips_tf.LPIPS(), weighted_metrics=[lpips_tf.LPIPS()])
    weights = np.array([1.0, 0.0, 2.0, 0.5], "float32")
    loss, metric = model.evaluate(y, x, sample_weight=weights, verbose=0)
    distances = numbers(lpips_tf.LPIPS()(x, model(y)))
    assert loss == pytest.approx((weights * distances).sum() / 4, rel=1e-4)
    assert metric == pytest.approx((weights * distances).sum() / weights.sum(), rel=1e-4)


def test_a_streaming_metric_is_the_mean_over_all_batches(build, pairs):
    """What torchmetrics' class is: batches of any size count by their pairs."""
    x, y = pairs
    metric = keras.metrics.MeanMetricWrapper(build(), name="lpips")
    metric.update_state(x[:3], y[:3])
    metric.update_state(x[3:], y[3:])
    assert float(metric.result()) == pytest.approx(numbers(build()(x, y)).mean(), rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 0


@pytest.mark.slow
def test_a_model_trains_no_metric_that_it_holds(pairs):
    x, y = pairs
    model = network()
    model.perceptual = lpips_tf.LPIPS()
    assert len(model.trainable_variables) == 2
    before = [numbers(v) for v in model.perceptual.variables]
    model.compile("adam", loss=model.perceptual)
    model.fit(y, x, verbose=0)
    for old, new in zip(before, model.perceptual.variables, strict=True):
        np.testing.assert_array_equal(old, numbers(new))


def stepped(strategy, x, y):
    """The loss of one batch and its gradient by hand, with a metric from outside the strategy."""
    metric = lpips_tf.LPIPS()
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).with_options(options)
    (batch,) = strategy.experimental_distribute_dataset(data)

    def replica(x, y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            loss = tf.nn.compute_average_loss(metric(x, y), global_batch_size=4)
        return loss, tape.gradient(loss, y)

    loss, gradient = tf.function(lambda batch: strategy.run(replica, args=batch))(batch)
    parts = strategy.experimental_local_results(gradient)
    return {"loss": strategy.reduce("SUM", loss, axis=None), "gradient": tf.concat(parts, 0)}


@pytest.mark.slow
def test_two_mirrored_devices_step_as_one(pairs, two_replicas):
    x, y = pairs
    one, two = (stepped(s, x, y) for s in (tf.distribute.get_strategy(), two_replicas))
    for key, expected in one.items():
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(two[key], expected, rtol=1e-5, atol=atol, err_msg=key)
