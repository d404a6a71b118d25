"""LPIPS as TensorFlow and Keras use it, and what it says of bad input."""

import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import assert_official, numbers

import lpips_tf
from lpips_tf.baselines import DSSIM, L2


@pytest.fixture
def floats(photos):
    return tuple(image.astype("float32") / 127.5 - 1 for image in photos)


# Forms of input


def test_uint8_and_floats_are_the_same(build, photos, floats):
    np.testing.assert_allclose(numbers(build()(*photos)), numbers(build()(*floats)), atol=1e-6)


def test_one_image_of_each_dtype(build, photos, floats):
    mixed = build()(photos[0], floats[1])
    np.testing.assert_allclose(numbers(mixed), numbers(build()(*photos)), atol=1e-6)


def test_value_range_of_zero_to_one(build, photos, golden):
    metric = lpips_tf.LPIPS(value_range=(0, 1))
    distance = metric(*(image.astype("float32") / 255 for image in photos))
    assert_official(distance, golden["alex/0.1/lpips/small"])


def test_lists_are_taken_as_arrays(build, photos):
    received = build()([photos[0][0], photos[0][1]], list(photos[1][:2]))
    np.testing.assert_array_equal(numbers(received), numbers(build()(photos[0][:2], photos[1][:2])))


def test_batch_is_each_pair_alone(build, photos):
    alone = [numbers(build()(x[None], y[None]))[0] for x, y in zip(*photos, strict=True)]
    np.testing.assert_allclose(numbers(build()(*photos)), alone, rtol=1e-5, atol=1e-7)


def test_results_are_float32_of_documented_shape(build, photos):
    distance, layers = build()(*photos, return_per_layer=True)
    assert distance.dtype == tf.float32
    assert distance.shape == (6,)
    assert [layer.shape for layer in layers] == [(6,)] * 5
    maps, layers = build(spatial=True)(*photos, return_per_layer=True)
    assert maps.shape == (6, 64, 64, 1)
    assert [layer.shape for layer in layers] == [(6, 64, 64, 1)] * 5
    np.testing.assert_allclose(numbers(maps), sum(numbers(layer) for layer in layers), rtol=1e-5)


# Graphs


def test_one_trace_serves_every_size(photos):
    metric = lpips_tf.LPIPS()
    for side in (31, 40, 64):
        for count in (1, 3):
            metric(photos[0][:count, :side], photos[1][:count, :side])
            metric.embed(photos[0][:count, :side])
    for compiled in (metric._distances, metric._embedding):
        (graph,) = compiled._graphs.values()
        assert graph.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("jit_compile", [False, True])
def test_within_a_users_graph(build, photos, golden, jit_compile):
    metric = build()

    @tf.function(jit_compile=jit_compile)
    def distance(x, y):
        return metric(x, y)

    assert_official(distance(*photos), golden["alex/0.1/lpips/small"])


def test_eager_and_graph_gradients_are_the_same(build, floats):
    metric = build()
    x, y = (tf.constant(image) for image in floats)

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            loss = tf.reduce_sum(metric(x, y))
        return tape.gradient(loss, [x, y])

    for eager, graph in zip(gradients(), tf.function(gradients)(), strict=True):
        np.testing.assert_allclose(eager, graph, atol=1e-7)
        assert np.abs(eager).max() > 1e-4


def test_arrays_and_variables_in_a_graph(build, photos, floats, golden):
    """A fixed reference need not be an argument of the graph; an image may be a variable."""
    metric = build()
    reference = keras.Variable(floats[0])
    for other in (photos[0], reference, tf.Variable(floats[0])):
        distance = tf.function(lambda image, x=other: metric(x, image))
        assert_official(distance(photos[1]), golden["alex/0.1/lpips/small"])
        assert_official(metric(other, photos[1]), golden["alex/0.1/lpips/small"])


