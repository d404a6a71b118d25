"""What several tests need: the official answers, metrics built once, SqueezeNet's weights."""

import functools
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # PyTorch's idle threads would spin

import keras
import numpy as np
import pytest
from gradients import gradient  # noqa: F401, for tests

import lpips_tf

try:
    import browser
except ModuleNotFoundError:  # Playwright, where only the numbers are tested
    browser = None

# A shell's background jobs ignore Ctrl-C, and so would the commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
# torchvision's SqueezeNet may lie beside the repository; it is not part of it.
SQUEEZENET = ROOT.parent / "shared" / "data" / "squeezenet1_1-features.pth"

NETS = [
    "alex",
    "vgg",
    pytest.param(
        "squeeze",
        marks=pytest.mark.skipif(
            not SQUEEZENET.exists(),
            reason="SqueezeNet's convolutions are not beside the repository",
        ),
    ),
]


@functools.cache
def _metric(net, options):
    source = SQUEEZENET if net == "squeeze" else "imagenet"
    return lpips_tf.LPIPS(net=net, **({"backbone_weights": source} | dict(options)))


@pytest.fixture(scope="session")
def build():
    """`build(net, **options)`: an LPIPS, shared between tests; do not change it."""
    return lambda net="alex", **options: _metric(net, tuple(options.items()))


@pytest.fixture(scope="session")
def golden():
    with np.load(ROOT / "tests" / "golden" / "golden.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def photos(golden):
    """Six pairs of 64x64 pictures, uint8; the last pair is identical."""
    return golden["small0"], golden["small1"]


@pytest.fixture(scope="module")
def chromium():
    if browser.EXECUTABLE is None and "CI" not in os.environ:
        pytest.skip("needs Chromium")
    with browser.chromium() as chromium:
        yield chromium


@pytest.fixture
def open_page(chromium):
    """`open_page(address, **options)`: a page, which must not complain to the console nor ask for
    anything elsewhere. What it complains of is in its `complaints`.
    """
    complaints, contexts = [], []

    def open_(address, **options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda r: r.url.startswith((address, "data:", "blob:"))
                or complaints.append(r.url))  # fmt: skip
        page.goto(address)
        page.complaints = complaints
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def assert_accessible(page):
    """By the rules of axe-core: labels, alternative texts, roles, contrast."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.fixture
def run_program(capsys, monkeypatch):
    """`run_program(main, *arguments)`: exit code, standard output and standard error of a program
    that runs in this process.
    """

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    return run


def numbers(tensor):
    """A tensor of any backend as a NumPy array."""
    return keras.ops.convert_to_numpy(tensor)


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
