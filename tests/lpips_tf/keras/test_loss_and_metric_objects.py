"""`lpips_tf.losses` and `lpips_tf.metrics` in compiled models, and saved with them."""

import gc
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers
from keras.src import testing
from keras_helpers import MODES, network

import lpips_tf
from lpips_tf import weights


def compiled(loss, *metrics, **options):
    model = network()
    model.compile("adam", loss=loss, metrics=list(metrics), **options)
    return model


def shared(**options):
    """A loss and two metrics with one network."""
    metric = lpips_tf.LPIPS(**options)
    return (
        lpips_tf.losses.LPIPS(metric=metric),
        lpips_tf.metrics.LPIPS(metric=metric),
        lpips_tf.metrics.MeanPairwiseLPIPS(metric=metric, image_size=(32, 40)),
    )


def lpips_objects():
    gc.collect()
    return sum(type(found) is lpips_tf.LPIPS for found in gc.get_objects())


@pytest.mark.slow
def test_callbacks_know_that_lower_is_better(pairs, tmp_path):
    x, y = pairs
    model = compiled("mse", lpips_tf.metrics.LPIPS(), lpips_tf.metrics.MeanPairwiseLPIPS())
    path = tmp_path / "best.keras"
    history = model.fit(
        y, x, batch_size=2, epochs=3, validation_data=(y, x), verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping("val_lpips", patience=5, restore_best_weights=True),
            keras.callbacks.ModelCheckpoint(path, monitor="val_lpips", save_best_only=True),
            keras.callbacks.ReduceLROnPlateau("val_lpips"),
            keras.callbacks.EarlyStopping("val_mean_pairwise_lpips", patience=5),
        ],
    ).history  # fmt: skip
    best = keras.saving.load_model(path).evaluate(y, x, verbose=0, return_dict=True)
    assert best["lpips"] == pytest.approx(min(history["val_lpips"]), rel=1e-4)
    now = model.evaluate(y, x, verbose=0, return_dict=True)
    assert now["lpips"] == pytest.approx(best["lpips"], rel=1e-4)


@pytest.mark.slow
def test_uint8_targets_span_0_to_255(photos):
    """Also where Keras has made a `tf.data.Dataset` of them."""
    targets, inputs = (x[:4, :32, :40] for x in photos)
    inputs = inputs / np.float32(127.5) - 1
    loss, metric, _ = shared()
    model = compiled(loss, metric)
    expected = numbers(lpips_tf.LPIPS()(targets, model(inputs))).mean()
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(2)
    for arguments in ((inputs, targets), (data,)):
        found = model.evaluate(*arguments, verbose=0)
        np.testing.assert_allclose(found, [expected] * 2, rtol=1e-4)
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
def test_losses_have_one_value_in_every_mode(build, pairs, mode, reduction):
    loss = lpips_tf.losses.LPIPS(metric=build(), reduction=reduction)
    counts = np.array([1, 0, 2, 0.5], "float32")
    distances = numbers(build()(*pairs)) * counts
    expected = distances.sum() / (counts.sum() if "weight" in reduction else 4)
    found = MODES[mode](lambda x, y: loss(x, y, counts))(*map(tf.constant, pairs))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_samples_and_pixels_are_weighted_in_fit(pairs):
    x, y = pairs
    loss, metric, _ = shared()
    model = network()
    model.compile("adam", loss=loss, weighted_metrics=[metric])
    counts = np.array([1.0, 0.0, 2.0, 0.5], "float32")
    distances = numbers(loss.metric(x, model(y)))
    found = model.evaluate(y, x, sample_weight=counts, verbose=0)
    expected = (counts * distances).sum() / 4, (counts * distances).sum() / counts.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    masks = np.random.default_rng(0).random(x.shape[:3]).astype("float32")
    with pytest.raises(ValueError, match="weights of known rank"):  # after those of another rank
        model.evaluate(y, x, sample_weight=masks, verbose=0)
    model.compile("adam", loss=loss, weighted_metrics=[metric])
    found = model.evaluate(y, x, sample_weight=masks, verbose=0)
    np.testing.assert_allclose(
        found, [numbers(loss.metric(x, model(y), mask=masks)).mean()] * 2, rtol=1e-4
    )


@pytest.mark.slow
def test_a_shared_network_is_held_once_in_memory_and_in_a_file(pairs, tmp_path):
    x, y = pairs
    before = lpips_objects()
    model = compiled(*shared(backbone_weights=None))  # which no package has, so the file does
    expected = model.evaluate(y, x, verbose=0, return_dict=True)
    model.optimizer.build(model.trainable_variables)
    assert lpips_objects() == before + 1
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        size = file.getinfo("model.weights.h5").file_size
    least = 4 * model.loss.metric.count_params()
    assert least < size < 1.1 * least
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert lpips_objects() == before + 2
    found = loaded.evaluate(y, x, verbose=0, return_dict=True)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", [lambda m: m, lambda m: lpips_tf.metrics.LPIPS(metric=m)])
