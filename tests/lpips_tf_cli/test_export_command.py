"""`lpips-tf export`, as a person calls it."""

import re
import resource
import sys

import pytest


@pytest.mark.slow
def test_a_full_disk_leaves_no_export(run, tmp_path, monkeypatch):
    """As far as a limit of a file's size is like one."""
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        found = [run("export", *arguments) for arguments in
                 (["saved-model", "x"], ["onnx", "x.onnx"], ["litert", "x.tflite"])]  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for (code, out, err), path in zip(found, ("x/1", "x.onnx", "x.tflite"), strict=True):
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"Cannot write {path}: File too large" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["saved-model", "/proc/x"], 1, "Cannot write /proc/x/1"),
        (["saved-model", "x", "--model-version", "0"], 2, "Expected a number of at least 1"),
        (["saved-model", "x", "--value-range", "1", "1"], 1, "value_range"),
        (["saved-model", "x", "--baseline", "--head-weights", "y"], 2, "no --baseline with it"),
        (["onnx", "x.txt"], 2, "ends in .onnx. Received: x.txt"),
        (["onnx", "none/x.onnx"], 1, "Cannot write none/x.onnx"),
        (
            ["litert", "x.tflite", "--size", "16", "64"],
            1,
            r"31x31 .*Received: input_shape=\(16, 64\)",
        ),
        (["litert", "x.tflite", "--size", "-1", "64"], 1, "height of at least 1. Received: -1"),
        (
            ["saved-model", "x", "--model-version", str(2**63)],
            2,
            "Expected a number of at most 9223372036854775807",
        ),
        (["litert", "x.onnx"], 2, "ends in .tflite. Received: x.onnx"),
        (["caffe", "x"], 2, "No such command 'caffe'"),
    ],
)
def test_wrong_options_of_export_are_one_line(run, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    found, out, err = run("export", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("tensorflow_serving", ["saved-model", "x"], "serving"),
        ("tf2onnx", ["onnx", "x.onnx"], "onnx"),
    ],
)
def test_export_names_the_extra_of_each_format(
    run, tmp_path, monkeypatch, module, arguments, extra
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    code, _, err = run("export", *arguments)
    assert (code, err.count("\n")) == (1, 1)
    assert f'pip install "lpips-tf[{extra}]"' in err
    assert list(tmp_path.iterdir()) == []
