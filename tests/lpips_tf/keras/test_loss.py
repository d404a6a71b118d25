"""LPIPS as a loss: in Keras' training, and its gradients in TensorFlow."""

import json
import subprocess
import sys
import textwrap
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import ROOT, numbers
from tensorflow.python.eager import context

import lpips_tf

POLICIES = ["float32", "mixed_bfloat16", "mixed_float16"]
MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "XLA": lambda function: tf.function(function, jit_compile=True),
}


@pytest.fixture
def pairs(photos):
    """Four pairs of pictures (32x40) in [-1, 1], none of them equal."""
    return tuple(image[:4, :32, :40].astype("float32") / 127.5 - 1 for image in photos)


def network(outputs=1):
    """A small model from pictures to pictures."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    pictures = [
        keras.layers.Conv2D(3, 3, padding="same", activation="tanh", name=f"picture{i}")(image)
        for i in range(outputs)
    ]
    return keras.Model(image, pictures if outputs > 1 else pictures[0])


def with_gradient(metric, x, y):
    """The distances' sum and its gradient towards y."""
    with tf.GradientTape() as tape:
        tape.watch(y)
        loss = tf.reduce_sum(metric(x, y))
    return loss, tape.gradient(loss, y)


# Training in Keras


@pytest.mark.slow
def test_fit_evaluate_save_load(pairs, tmp_path):
    x, y = pairs
    model = network()
    model.compile(
        "adam",
        loss=lpips_tf.LPIPS(net="vgg"),
        metrics=[lpips_tf.LPIPS(), lpips_tf.LPIPS("vgg", name="v")],
    )
    path = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.ModelCheckpoint(path, monitor="val_lpips", mode="min", save_best_only=True),
        keras.callbacks.EarlyStopping("val_loss", patience=3),
    ]
    history = model.fit(
        y, x, batch_size=2, epochs=4, verbose=0, validation_data=(y, x), callbacks=callbacks
    ).history
    assert history["loss"][-1] < history["loss"][0]
    loss, alex, vgg = model.evaluate(y, x, verbose=0)
    assert loss == pytest.approx(numbers(lpips_tf.LPIPS("vgg")(x, model(y))).mean(), rel=1e-4)
    assert alex == pytest.approx(numbers(lpips_tf.LPIPS()(x, model(y))).mean(), rel=1e-4)
    assert vgg == pytest.approx(loss, rel=1e-5)
    assert alex == pytest.approx(min(history["val_lpips"]), rel=1e-4)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(loaded.evaluate(y, x, verbose=0), [loss, alex, vgg], rtol=1e-5)
    assert loaded.train_on_batch(y, x)[0] == pytest.approx(loss, rel=1e-4)


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
    model.save(tmp_path / "model.keras")
    expected = model.evaluate(y, x, verbose=0)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(y, x, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_several_outputs_and_weighted_sums(pairs):
    x, y = pairs
    model = network(outputs=2)
    model.compile(
        "adam",
        loss={"picture0": [lpips_tf.LPIPS(), "mse"], "picture1": lpips_tf.LPIPS("vgg")},
        loss_weights={"picture0": [0.5, 2.0], "picture1": 0.25},
    )
    targets = {"picture0": x, "picture1": -x}
    loss = model.evaluate(y, targets, verbose=0, return_dict=True)["loss"]
    first, second = model(y)
    expected = (
        0.5 * numbers(lpips_tf.LPIPS()(x, first)).mean()
        + 2.0 * np.square(x - numbers(first)).mean()
        + 0.25 * numbers(lpips_tf.LPIPS("vgg")(-x, second)).mean()
    )
    assert loss == pytest.approx(expected, rel=1e-4)
    before = numbers(first)
    model.fit(y, targets, verbose=0)
    assert np.abs(numbers(model(y)[0]) - before).max() > 0


def test_sample_weight(pairs):
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


MIRRORED = """
    import json, sys
    import keras, numpy as np, tensorflow as tf
    import lpips_tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = sys.argv[1:]
    with np.load("tests/golden/golden.npz") as file:
        x, y = (file[key][:4, :40, :40] / np.float32(127.5) - 1 for key in ("small0", "small1"))
    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        image = keras.Input((None, None, 3))
        model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))
        model.compile(keras.optimizers.SGD(0.1), loss=lpips_tf.LPIPS(), metrics=[lpips_tf.LPIPS()])
    history = model.fit(y, x, batch_size=4, epochs=3, shuffle=False, verbose=0).history

    # By hand, with a metric from outside of the strategy
    metric = lpips_tf.LPIPS()
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).with_options(options)
    (batch,) = strategy.experimental_distribute_dataset(data)

    @tf.function
    def step(batch):
        def replica(x, y):
            with tf.GradientTape() as tape:
                tape.watch(y)
                loss = tf.nn.compute_average_loss(metric(x, y), global_batch_size=4)
            return loss, tape.gradient(loss, y)
        loss, gradient = strategy.run(replica, args=batch)
        parts = strategy.experimental_local_results(gradient)
        return strategy.reduce("SUM", loss, axis=None), tf.concat(parts, 0)

    loss, gradient = step(batch)
    print(json.dumps({
        "replicas": strategy.num_replicas_in_sync,
        "loss": history["loss"],
        "metric": history["lpips"],
        "weights": model.layers[-1].get_weights()[0].ravel().tolist(),
        "by hand": float(loss),
        "gradient": gradient.numpy().ravel().tolist(),
    }))
"""


@pytest.mark.slow
def test_two_mirrored_devices_are_one():
    """Same losses, metrics, weights and gradients as on one device."""
    results = []
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(MIRRORED), *devices],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        results.append(json.loads(done.stdout.splitlines()[-1]))
    one, two = results
    assert (one.pop("replicas"), two.pop("replicas")) == (1, 2)
    for key, expected in one.items():
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(two[key], expected, rtol=1e-5, atol=atol, err_msg=key)


