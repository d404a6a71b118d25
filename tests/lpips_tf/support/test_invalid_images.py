"""Nothing wrong in silence: what compiled computations make of images that cannot be compared."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import lpips_tf
from lpips_tf.baselines import DSSIM, L2

ANY = tf.TensorSpec((None, None, None, 3))
LEAST = 31  # of AlexNet


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(-1, 1, (10, 32, 33, 3)).astype("float32")


@pytest.fixture(scope="module")
def y(x):
    return np.clip(x[::-1] / 2, -1, 1)


def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(image))


# Shapes, under XLA, which drops the checks of a graph


def unequal(x):
    return {
        "a row less": (x, x[:, :31]),
        "one image for ten": (x, x[:1]),
        "below the least side": (x[:, : LEAST - 1], x[:, : LEAST - 1]),
    }


CASES = ["a row less", "one image for ten", "below the least side"]


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_shapes_that_differ_are_nan_under_xla(build, x, case, spatial):
    metric = build(spatial=spatial)

    @tf.function(input_signature=[ANY, ANY], jit_compile=True)
    def distance_and_gradient(in0, in1):
        with tf.GradientTape() as tape:
            tape.watch(in1)
            distance = tf.reduce_mean(metric(in0, in1))
        return distance, tape.gradient(distance, in1)

    in0, in1 = unequal(x)[case]
    try:
        distance, gradient = distance_and_gradient(in0, in1)
    except tf.errors.InvalidArgumentError:  # what XLA cannot compile
        return
    assert np.isnan(distance)
    assert np.isnan(gradient).all()


@pytest.mark.parametrize("case", CASES[:2])
@pytest.mark.parametrize("baseline", [L2("RGB"), DSSIM()], ids=lambda metric: metric.name)
def test_baselines_of_shapes_that_differ_are_nan_under_xla(x, baseline, case):
    distance = tf.function(lambda a, b: baseline(a, b), [ANY, ANY], jit_compile=True)
    try:
        found = distance(*unequal(x)[case])
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return
    assert np.isnan(found).all()


@pytest.mark.parametrize("function", ["embed", "normalized_features"])
def test_small_images_have_no_features_under_xla(build, x, function):
    compute = tf.function(getattr(build(), function), [ANY], jit_compile=True)
    assert all(np.isnan(part).all() for part in tf.nest.flatten(compute(x[:, : LEAST - 1])))


def test_exported_losses_are_nan_under_xla(build, x, tmp_path):
    lpips_tf.export.export_saved_model(build(), tmp_path, warmup=False)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    distance = tf.function(lambda a, b: loaded(a, b), [ANY, ANY], jit_compile=True)
    for case in CASES:
        assert np.isnan(distance(*unequal(x)[case])).all(), case


def test_training_on_images_of_another_size_shows_in_the_loss(x):
    """Also where the sizes of a data set are not known."""
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS(), jit_compile=True)
    batches = tf.data.Dataset.from_generator(lambda: [(x[:, :31], x)], output_signature=(ANY, ANY))
    assert np.isnan(model.evaluate(batches, verbose=0))


# Ranges


@pytest.mark.parametrize("jit_compile", [False, True])
def test_targets_of_8_bits_are_no_floats_of_the_range(x, jit_compile):
    """Keras casts them to floats before a loss sees them, but not for a metric."""
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS(), metrics=[lpips_tf.LPIPS()], jit_compile=jit_compile)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loss, metric = model.evaluate(x, np.round(127.5 * x + 127.5).astype("uint8"), verbose=0)
    assert np.isnan(loss)
    assert 0 < metric < 1
    said = [str(warning.message) for warning in told if "value_range" in str(warning.message)]
    assert len(said) == (not jit_compile)  # from what XLA compiles TensorFlow calls no Python
    assert all("The distance is NaN. Scale 8-bit images" in message for message in said)


@pytest.mark.parametrize("source", ["arrays", "tf.data"])
def test_a_range_that_cannot_be_is_told_once_in_fit(x, y, source):
    targets = (x + 1) / 2
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS(), metrics=[lpips_tf.baselines.L2("RGB")])
    data = {"x": y, "y": targets, "batch_size": 2}
    if source == "tf.data":
        data = {"x": tf.data.Dataset.from_tensor_slices((y, targets)).batch(2)}
    with pytest.warns(UserWarning, match=r"in0 spans 0\.0.* pass value_range=\(0, 1\)") as told:
        model.fit(**data, epochs=2, verbose=0)
    assert len([w for w in told if "value_range" in str(w.message)]) == 1


def test_a_right_range_is_not_told_in_fit(x, y):
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*value_range")
        model.fit(y, x, batch_size=4, verbose=0)


@pytest.mark.parametrize("value_range", [(-1, 1), (0, 1)])
def test_eager_calls_refuse_floats_of_8_bit_images(x, value_range):
    metric = lpips_tf.LPIPS(value_range=value_range)
    images = 127.5 * x + 127.5
    with pytest.raises(ValueError, match=r"Expected in0 in value_range=.*Received: floats from"):
        metric(images, images)
    metric._range_checks = 0  # as after twenty arrays
    assert np.isnan(metric(images, images / 255)).all()
    assert np.isfinite(lpips_tf.LPIPS(value_range=(0, 255))(images, images)).all()


def test_what_a_network_gives_that_has_lost_its_way_has_finite_gradients(x, y):
    metric = lpips_tf.LPIPS()
    metric._range_checks = 0
    for image in (100 * y, np.full_like(y, 1e4), np.full_like(y, -1e3)):
        assert np.isfinite(metric(x, image)).all()
