"""A metric among Keras' and TensorFlow's own objects: checkpoints, flags, models, exports."""

import copy
import gc
import pickle
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers
from keras.src import testing

import lpips_tf
from lpips_tf._networks.image_convolution import ImageConv2D
from lpips_tf.heads import Head
from lpips_tf.training import RankingModel


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(-1, 1, (5, 32, 33, 3)).astype("float32")


@pytest.fixture(scope="module")
def y(x):
    return x[::-1] / 2


def tuned():
    metric = lpips_tf.LPIPS()
    for head in metric.heads:
        head.kernel.assign(3 * head.kernel)
    return metric


class Holder(keras.Model):
    def __init__(self, metric):
        super().__init__()
        self.metric = metric


# Checkpoints


@pytest.mark.parametrize(
    "holder",
    [lambda metric: tf.train.Checkpoint(metric=metric), Holder, RankingModel],
    ids=["checkpoint", "model", "ranking model"],
)
def test_tensorflow_checkpoints_have_the_heads(x, y, tmp_path, holder):
    saved, restored = holder(tuned()), holder(lpips_tf.LPIPS())
    path = tf.train.Checkpoint(saved).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(restored).restore(path).assert_consumed()
    np.testing.assert_array_equal(restored.metric(x, y), saved.metric(x, y))
    assert np.abs(restored.metric(x, y) - lpips_tf.LPIPS()(x, y)).max() > 0.01


# What is trained


def generator(metric):
    image = keras.Input((None, None, 3))
    made = keras.layers.Conv2D(3, 3, padding="same", name="made")(image)
    return keras.Model(image, metric(image, made))


def test_a_model_frozen_and_unfrozen_does_not_train_its_metric():
    model = generator(lpips_tf.LPIPS())
    for trainable, variables in [(False, 0), (True, 2), (True, 2)]:
        model.trainable = trainable
        assert len(model.trainable_variables) == variables


def test_what_was_trained_before_is_trained_again():
    metric = lpips_tf.LPIPS()
    metric.heads[1].trainable = True
    metric.backbone.trainable = True
    metric.backbone.get_layer("conv1").trainable = False
    model = generator(metric)
    expected = [variable.path for variable in model.trainable_variables]
    assert len(expected) == 2 + 8 + 1
    model.trainable = False
    assert not any(part.trainable for part in (metric.backbone, *metric.heads))
    metric.heads[0].trainable = True  # by itself, meanwhile
    model.trainable = True
    found = [variable.path for variable in model.trainable_variables]
    assert set(found) - set(expected) == {"head0/kernel"}
    assert len(found) == len(expected) + 1


def test_flags_of_a_frozen_metric_are_saved():
    metric = lpips_tf.LPIPS()
    metric.heads[1].trainable = True
    metric.trainable = False
    loaded = lpips_tf.LPIPS.from_config(metric.get_config())
    assert loaded.trainable_variables == []
    loaded.trainable = True
    assert [variable.path for variable in loaded.trainable_variables] == ["head1/kernel"]


# Models


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("spatial", [False, True])
def test_symbols_are_like_results(spatial, dtype):
    metric = lpips_tf.LPIPS(spatial=spatial, dtype=dtype)
    images = keras.Input((None, 33, 3)), keras.Input((32, None, 3), batch_size=2)
    for options in ({}, {"return_per_layer": True}):
        symbols = metric(*images, **options)
        keras.Model(images, symbols)  # though the metric was called otherwise before
        results = metric(*np.zeros((2, 2, 32, 33, 3), "float32"), **options)
        keras.tree.assert_same_structure(symbols, results)
        for a, b in zip(keras.tree.flatten(symbols), keras.tree.flatten(results), strict=True):
            assert (a.shape, a.dtype) == (tuple(b.shape), keras.backend.standardize_dtype(b.dtype))