# Gradients


@pytest.mark.parametrize("mode", MODES)
def test_gradients_towards_either_image_or_both(build, pairs, mode):
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


@pytest.mark.parametrize("net", ["alex", "vgg"])
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


@pytest.mark.parametrize("mode", ["eager", "graph"])  # XLA on CPU knows none of a max-pool
@pytest.mark.parametrize("net", ["alex", "vgg"])
@pytest.mark.slow
def test_second_derivatives_are_those_of_finite_differences(noise, net, mode):
    """The gradient of a gradient penalty, through every layer's own gradient."""
    metric = lpips_tf.LPIPS(net, dtype="float64")
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


def test_forward_mode(build, pairs):
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
    assert sum(name.endswith("Conv2D") for name in types) == 10
    assert types.count("Conv2DBackpropInput") == 5
    assert types.count("Conv2DBackpropFilter") == 0
    assert types.count("ReadVariableOp") == 15  # each weight once


def test_no_gradient_towards_frozen_weights(pairs):
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
    picture = rng.uniform(-1, 1, (33, 35, 3))
    cases = {
        "identical": (picture, picture),
        "constant": (np.zeros_like(picture), np.full_like(picture, 0.5)),
        "both constant and equal": (np.ones_like(picture), np.ones_like(picture)),
        "huge": (1e4 * picture, -1e4 * picture),
        "huge and constant": (np.full_like(picture, 1e4), np.full_like(picture, -1e4)),
        "tiny differences": (picture, picture + 1e-6),
        "normal": (picture, rng.uniform(-1, 1, picture.shape)),
    }
    return tuple(np.stack(side).astype("float32") for side in zip(*cases.values(), strict=True))


def dead(metric):
    """Weights with which every feature of every image is 0."""
    for layer in metric.backbone.layers:
        layer.set_weights([np.zeros(w.shape) - (w.ndim == 1) for w in layer.get_weights()])
    return metric


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("weights", ["imagenet", None, "zero"])
def test_gradients_are_finite(policy, mode, weights):
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


