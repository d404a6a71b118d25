"""What XLA compiles knows no errors: results of images that cannot be compared are NaN."""

import numpy as np
import pytest
import tensorflow as tf
from keras_helpers import network

import lpips_tf
from lpips_tf.baselines import DSSIM, L2

ANY = tf.TensorSpec((None, None, None, 3))
LEAST = 31  # of AlexNet


def unequal(x):
    return {
        "a row less": (x, x[:, :31]),
        "one image for ten": (x, x[:1]),
        "below the least side": (x[:, : LEAST - 1], x[:, : LEAST - 1]),
    }


CASES = ["a row less", "one image for ten", "below the least side"]


@pytest.mark.parametrize(
    ("case", "spatial"),
    [
        (CASES[0], False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((CASES[1], False), (CASES[2], False), (CASES[0], True))
        ),
    ],
)
def test_distances_of_shapes_that_differ_are_nan_under_xla(build, x, case, spatial):
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
@pytest.mark.slow
def test_features_of_images_too_small_are_nan_under_xla(build, x, function):
    compute = tf.function(getattr(build(), function), [ANY], jit_compile=True)
    assert all(np.isnan(part).all() for part in tf.nest.flatten(compute(x[:, : LEAST - 1])))


@pytest.mark.slow
def test_exported_losses_are_nan_under_xla(build, x, tmp_path):
    lpips_tf.export.export_saved_model(build(), tmp_path, warmup=False)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    distance = tf.function(lambda a, b: loaded(a, b), [ANY, ANY], jit_compile=True)
    for case in (CASES[0], CASES[2]):
        assert np.isnan(distance(*unequal(x)[case])).all(), case


@pytest.mark.slow
def test_training_on_images_of_another_size_shows_in_the_loss(x):
    """Also where the sizes of a data set are not known."""
    model = network()
    model.compile("sgd", loss=lpips_tf.LPIPS(), jit_compile=True)
    batches = tf.data.Dataset.from_generator(lambda: [(x[:, :31], x)], output_signature=(ANY, ANY))
    assert np.isnan(model.evaluate(batches, steps=1, verbose=0))
