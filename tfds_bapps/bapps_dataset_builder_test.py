"""TFDS' own test of a builder, on dummy data."""

import pytest
import tensorflow_datasets as tfds

from tfds_bapps import bapps_dataset_builder, tree

for name in ("dill", "pandas"):  # which TFDS' test case imports
    pytest.importorskip(name, reason=f"`make test-all` installs {name}")


class TwoAFCTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = bapps_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ("2afc",)
    SPLITS = dict.fromkeys(tree.splits("2afc"), 2)
    SKIP_CHECKSUMS = True  # the authors publish none


class JNDTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = bapps_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ("jnd",)
    SPLITS = dict.fromkeys(tree.splits("jnd"), 2)
    SKIP_CHECKSUMS = True


if __name__ == "__main__":
    tfds.testing.test_main()
