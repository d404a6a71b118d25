"""What several tests need: the official answers, metrics built once, SqueezeNet's weights."""

import functools
import gc
import os
import signal

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # PyTorch's idle threads would spin
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as programs that tests start have it

import keras
import numpy as np
import pytest
from checking import ROOT, SQUEEZENET
from programs import exit_code

import lpips_tf
from lpips_tf_cli.console import metric_options

try:
    import browser
except ModuleNotFoundError:  # Playwright, where only the numbers are tested
    browser = None

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Two, for the tests of replicas; nothing else uses the second.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )

# Tracing makes millions of short-lived objects: at Python's thresholds, a tenth of the time is
# spent on looking for garbage among them.
gc.set_threshold(100_000, 20, 100)

# A shell's background jobs ignore Ctrl-C, and so would the commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def _metric(net, options):
    source = "imagenet"
    if net == "squeeze":
        keras.utils.set_random_seed(0)
        source = SQUEEZENET if SQUEEZENET.exists() else None
    return lpips_tf.LPIPS(net=net, **({"backbone_weights": source} | dict(options)))


@pytest.fixture(scope="session")
def build():
    """`build(net, **options)`: an LPIPS, shared between tests; do not change it.

    SqueezeNet has random weights where its own are not beside the repository.
    """
    return lambda net="alex", **options: _metric(net, tuple(options.items()))


@pytest.fixture(scope="session")
def golden():
    with np.load(ROOT / "tests" / "golden" / "golden.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def photos(golden):
    """Six pairs of 64x64 images, uint8; the last pair is identical."""
    return golden["small0"], golden["small1"]


@pytest.fixture(scope="session")
def two_replicas():
    """A strategy with two logical devices of the CPU. A process may have one such strategy."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    return strategy


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of pages start a program, Chromium."""
    for item in items:
        if "open_page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def chromium():
    if browser is None:
        pytest.skip("`make test-all` installs Playwright")
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


@functools.cache
def _loaded(load, options):
    return load(options)


@pytest.fixture
def run_program(capsys, monkeypatch):
    """`run_program(main, *arguments)`: exit code, standard output and standard error of a program
    that runs in this process.

    Commands with the same options share a metric, and the graphs that TensorFlow has traced of it.
    """
    load = metric_options.FixedMetricOptions.load

    @functools.wraps(load)
    def load_or_share(options, **others):
        own = others or options.net == "squeeze" or options.head_weights or options.backbone_weights
        if own or tf.distribute.has_strategy():
            return load(options, **others)
        return _loaded(load, options)

    if keras.backend.backend() == "tensorflow":
        monkeypatch.setattr(metric_options.FixedMetricOptions, "load", load_or_share)
    return lambda main, *arguments: (exit_code(main, *arguments), *capsys.readouterr())
