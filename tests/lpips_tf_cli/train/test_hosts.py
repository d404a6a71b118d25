"""Training on several hosts; here two processes of one machine."""

import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from training_runs import COMMAND, arguments, arrays, free_ports, history

from lpips_tf_cli.judgements import devices


class TwoHosts(tf.distribute.MultiWorkerMirroredStrategy):
    """A strategy whose second host, which is none, gathers `difference` more than the first."""

    def __init__(self, difference):
        self._difference = difference

    def run(self, function):
        return function()

    def gather(self, value, axis):
        return tf.concat([value, value + self._difference], axis)


def test_hosts_must_have_the_same_options_and_data():
    devices.check_same(TwoHosts(0), "seed 0")
    with pytest.raises(ValueError, match="same options and data on all hosts"):
        devices.check_same(TwoHosts(1), "seed 0")


def test_a_host_says_that_another_stopped():
    aborted = tf.errors.UnavailableError(None, None, "Collective ops is aborted by: no heartbeat")
    with (
        pytest.raises(ValueError, match=r"Another host stopped\. It says why"),
        devices.translated_host_errors(TwoHosts(0)),
    ):
        raise aborted
    with (
        pytest.raises(tf.errors.UnavailableError),
        devices.translated_host_errors(tf.distribute.get_strategy()),
    ):
        raise aborted


@pytest.mark.slow
def test_two_hosts_train_the_same_heads_as_one_and_the_first_writes(train, tmp_path, root):
    """Each with half of a batch."""
    options = ("--dropout", 0, "--validation", "val/cnn", "--batch-size", 6, "--datasets",
               "train/cnn", "--epochs", 1, "--decay-epochs", 1)  # fmt: skip
    assert train(tmp_path / "one", *options)[0] == 0
    ports = free_ports(2)
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    command = [*COMMAND, *map(str, arguments(root, tmp_path / "two", *options))]
    processes = []
    for i in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": i}}
        environment = os.environ | {"TF_CONFIG": json.dumps(task)}
        processes.append(subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ))  # fmt: skip
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [out.count("\n") for out, _ in outputs] == [1, 0]  # the first writes
    one, two = (arrays(tmp_path / name / "heads.h5") for name in ("one", "two"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, atol=1e-5)
    for x, y in zip(history(tmp_path / "one"), history(tmp_path / "two"), strict=True):
        for name in ("loss", "two_afc", "val_loss", "val_two_afc"):
            assert y[name] == pytest.approx(x[name], abs=1e-5)
