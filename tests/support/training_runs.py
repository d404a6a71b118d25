"""`lpips-tf train` as tests start it, and what lies in the folder of a run."""

import contextlib
import json
import socket
import sys

import numpy as np
import pytest

import tfds_bapps
from lpips_tf.weights import weight_files

COMMAND = [sys.executable, "-c", "from lpips_tf_cli.main import main; main()", "train"]


def arguments(root, output, *others):
    """Four epochs of heads on two data sets, unless `others` say otherwise."""
    if "--datasets" not in others:
        others = ("--datasets", "train/traditional", "train/cnn", *others)
    return [
        "--bapps-dir", root, "--output", output, "--batch-size", 10, "--epochs", 2,
        "--decay-epochs", 2, "--learning-rate", 1e-3, *others,
    ]  # fmt: skip


def arrays(path):
    """The arrays of a weight file, by name."""
    return weight_files.read(path).arrays


def assert_same_heads(found, expected):
    """The same but for rounding: without oneDNN, kernels may add in another order under load."""
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-8)


def assert_same_history(found, expected):
    """The same figures of each epoch but for rounding and the time."""
    for x, y in zip(found, expected, strict=True):
        assert x == pytest.approx(y | {"seconds": x["seconds"]}, rel=1e-5)


def first_triplets(root, count=7):
    """ref, p0 and p1 of the first triplets of val/cnn."""
    examples = tfds_bapps.load_tree(root, "2afc", "val_cnn").batch(count)
    batch = next(iter(examples))
    return [batch[name].numpy() for name in ("ref", "p0", "p1")]


def history(output):
    """What a run keeps of each epoch."""
    return [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]


def free_ports(count):
    """Ports of this machine that nobody listens to."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