@pytest.mark.parametrize("policy", POLICIES)
def test_vgg_gradients_are_finite(policy):
    metric = lpips_tf.LPIPS("vgg", dtype=policy)
    x, y = (tf.constant(image[:, :17, :18]) for image in hard_images())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss, gradient = with_gradient(metric, x, y)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


# Mixed precision


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 0.01), ("mixed_float16", 0.002)]
)
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_mixed_precision_is_near_float32(golden, build, net, policy, tolerance):
    metric = lpips_tf.LPIPS(net, dtype=policy)
    assert metric.backbone.outputs[0].dtype == policy.removeprefix("mixed_")
    for name in ("small", "odd", "large"):
        pair = golden[f"{name}0"], golden[f"{name}1"]
        distance = metric(*pair)
        assert distance.dtype == tf.float32
        np.testing.assert_allclose(distance, build(net)(*pair), rtol=tolerance)


def test_global_policy(build, photos):
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
@pytest.mark.parametrize("net", ["alex", "vgg"])
@pytest.mark.slow
def test_float16_gradients_do_not_underflow(golden, build, net, loss_scale):
    """With Keras' loss scale and without one; a mean over pictures of 256x256."""
    x, y = (tf.constant(golden[key].astype("float32") / 127.5 - 1) for key in ("large0", "large1"))
    low = lpips_tf.LPIPS(net, dtype="mixed_float16")
    received = with_gradient(lambda a, b: low(a, b) * loss_scale, x, y)[1] / loss_scale
    expected = with_gradient(build(net), x, y)[1]
    error = np.linalg.norm(received - expected) / np.linalg.norm(expected)
    assert error < 0.06


def test_training_under_a_float16_policy(pairs):
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


# Whatever is around a call


@pytest.mark.parametrize("kind", [tf.Variable, keras.Variable])
def test_images_that_are_variables(build, pairs, kind):
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


def test_a_layer_of_another_policy_around(build, pairs):
    """Neither this call nor any later one computes in the policy of the layer."""
    x, y = map(tf.constant, pairs)
    metric = lpips_tf.LPIPS(dtype="float32")

    class Outer(keras.layers.Layer):
        def call(self, _):
            return metric(x, y)

    for distance in (Outer(dtype="mixed_bfloat16")(tf.zeros(1)), metric(x, y)):
        np.testing.assert_array_equal(distance, build()(x, y))


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


def test_channels_first_as_keras_default(build, pairs):
    keras.config.set_image_data_format("channels_first")
    try:
        distances = [lpips_tf.LPIPS(net)(*pairs) for net in ("alex", "vgg")]
    finally:
        keras.config.set_image_data_format("channels_last")
    for net, distance in zip(("alex", "vgg"), distances, strict=True):
        np.testing.assert_array_equal(distance, build(net)(*pairs))


def test_what_is_trained_survives_saving(tmp_path):
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


@pytest.mark.parametrize("policy", POLICIES)
def test_nan_shows_in_the_gradient_too(pairs, policy):
    x, y = pairs
    y = y.copy()
    y[1, 3, 4, 0] = np.nan
    gradient = with_gradient(lpips_tf.LPIPS(dtype=policy), tf.constant(x), tf.constant(y))[1]
    assert np.isnan(gradient).any((1, 2, 3)).tolist() == [False, True, False, False]


@pytest.mark.parametrize("scale", [1e16, 1e20, 1e30])
def test_images_too_large_for_float32_are_nan(build, pairs, scale):
    """Norms of their features are infinite, and the distance would be 0, as of equal images."""
    x, y = pairs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(build()(scale * x, scale * y)).all()
        assert np.isfinite(build()(1e10 * x, 1e10 * y)).all()


@pytest.mark.parametrize("images", ["picture.png", None])
def test_what_is_no_image(build, pairs, images):
    with pytest.raises(ValueError, match=r"Expected arrays or tensors of images\. Received: "):
        build()(images, pairs[0])