def test_a_metric_whose_weights_no_file_has_gives_no_number_once_it_is_loaded(
    pairs, tmp_path, kind
):
    """Keras saves the weights of losses, and none of metrics."""
    x, y = pairs
    metric = lpips_tf.LPIPS(backbone_weights=None)
    model = compiled("mse", kind(metric))
    model.fit(y, x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(OSError, match="Keras saves no weights of metrics"):
        loaded.evaluate(y, x, verbose=0)
    weights.write_backbone(tmp_path / "backbone.h5", metric)
    model = compiled("mse", kind(lpips_tf.LPIPS(backbone_weights=tmp_path / "backbone.h5")))
    model.fit(y, x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.evaluate(y, x, verbose=0)
    np.testing.assert_allclose(loaded.evaluate(y, x, verbose=0), expected, rtol=1e-5)


@pytest.mark.slow
def test_two_replicas_train_and_measure_as_one(pairs, two_replicas):
    x, y = pairs
    results = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            loss, metric, diversity = shared()
            model = network()
            model.compile(keras.optimizers.SGD(0.1), loss=loss, metrics=[metric, diversity])
        history = model.fit(y, x, batch_size=2, epochs=2, shuffle=False, verbose=0).history
        results.append([*history.values(), *map(numbers, model.trainable_variables)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_losses_under_mixed_precision_are_near_float32(build, pairs, policy):
    x, y = pairs
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        loss = lpips_tf.losses.LPIPS("alex")
        model = network()
        model.compile("adam", loss=loss)
        found = model.evaluate(y, x, verbose=0)
        outputs = model(y)
        history = model.fit(y, x, epochs=2, verbose=0).history
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert loss.metric.compute_dtype == policy.removeprefix("mixed_")
    expected = numbers(build()(x, tf.cast(outputs, "float32"))).mean()
    assert found == pytest.approx(expected, rel=0.02)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: lpips_tf.losses.LPIPS("alex", reduction="sum"),
        lambda: lpips_tf.metrics.LPIPS(version="0.0"),
        lambda: lpips_tf.metrics.MeanPairwiseLPIPS(conditions=3),
    ],
)
def test_keras_tests_of_classes_pass(make):
    testing.TestCase().run_class_serialization_test(make())


def test_diversity_of_conditions_is_measured_in_fit(pairs):
    _, y = pairs
    model = network()
    diversity = lpips_tf.metrics.MeanPairwiseLPIPS(conditions=2, image_size=(32, 40))

    class Conditional(keras.Model):
        """As of image translation: several outputs for each of some conditions."""

        def __init__(self):
            super().__init__()
            self.inner = model

        def call(self, inputs):
            return self.inner(inputs)

    conditional = Conditional()
    conditional.compile(loss=lambda y_true, y_pred: y_pred[:, 0, 0, 0], metrics=[diversity])
    found = conditional.evaluate(y, np.array([0, 1, 1, 0]), verbose=0, return_dict=True)
    outputs = model(y).numpy()
    within = [lpips_tf.mean_pairwise_distance(lpips_tf.LPIPS(), outputs[i])
              for i in ([0, 3], [1, 2])]  # fmt: skip
    assert found["mean_pairwise_lpips"] == pytest.approx(np.mean(within), rel=1e-4)


@pytest.mark.slow
def test_features_are_computed_once_for_a_loss_and_metrics(pairs):
    """The convolutions in the graph of a step are those of the loss, and of no gradient lost."""
    x, y = map(tf.constant, pairs)
    metric = lpips_tf.LPIPS()
    loss, mean = lpips_tf.losses.LPIPS(metric=metric), lpips_tf.metrics.LPIPS(metric=metric)

    @tf.function
    def step(x, y, first):
        if first:
            mean.update_state(x, y)
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = loss(x, y)
        mean.update_state(x, y)
        return value, tape.gradient(value, y)

    def convolutions(*options):
        graph = step.get_concrete_function(x, y, *options).graph
        return sum(op.type == "Conv2D" for op in graph.get_operations())

    with tf.GradientTape() as tape:
        tape.watch(y)
        value = loss(x, y)
    expected = tape.gradient(value, y)
    assert 2 * convolutions(False) == convolutions(True) > 0
    for first in (False, True):
        found, slope = step(x, y, first)
        np.testing.assert_allclose(found, value, rtol=1e-6)
        np.testing.assert_allclose(slope, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_what_changes_within_a_graph_is_computed_again(pairs):
    """Variables that are assigned, weights that are, and a tape that does not record."""
    x, y = map(tf.constant, pairs)
    metric = lpips_tf.LPIPS()
    expected = numbers(metric(x, y))

    def assigning(variable, watched):
        @tf.function(autograph=False)
        def function():
            before = metric(x, variable)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(metric(x, variable))
            slope = tape.gradient(loss, watched)
            variable.assign(x)
            return before, metric(x, variable), slope

        return function

    of_tensorflow, of_keras = tf.Variable(y), keras.Variable(y)
    for variable, watched in ((of_tensorflow, of_tensorflow), (of_keras, of_keras.value)):
        function = assigning(variable, watched)
        before, after, slope = function()
        np.testing.assert_allclose(before, expected, rtol=1e-6)
        assert np.abs(after).max() < 1e-6
        assert np.abs(slope).max() > 0

    @tf.function
    def paused(x, y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            recorded = metric(x, y)
            with tape.stop_recording():
                constant = metric(x, y)
            loss = tf.reduce_sum(recorded * constant)
        return tape.gradient(loss, y)

    slope = paused.python_function(x, y)
    np.testing.assert_allclose(paused(x, y), slope, atol=1e-5 * np.abs(slope).max())

    @tf.function
    def doubled(x, y):
        before = metric(x, y)
        for head in metric.heads:
            head.kernel.assign(2 * head.kernel)
        return before, metric(x, y)

    before, after = doubled(x, y)
    np.testing.assert_allclose(after, 2 * before, rtol=1e-5)


def test_images_of_no_static_size_need_one_given(pairs):
    model = compiled("mse", lpips_tf.metrics.MeanPairwiseLPIPS())
    data = tf.data.Dataset.from_generator(
        lambda: iter([pairs]), output_signature=(tf.TensorSpec((None, None, None, 3)),) * 2
    )
    with pytest.raises(ValueError, match=r"image_size=\(H, W\)"):
        model.evaluate(data, verbose=0)
