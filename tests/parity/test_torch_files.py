"""Checkpoints that PyTorch itself writes are read, and it reads those that tests write."""

import functools
import os

import numpy as np
import pytest
import torch_files
from torch_files import backbone_tensors, head_tensors

from lpips_tf.weights.torch_checkpoints import HEAD_CHANNELS
from weights_conversion import read_heads

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("zip_format", [True, False])
def test_checkpoints_of_training_scripts_are_read(tmp_path, zip_format):
    tensors = {key: torch.tensor(array) for key, array in head_tensors("alex").items()}
    path = tmp_path / "checkpoint.pth"
    saved = {"epoch": 3, "state_dict": {f"module.{k}": t.bfloat16() for k, t in tensors.items()}}
    torch.save(saved, path, _use_new_zipfile_serialization=zip_format)
    _, arrays = read_heads(path)
    for array, tensor in zip(arrays.values(), tensors.values(), strict=True):
        np.testing.assert_array_equal(array, tensor.bfloat16().float().numpy().ravel())
    torch.save(list(tensors.values()), path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(ValueError, match=r"dict of tensors\. Received: .*with a list"):
        read_heads(path)


class Hostile:
    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("call", [(os.system, "true"), (functools.partial, print)])
def test_a_hostile_file_of_the_old_format_is_refused(tmp_path, call):
    """Named as in the zip format, and without PyTorch's advice to load it unsafely."""
    path = tmp_path / "old.pth"
    torch.save({"weight": Hostile(*call)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(
        ValueError, match=r"Refused to read .*it asks for \S+\.(system|partial), and"
    ) as told:
        read_heads(path)
    assert "weights_only" not in str(told.value)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises((OSError, ValueError)) as told:
        read_heads(path)
    assert "weights_only" not in str(told.value)


def test_files_that_pytorch_saves_are_read(tmp_path):
    """Both formats, parameters and metadata included, as PyTorch itself writes them."""
    net = torch.nn.Module()
    for i, channels in enumerate(HEAD_CHANNELS["alex"]):
        model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Conv2d(channels, 1, 1, bias=False))
        head = torch.nn.Module()
        head.add_module("model", model)
        net.add_module(f"lin{i}", head)
    state = net.state_dict()
    parameters = dict(net.named_parameters())
    for name, saved, zip_format in [
        ("zip", state, True), ("parameters", parameters, True), ("old", state, False),
    ]:  # fmt: skip
        path = tmp_path / f"{name}.pth"
        torch.save(saved, path, _use_new_zipfile_serialization=zip_format)
        network, arrays = read_heads(path)
        assert network == "alex"
        for i in range(5):
            expected = state[f"lin{i}.model.1.weight"].numpy().ravel()
            np.testing.assert_array_equal(arrays[f"head{i}/kernel"], expected)


def test_pytorch_reads_what_these_tests_write(tmp_path):
    tensors = backbone_tensors("alex")
    loaded = torch.load(torch_files.save(tmp_path / "net.pth", tensors), weights_only=True)
    for key, array in tensors.items():
        np.testing.assert_array_equal(loaded[key].numpy(), array)
