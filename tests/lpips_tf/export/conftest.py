"""SavedModels, each written once."""

import pytest

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
