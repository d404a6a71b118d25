"""The command `python -m weights_conversion`."""

import functools
import hashlib
import re
import sys

import numpy as np
import pytest
import torch_files
from torch_files import head_tensors

import weights_conversion
from lpips_tf.weights import weight_files
from weights_conversion import __main__ as command


@pytest.fixture
def run(run_program):
    """Runs the command with these arguments."""
    return functools.partial(run_program, command.main)


@pytest.mark.parametrize("net", ["alex", pytest.param("vgg", marks=pytest.mark.slow), "squeeze"])
def test_a_backbone_is_converted_with_its_source(run, tmp_path, net):
    state = torch_files.backbone_state(net)
    checkpoint, output = torch_files.save(tmp_path / "net.pth", state), tmp_path / "net.h5"
    code, out, _ = run("backbone", checkpoint, "-o", output, "--license", "mine")
    assert code in (0, None)
    assert f"{output}: backbone of {net}, " in out
    assert out.endswith("written\n")
    weights = weight_files.read(output)
    assert (weights.kind, weights.network, weights.version) == ("backbone", net, "")
    assert (weights.source, weights.license) == ("net.pth", "mine")
    assert weights.source_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def test_heads_are_converted_once(run, tmp_path):
    checkpoint = torch_files.save(tmp_path / "alex.pth", head_tensors("alex"))
    arguments = ("heads", checkpoint, "-o", tmp_path / "a.h5", "--version", "0.0", "--source", "us")
    code, out, _ = run(*arguments)
    assert code in (0, None)
    assert "heads of alex, 1,152 numbers, written" in out
    weights = weight_files.read(tmp_path / "a.h5")
    assert (weights.kind, weights.version, weights.source) == ("heads", "0.0", "us")
    _, out, _ = run(*arguments)
    assert "1,152 numbers, unchanged" in out


def test_the_difference_from_pytorch_is_printed_per_layer(run, tmp_path):
    pytest.importorskip("torch")
    checkpoint = torch_files.save(tmp_path / "net.pth", torch_files.backbone_state("squeeze"))
    _, out, err = run("backbone", checkpoint, "-o", tmp_path / "net.h5")
    assert "largest difference from PyTorch" in out
    differences = [float(line.split(": ")[1]) for line in out.splitlines() if "  tap" in line]
    assert len(differences) == 7
    assert max(differences) < 1e-5
    assert err == ""


def test_a_wrong_conversion_is_not_kept(run, tmp_path, monkeypatch):
    """The comparison can fail: a kernel that is turned gives other features."""
    pytest.importorskip("torch")
    read = weight_files.read

    def read_turned(path):
        weights = read(path)
        name = "fire9_expand3x3/kernel"
        turned = {name: np.ascontiguousarray(weights.arrays[name][::-1])}
        return weight_files.dataclasses.replace(weights, arrays=dict(weights.arrays) | turned)

    checkpoint = torch_files.save(tmp_path / "net.pth", torch_files.backbone_state("squeeze"))
    monkeypatch.setattr(weight_files, "read", read_turned)
    code, _, err = run("backbone", checkpoint, "-o", tmp_path / "net.h5")
    assert code == 1
    assert "nothing was written" in err
    assert not (tmp_path / "net.h5").exists()


def test_a_conversion_without_pytorch_says_that_it_is_not_compared(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "weights_conversion.proof", raising=False)
    monkeypatch.delattr(weights_conversion, "proof", raising=False)
    checkpoint = torch_files.save(tmp_path / "alex.pth", head_tensors("alex"))
    code, out, err = run("heads", checkpoint, "-o", tmp_path / "a.h5", "--version", "0.1")
    assert code in (0, None)
    assert "Not compared with PyTorch, which is not installed" in err
    assert "written" in out


def other_shapes():
    state = torch_files.backbone_state("alex")
    state["features.0.weight"] = np.ascontiguousarray(state["features.0.weight"][:, :2])
    return state


def not_finite():
    state = torch_files.backbone_state("alex")
    state["features.3.bias"] = state["features.3.bias"] * np.nan
    return state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backbone", "none.pth", "-o", "a.h5"], r"There is none at none\.pth"),
        (["backbone", ".", "-o", "a.h5"], "Received a folder"),
        (["backbone", "text.pth", "-o", "a.h5"], r"Cannot read text\.pth"),
        (["heads", "heads.pth", "-o", "no/a.h5", "--version", "0.1"], r"Cannot write no/a\.h5"),
        (["backbone", "heads.pth", "-o", "a.h5"], "alexnet, vgg16 or"),
        (["backbone", "shapes.pth", "-o", "a.h5"], r"\(11, 11, 3, 64\).*shapes\.pth"),
        (["backbone", "nan.pth", "-o", "a.h5"], r"finite weights.*nan\.pth"),
    ],
)
@pytest.mark.parametrize("with_torch", [True, False])
def test_what_fails_is_one_line_and_writes_nothing(
    run, tmp_path, monkeypatch, arguments, message, with_torch
):
    if not with_torch:
        monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.pth").write_text("hello")
    torch_files.save(tmp_path / "heads.pth", head_tensors("alex"))
    torch_files.save(tmp_path / "shapes.pth", other_shapes())
    torch_files.save(tmp_path / "nan.pth", not_finite())
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("weights_conversion: ")
    assert err.count("\n") == 1
    assert re.search(message, err)
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["-o", "a.h5", "--version", "1"], "Expected 0.1 or 0.0. Received: 1"),
        (["-o", "a.txt", "--version", "0.1"], "ends in .h5. Received: a.txt"),
        (["-o", "a.h5"], "--version"),
    ],
)
def test_wrong_options_of_a_conversion_are_one_line(run, tmp_path, options, part):
    checkpoint = torch_files.save(tmp_path / "alex.pth", head_tensors("alex"))
    code, out, err = run("heads", checkpoint, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert part in err
