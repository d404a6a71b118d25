"""Comparing with the official answers, and what tests find beside the repository."""

from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
# torchvision's SqueezeNet may lie beside the repository; it is not part of it.
SQUEEZENET = ROOT.parent / "shared" / "data" / "squeezenet1_1-features.pth"

needs_squeezenet = pytest.mark.skipif(
    not SQUEEZENET.exists(), reason="SqueezeNet's convolutions are not beside the repository"
)
NETS = ["alex", "vgg", "squeeze"]  # SqueezeNet with random weights if need be
QUICK_NETS = ["alex", pytest.param("vgg", marks=pytest.mark.slow), "squeeze"]
OFFICIAL_NETS = ["alex", "vgg", pytest.param("squeeze", marks=needs_squeezenet)]


def numbers(tensor):
    """A tensor of any backend as a NumPy array."""
    return keras.ops.convert_to_numpy(tensor)


def in_range(images, low=-1, high=1):
    """uint8 images as float32 from `low` to `high`."""
    return (images / np.float32(255) * (high - low) + low).astype("float32")


def assert_official(actual, expected):
    """Within the project's tolerance of the official implementation's float32 results."""
    np.testing.assert_allclose(numbers(actual), expected, rtol=1e-5, atol=2e-6)


def assert_official_gradient(actual, expected):
    assert np.isfinite(actual).all()
    differences = np.abs(actual - expected) / np.abs(expected).max()
    # Where inputs of a max-pool are equal but for rounding, the gradient goes another way if the
    # convolutions round otherwise, as XLA's do at one place of VGG's golden pairs.
    assert differences.max() <= (2e-3 if keras.backend.backend() == "jax" else 1e-3)
    assert np.quantile(differences, 0.99) <= 1e-4


def assert_accessible(page):
    """By the rules of axe-core: labels, alternative texts, roles, contrast."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
