"""LPIPS as TensorFlow and Keras use it."""

import inspect
import pydoc
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import assert_official, numbers

import lpips_tf

# Forms of input


def test_uint8_images_and_floats_have_one_distance(build, photos, floats):
    np.testing.assert_allclose(numbers(build()(*photos)), numbers(build()(*floats)), atol=1e-6)


def test_a_pair_may_have_two_dtypes(build, photos, floats):
    mixed = build()(photos[0], floats[1])
    np.testing.assert_allclose(numbers(mixed), numbers(build()(*photos)), atol=1e-6)


def test_images_from_0_to_1_have_the_official_distances(build, photos, golden):
    metric = lpips_tf.LPIPS(value_range=(0, 1))
    distance = metric(*(image.astype("float32") / 255 for image in photos))
    assert_official(distance, golden["alex/0.1/lpips/small"])


def test_lists_are_taken_as_arrays(build, photos):
    received = build()([photos[0][0], photos[0][1]], list(photos[1][:2]))
    np.testing.assert_array_equal(numbers(received), numbers(build()(photos[0][:2], photos[1][:2])))


def test_a_batch_gives_what_each_pair_gives_alone(build, photos):
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
def test_a_users_graph_gives_the_official_distances(build, photos, golden, jit_compile):
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


def test_a_graph_takes_arrays_and_variables(build, photos, floats, golden):
    """A fixed reference need not be an argument of the graph; an image may be a variable."""
    metric = build()
    reference = keras.Variable(floats[0])
    for other in (photos[0], reference, tf.Variable(floats[0])):
        distance = tf.function(lambda image, x=other: metric(x, image))
        assert_official(distance(photos[1]), golden["alex/0.1/lpips/small"])
        assert_official(metric(other, photos[1]), golden["alex/0.1/lpips/small"])


def test_a_metric_is_a_layer_of_a_functional_model(build, photos, golden):
    in0, in1 = (keras.Input((None, None, 3), dtype="uint8") for _ in range(2))
    model = keras.Model([in0, in1], build()(in0, in1))
    assert_official(model(list(photos)), golden["alex/0.1/lpips/small"])


# Keras


@pytest.mark.slow
def test_a_model_has_a_metric_as_its_loss_and_saves_it(floats, tmp_path):
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


def test_a_configuration_rebuilds_the_metric(photos):
    metric = lpips_tf.LPIPS(
        "vgg", "0.0", False, True, (0, 255), None, None, 0.25, "mine", "float32"
    )
    config = metric.get_config()
    clone = lpips_tf.LPIPS.from_config(config)
    assert clone.get_config() == config
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert restored.get_config() == config


def test_a_saved_metric_carries_its_weights(photos, tmp_path):
    metric = lpips_tf.LPIPS()
    metric.heads[0].kernel.assign(2 * metric.heads[0].kernel)
    metric.save(tmp_path / "metric.keras")
    loaded = keras.saving.load_model(tmp_path / "metric.keras")
    np.testing.assert_array_equal(numbers(loaded(*photos)), numbers(metric(*photos)))


def test_a_saved_metric_needs_no_files(photos, tmp_path):
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


def test_weights_are_frozen_until_asked_otherwise(photos):
    metric = lpips_tf.LPIPS()
    assert metric.trainable_variables == []
    for head in metric.heads:
        head.trainable = True
    assert [v.shape for v in metric.trainable_variables] == [(64,), (192,), (384,), (256,), (256,)]
    metric.backbone.trainable = True
    assert len(metric.trainable_variables) == 15


def test_dropout_is_for_the_training_of_heads_only(photos):
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


def test_bfloat16_computes_the_backbone_only_after_its_first_layer(build, photos):
    metric = lpips_tf.LPIPS(dtype="mixed_bfloat16")
    assert [tap.dtype for tap in metric.backbone.outputs] == ["float32"] + ["bfloat16"] * 4
    distance = metric(*photos)
    assert distance.dtype == tf.float32
    np.testing.assert_allclose(distance, build()(*photos), rtol=0.01)


def test_pairwise_functions_take_a_dataset(build, photos):
    metric = build()
    expected = lpips_tf.distance_matrix(metric, photos[0])
    images = tf.data.Dataset.from_tensor_slices(photos[0])
    for dataset in (images, images.batch(4)):
        received = lpips_tf.distance_matrix(metric, dataset, batch_size=5)
        np.testing.assert_allclose(received, expected, atol=1e-6)
        mean = lpips_tf.mean_pairwise_distance(metric, dataset)
        assert mean == pytest.approx(expected.sum() / 30, rel=1e-5)


@pytest.mark.slow
def test_importing_the_package_imports_no_extra_and_registers_the_metric():
    script = """
    import sys, keras, lpips_tf
    extras = {"apache_beam", "faiss", "tensorflow_datasets", "torch", "typer"}
    assert not extras & set(sys.modules), extras & set(sys.modules)
    assert keras.saving.get_registered_object("lpips_tf>LPIPS") is lpips_tf.LPIPS
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=120)


def test_modules_that_need_an_extra_are_imported_when_they_are_named():
    names = ("export", "evaluation", "neighbors", "plots")
    assert set(names) <= set(dir(lpips_tf))
    for name in names:
        assert getattr(lpips_tf, name).__name__ == f"lpips_tf.{name}"
    assert not hasattr(lpips_tf, "something")


def test_help_leaves_out_modules_whose_packages_are_missing(monkeypatch):
    """`help` and others would stop at the first of them."""
    for package in ("apache_beam", "faiss"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were missing
    assert "distance_matrix(" in pydoc.plain(pydoc.render_doc(lpips_tf))
    members = dict(inspect.getmembers(lpips_tf))
    assert {"plots", "LPIPS"} <= members.keys()
    assert not {"beam", "neighbors"} & members.keys() - vars(lpips_tf).keys()


def test_negative_heads_have_no_embedding(photos):
    metric = lpips_tf.LPIPS()
    metric.heads[2].kernel.assign(-metric.heads[2].kernel)
    with pytest.raises(ValueError, match=r"negative weights.*head2 down to -"):
        metric.embed(photos[0])