@pytest.mark.parametrize(
    "function",
    ["__call__", "embed", "distances", "explain", "maps", "layer_maps", "normalized_features"],
)
@pytest.mark.parametrize(
    "shape",
    [(None, None, 3), pytest.param((32, 33, 3), marks=pytest.mark.slow)],
    ids=["any", "known"],
)
def test_functions_of_a_metric_build_models(build, x, y, tmp_path, function, shape):
    images = [x] if function == "embed" else [x, y]
    inputs = [keras.Input(shape) for _ in images]
    options = {"return_per_layer": True} if function in ("__call__", "maps") else {}
    model = keras.Model(inputs, getattr(build(), function)(*inputs, **options))
    model.save(tmp_path / "model.keras")
    expected = keras.tree.flatten(getattr(build(), function)(*images, **options))
    for found in (model(images), keras.saving.load_model(tmp_path / "model.keras")(images)):
        for a, b in zip(keras.tree.flatten(found), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize(
    "functions",
    [
        ("embed", "embed"),
        *(
            pytest.param(several, marks=pytest.mark.slow)
            for several in (("maps", "__call__"), ("__call__", "maps", "distances"))
        ),
    ],
)
def test_models_may_use_a_metric_several_times(x, y, tmp_path, functions):
    metric = tuned()
    pair = [keras.Input((None, None, 3)) for _ in range(2)]
    outputs = [
        getattr(metric, name)(*(pair[:1] if name == "embed" else pair)) for name in functions
    ]
    model = keras.Model(pair, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(metric.weights)  # one metric
    found, expected = (keras.tree.flatten(m([x, y])) for m in (loaded, model))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("called", [False, True])
def test_a_metric_exported_by_keras_gives_the_same(x, y, tmp_path, called):
    metric = lpips_tf.LPIPS()
    if called:
        metric(x, y)
    metric.export(str(tmp_path / "exported"), verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    for function in (exported.serve, exported.signatures["serving_default"]):
        found = function(in0=tf.constant(x), in1=tf.constant(y))
        np.testing.assert_allclose(found["distance"], metric(x, y), rtol=1e-6)


@pytest.mark.parametrize("spatial", [False, True])
def test_a_metric_passes_keras_tests_of_layers(spatial):
    shapes = {"in0_shape": (2, 32, 33, 3), "in1_shape": (2, 32, 33, 3)}
    case = testing.TestCase()
    case.run_layer_test(
        lpips_tf.LPIPS,
        init_kwargs={"spatial": spatial, "value_range": (0, 3)},
        input_shape=shapes,
        expected_output_shape=(2, 32, 33, 1) if spatial else (2,),
        expected_num_trainable_weights=0,
        expected_num_non_trainable_weights=15,
        expected_num_seed_generators=5,
        run_training_check=False,  # it gives a layer one argument
        run_mixed_precision_check=False,  # distances are float32 whatever the policy
    )
    assert lpips_tf.LPIPS(spatial=spatial).compute_output_shape(**shapes) == (
        (2, 32, 33, 1) if spatial else (2,)
    )


def test_a_head_passes_keras_tests_of_layers():
    testing.TestCase().run_layer_test(
        Head,
        init_kwargs={"channels": 5},
        input_shape=(2, 3, 4, 5),
        expected_output_shape=(2, 3, 4, 1),
        expected_num_trainable_weights=1,
        run_mixed_precision_check=False,  # a head computes in float32 whatever the policy
    )


# Several replicas


@pytest.mark.slow
def test_a_replica_may_have_no_images(two_replicas):
    """As for other losses: a last batch may be smaller than the number of replicas."""
    x = np.random.default_rng(0).uniform(-1, 1, (5, 32, 32, 3)).astype("float32")
    with two_replicas.scope():
        image = keras.Input((None, None, 3))
        model = keras.Model(image, keras.layers.Rescaling(0.5)(image))
        metrics = [lpips_tf.LPIPS(), lpips_tf.baselines.L2("RGB"), lpips_tf.baselines.DSSIM()]
        model.compile(loss=lpips_tf.LPIPS(), metrics=metrics)
    loss, *found = model.evaluate(x, x, batch_size=4, verbose=0)
    expected = [np.mean(metric(x, x / 2)) for metric in metrics]
    np.testing.assert_allclose([loss, *found], [expected[0], *expected], rtol=1e-5)


# Copies of the backbone


def features(backbone, images):
    return [numbers(tap) for tap in backbone(images)]


@pytest.mark.parametrize(
    ("net", "dtype"),
    [
        ("alex", "float32"),
        ("alex", "mixed_float16"),
        *(pytest.param(net, "float32", marks=pytest.mark.slow) for net in ("vgg", "squeeze")),
    ],
)
def test_backbones_are_copied_and_saved(net, dtype, x, tmp_path):
    backbone = lpips_tf.LPIPS(net, backbone_weights=None, dtype=dtype).backbone
    expected = features(backbone, x)
    cloned = keras.models.clone_model(backbone)
    cloned.set_weights(backbone.get_weights())
    rebuilt = keras.models.model_from_json(backbone.to_json())
    rebuilt.set_weights(backbone.get_weights())
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    for copied in (cloned, rebuilt, loaded, copy.deepcopy(backbone)):
        for received, tap in zip(features(copied, x), expected, strict=True):
            np.testing.assert_array_equal(received, tap)


def test_models_built_on_a_backbone_are_loaded(x, tmp_path):
    backbone = lpips_tf.LPIPS().backbone
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(image)[-1])
    model = keras.Model(image, keras.layers.Dense(2)(pooled))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_metrics_are_copied_and_pickled(x, y, copied):
    metric = tuned()
    np.testing.assert_array_equal(copied(metric)(x, y), metric(x, y))


def test_an_image_convolution_passes_keras_tests_of_layers():
    testing.TestCase().run_layer_test(
        ImageConv2D,
        init_kwargs={"filters": 4, "kernel_size": 11, "strides": 4, "pad": 2},
        input_shape=(2, 32, 33, 3),
        expected_output_shape=(2, 7, 7, 4),
        expected_num_trainable_weights=2,
    )


# Memory


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.slow
def test_nothing_keeps_the_graph_of_a_metric_that_is_gone(x, y, dtype):
    """With it all its weights would stay."""
    metric, image = lpips_tf.LPIPS(dtype=dtype), tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(image)
        distance = metric(x, image)
    tape.gradient(distance, image)
    (function,) = metric._distances._graphs.values()
    graph = weakref.ref(function.get_concrete_function().graph)
    del metric, image, tape, distance, function
    gc.collect()
    assert graph() is None
