"""SavedModels, each written once."""

import functools

import pytest
import tensorflow as tf

import lpips_tf
from lpips_tf import export


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """`saved(**options)`: a metric, and the folder of its SavedModel."""
    root, kept = tmp_path_factory.mktemp("saved"), {}

    def save(**options):
        key = tuple(sorted(options.items()))
        if key not in kept:
            metric = lpips_tf.LPIPS(**options)
            kept[key] = (metric, export.export_saved_model(metric, root))
        return kept[key]

    return save


@pytest.fixture(scope="session")
def loaded(saved):
    """`loaded(**options)`: what TensorFlow loads of that folder, once."""

    @functools.cache
    def load(**options):
        return tf.saved_model.load(str(saved(**options)[1]))

    return load