def test_functional_model(build, photos, golden):
    in0, in1 = (keras.Input((None, None, 3), dtype="uint8") for _ in range(2))
    model = keras.Model([in0, in1], build()(in0, in1))
    assert_official(model(list(photos)), golden["alex/0.1/lpips/small"])


# Keras


def test_loss_and_metric_of_a_model(floats, tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    output = keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(image)
    model = keras.Model(image, output)
    model.compile(
        "adam", loss=lpips_tf.LPIPS(), metrics=[lpips_tf.LPIPS(version="0.0", name="lpips_0_0")]
    )
    history = model.fit(floats[1], floats[0], epochs=4, batch_size=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    loss, metric = model.evaluate(floats[1], floats[0], verbose=0)
    restored = model(floats[1])
    assert loss == pytest.approx(numbers(lpips_tf.LPIPS()(floats[0], restored)).mean(), rel=1e-4)
    first = numbers(lpips_tf.LPIPS(version="0.0")(floats[0], restored)).mean()
    assert metric == pytest.approx(first, rel=1e-4)

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(loaded.evaluate(floats[1], floats[0], verbose=0), [loss, metric])


def test_config_rebuilds_the_metric(photos):
    metric = lpips_tf.LPIPS(
        "vgg", "0.0", False, True, (0, 255), None, None, 0.25, "mine", "float32"
    )
    config = metric.get_config()
    clone = lpips_tf.LPIPS.from_config(config)
    assert clone.get_config() == config
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert restored.get_config() == config


def test_saved_metric_carries_its_weights(photos, tmp_path):
    metric = lpips_tf.LPIPS()
    metric.heads[0].kernel.assign(2 * metric.heads[0].kernel)
    metric.save(tmp_path / "metric.keras")
    loaded = keras.saving.load_model(tmp_path / "metric.keras")
    np.testing.assert_array_equal(numbers(loaded(*photos)), numbers(metric(*photos)))


def test_saved_metric_needs_no_files(photos, tmp_path):
    """Its weights lie in the archive; the file that they first came from may be gone."""
    source = tmp_path / "heads.h5"
    source.write_bytes((Path(lpips_tf.__file__).parent / "weights/alex_bapps_0.1.h5").read_bytes())
    metric = lpips_tf.LPIPS(head_weights=source)
    metric.save(tmp_path / "metric.keras")
    config = metric.get_config()
    source.unlink()
    loaded = keras.saving.load_model(tmp_path / "metric.keras")
    np.testing.assert_array_equal(numbers(loaded(*photos)), numbers(metric(*photos)))
    assert loaded.get_config() == config
    without_weights = lpips_tf.LPIPS.from_config(config)
    with pytest.raises(FileNotFoundError, match=r"There is none at .*heads\.h5"):
        without_weights(*photos)


def test_frozen_until_asked_otherwise(photos):
    metric = lpips_tf.LPIPS()
    assert metric.trainable_variables == []
    for head in metric.heads:
        head.trainable = True
    assert [v.shape for v in metric.trainable_variables] == [(64,), (192,), (384,), (256,), (256,)]
    metric.backbone.trainable = True
    assert len(metric.trainable_variables) == 15


def test_dropout_only_in_training_of_trainable_heads(photos):
    metric = lpips_tf.LPIPS()
    expected = numbers(metric(*photos))
    np.testing.assert_array_equal(numbers(metric(*photos, training=True)), expected)
    for head in metric.heads:
        head.trainable = True
    np.testing.assert_array_equal(numbers(metric(*photos, training=False)), expected)
    dropped = [numbers(metric(*photos, training=True)) for _ in range(2)]
    assert (dropped[0][:5] != dropped[1][:5]).all()
    np.testing.assert_allclose(dropped[0], expected, rtol=0.5)  # unbiased


def test_heads_stay_non_negative_in_training(photos):
    metric = lpips_tf.LPIPS(dropout=0)
    for head in metric.heads:
        head.trainable = True
    optimizer = keras.optimizers.SGD(1e3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(metric(*photos, training=True))
    variables = metric.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)
    smallest = [numbers(v).min() for v in variables]
    assert min(smallest) == max(smallest) == 0


def test_bfloat16_computes_the_backbone_only(build, photos):
    metric = lpips_tf.LPIPS(dtype="mixed_bfloat16")
    assert metric.backbone.outputs[0].dtype == "bfloat16"
    distance = metric(*photos)
    assert distance.dtype == tf.float32
    np.testing.assert_allclose(distance, build()(*photos), rtol=0.01)


def test_pairwise_takes_a_dataset(build, photos):
    metric = build()
    expected = lpips_tf.distance_matrix(metric, photos[0])
    images = tf.data.Dataset.from_tensor_slices(photos[0])
    for dataset in (images, images.batch(4)):
        received = lpips_tf.distance_matrix(metric, dataset, batch_size=5)
        np.testing.assert_allclose(received, expected, atol=1e-6)
        mean = lpips_tf.mean_pairwise_distance(metric, dataset)
        assert mean == pytest.approx(expected.sum() / 30, rel=1e-5)


def test_import_is_light():
    """Neither the command line's libraries nor data sets come with the metric."""
    code = (
        "import sys, lpips_tf; print({'typer', 'tensorflow_datasets', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# Bad input

GOOD = np.zeros((1, 64, 64, 3), "uint8")


@pytest.mark.parametrize(
    ("in0", "in1", "message"),
    [
        (
            GOOD,
            np.zeros((1, 64, 65, 3), "uint8"),
            r"same shape.*\(1, 64, 64, 3\).*\(1, 64, 65, 3\)",
        ),
        (GOOD, np.zeros((2, 64, 64, 3), "uint8"), r"same shape.*\(2, 64, 64, 3\)"),
        (GOOD[0], GOOD[0], r"\(N, H, W, 3\), channels last\. Received: in0\.shape=\(64, 64, 3\)"),
        (GOOD, GOOD[0], r"Received: in1\.shape=\(64, 64, 3\)"),
        (GOOD[..., :1], GOOD[..., :1], r"Received: in0\.shape=\(1, 64, 64, 1\)"),
        (GOOD.transpose(0, 3, 1, 2),) * 2 + (r"channels last.*\(1, 3, 64, 64\)",),
        (GOOD[:, :30], GOOD[:, :30], r"at least 31x31 pixels for net='alex'.*\(1, 30, 64, 3\)"),
        (GOOD[:, :, :5], GOOD[:, :, :5], r"at least 31x31 pixels.*\(1, 64, 5, 3\)"),
        (GOOD[:0], GOOD[:0], r"at least one image\. Received: in0\.shape=\(0, 64, 64, 3\)"),
        (GOOD.astype("int32"), GOOD, r"uint8.*or floats.*in0\.dtype=int32"),
        (GOOD, GOOD.astype("int64"), r"in1\.dtype=int64"),
        (GOOD.astype(bool), GOOD, r"in0\.dtype=bool"),
    ],
)
def test_bad_images(build, in0, in1, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()(in0, in1)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError):
        build()(in1, in0)


@pytest.mark.parametrize(("net", "least"), [("alex", 31), ("vgg", 16), ("squeeze", 17)])
def test_least_sides(net, least):
    metric = lpips_tf.LPIPS(net, backbone_weights=None)
    images = np.zeros((1, least, least, 3), "uint8")
    assert metric(images, images).shape == (1,)
    with pytest.raises(ValueError, match=f"at least {least}x{least} pixels for net='{net}'"):
        metric(images[:, 1:], images[:, 1:])
    with pytest.raises(ValueError, match=f"at least {least}x{least}"):
        metric.embed(images[:, :, 1:])


def test_errors_within_a_graph(build):
    with pytest.raises(ValueError, match="same shape"):
        tf.function(lambda x, y: build()(x, y))(GOOD, GOOD[:, 1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": "resnet"}, r"net to be one of 'alex', 'vgg', 'squeeze'\. Received: net='resnet'"),
        ({"version": "0.2"}, r"version to be one of '0.1', '0.0'\. Received: version='0.2'"),
        ({"version": 0.1}, r"Received: version=0\.1"),
        ({"value_range": (1, 0)}, r"value_range=\(lowest, highest\).*Received: \(1, 0\)"),
        ({"value_range": 255}, "Received: 255"),
        ({"value_range": (0, float("inf"))}, r"Received: \(0, inf\)"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        lpips_tf.LPIPS(**options)


GRAPH = [tf.TensorSpec((None, None, None, None), tf.uint8)] * 2


@pytest.mark.parametrize("metric", [lpips_tf.LPIPS(), DSSIM(), L2()], ids=lambda m: m.name)
def test_sizes_known_only_when_a_graph_runs(metric):
    """TensorFlow's kernels would broadcast, or end the process."""
    distance = tf.function(lambda x, y: metric(x, y), input_signature=GRAPH)
    assert distance(GOOD, GOOD).shape == (1,)
    small = GOOD[:, : metric.least_side - 1]
    for in0, in1, message in (
        (small, small, f"at least {metric.least_side}x{metric.least_side}"),
        (GOOD, GOOD.repeat(8, 0), "same shape"),
        (GOOD, GOOD[:, :50], "same shape"),
        (GOOD[:0], GOOD[:0], "at least one image"),
        (GOOD[..., :1], GOOD[..., :1], r"expected shape \[\?,\?,\?,3\]"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            distance(in0, in1)


def test_no_images(build):
    with pytest.raises(ValueError, match="Received: none"):
        build().distances(GOOD)
    with pytest.raises(ValueError, match="Received: none"):
        build().normalized_features()


def test_unknown_rank(build):
    signature = [tf.TensorSpec(None, tf.float32)] * 2
    with pytest.raises(ValueError, match=r"known rank.*tf\.ensure_shape"):
        tf.function(lambda x, y: build()(x, y), input_signature=signature)(GOOD, GOOD)


def test_negative_heads_have_no_embedding(photos):
    metric = lpips_tf.LPIPS()
    metric.heads[2].kernel.assign(-metric.heads[2].kernel)
    with pytest.raises(ValueError, match=r"negative weights.*head2 down to -"):
        metric.embed(photos[0])


# Wrong range


@pytest.mark.parametrize(
    ("scale", "value_range", "advice"),
    [(5, (-1, 1), "Pass value_range"), (1, (-1, 1), r"pass value_range=\(0, 1\)"),
     (5, (0, 1), "Pass value_range"), (1, (0, 255), r"in \[-1, 1\] or \[0, 1\]")],
)  # fmt: skip
def test_images_of_another_range_are_told(photos, scale, value_range, advice):
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


def test_no_warning_for_images_in_range(photos, floats):
    for value_range, images in [((-1, 1), floats), ((0, 1), photos)]:
        metric = lpips_tf.LPIPS(value_range=value_range)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            metric(*images)


def test_importing_the_package_imports_no_extra_and_registers_the_metric():
    """Its modules that need more are imported when they are named."""
    script = """
    import sys, keras, lpips_tf
    extras = {"apache_beam", "faiss", "tensorflow_datasets", "typer"}
    assert not extras & set(sys.modules), extras & set(sys.modules)
    assert keras.saving.get_registered_object("lpips_tf>LPIPS") is lpips_tf.LPIPS
    assert {"export", "evaluation", "neighbors", "beam"} <= set(dir(lpips_tf))
    for name in ("export", "evaluation", "neighbors", "beam"):
        assert getattr(lpips_tf, name).__name__ == f"lpips_tf.{name}"
    assert not hasattr(lpips_tf, "something")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=120)
