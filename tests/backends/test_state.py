"""A metric's weights in the files and states of each backend."""

import keras
import numpy as np
import pytest
from checking import numbers

import lpips_tf

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 3, 32, 33, 3), "uint8")


@pytest.fixture(scope="module")
def tuned():
    metric = lpips_tf.LPIPS(backbone_weights=None)
    for head in metric.heads:
        head.kernel.assign(3 * head.kernel)
    return metric


@pytest.fixture(scope="module")
def values(tuned):
    """What Orbax keeps of a model: the values of its variables."""
    return [
        [numbers(variable) for variable in variables]
        for variables in (tuned.trainable_variables, tuned.non_trainable_variables)
    ]


def test_stateless_calls_use_the_values_they_are_given(images, tuned, values):
    found, _ = lpips_tf.LPIPS().stateless_call(*values, *images)
    np.testing.assert_allclose(numbers(found), numbers(tuned(*images)), rtol=1e-5)


def test_stateless_calls_check_what_calls_check(images, tuned, values):
    """Otherwise the backends would broadcast one batch, or one row of a mask, to the other."""
    x, y = images
    for arguments, message in (
        ((x, y[:1]), "same shape"),
        ((x, y[:, :, :1]), "31x31 pixels"),
        ((x > 100, y > 100), "dtype uint8"),
        ((x[:0], y[:0]), "at least one image"),
        ((x.transpose(0, 3, 1, 2), y), "channels last"),
        ((x, y, False, None, np.ones((3, 32, 32))), "the images' size"),
        ((x, y, "layers"), "return_per_layer"),
    ):
        with pytest.raises(ValueError, match=message):
            tuned.stateless_call(*values, *arguments)
    mask = np.random.default_rng(1).random((3, 32, 33))
    for pair, options in (((x, y), {"mask": mask}), ((x[..., :1], y[..., :1]), {})):
        found, _ = tuned.stateless_call(*values, *pair, **options)
        np.testing.assert_allclose(numbers(found), numbers(tuned(*pair, **options)), rtol=1e-5)


@pytest.mark.parametrize("name", ["metric.keras", "metric.weights.h5"])
def test_files_of_keras_have_the_weights(images, tuned, tmp_path, name):
    path = tmp_path / name
    if name.endswith(".keras"):
        tuned.save(path)
        restored = keras.saving.load_model(path)
    else:
        tuned.save_weights(path)
        restored = lpips_tf.LPIPS(backbone_weights=None)
        restored.load_weights(path)
    np.testing.assert_array_equal(numbers(restored(*images)), numbers(tuned(*images)))
