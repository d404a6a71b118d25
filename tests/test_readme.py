"""Every snippet and command of the README runs, and prints what the README says."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch_files
from conftest import ROOT
from made_bapps import write_photographs

import lpips_tf.export
from lpips_tf_cli import main
from tfds_bapps import tree
from weights_conversion.checkpoints import HEAD_CHANNELS

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# What `make` and `pip` do is tried by .ci/run, which consists of these commands.
SETUP = {
    "make demo", "make test", "make test EXTRAS=test,parity,tfds", "make test-backends",
    "make lint", "make web",
    "python -m http.server -d build/web", # tests/test_web.py serves it so
    "python scripts/download_bapps.py --val-only bapps", # tests/test_download_bapps.py
    "pip install .", "pip install --no-deps . && pip install keras jax h5py pillow typer rich",
}  # fmt: skip


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with what the commands name."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for folder, picture in (("results", "noisy"), ("originals", "reference")):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / f"examples/pictures/{picture}.png", tmp_path / folder / "cat.png")
    heads = {
        f"lin{i}.model.1.weight": np.ones((1, c, 1, 1), "f4")
        for i, c in enumerate(HEAD_CHANNELS["alex"])
    }
    torch_files.save(tmp_path / "alex.pth", heads)
    for split in tree.splits("2afc"):
        write_photographs(tmp_path / "bapps", "2afc", split, 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_same_text(printed, expected):
    """The same words, and the same numbers but for rounding, which differs between processors."""
    number = r"\d+\.\d+"
    assert re.sub(number, "#", printed) == re.sub(number, "#", expected)
    received = [float(n) for n in re.findall(number, printed)]
    assert received == pytest.approx([float(n) for n in re.findall(number, expected)], abs=1.1e-3)


def test_python(workplace, capsys):
    lpips_tf.export.export_saved_model(lpips_tf.LPIPS(), "served", warmup=False)
    names: dict = {}
    snippets = [
        code for language, code in BLOCKS
        if language == "python" and "grpc" not in code  # tests/test_serving.py
    ]  # fmt: skip
    assert len(snippets) >= 4
    for code in snippets:
        exec(compile(code, "README.md", "exec"), names)
    first, score = capsys.readouterr().out.splitlines()[:2]
    assert_same_text(first, "tf.Tensor([0.1731537], shape=(1,), dtype=float32)")
    assert re.fullmatch(r"[01]\.\d{3} \([01]\.\d+, [01]\.\d+\)", score)
    assert [batch["ref"].shape for batch in names["triplets"]] == [(3, 64, 64, 3)]
    assert (workplace / "heads.h5").exists()
    assert names["maps"].shape == (8, 64, 64, 1)
    assert names["embeddings"].shape == (8, 31872)
    assert names["matrix"].shape == (8, 8)
    above = names["matrix"][np.triu_indices(8, 1)]
    assert names["diversity"] == pytest.approx(above.mean(), rel=1e-5)


def printed_by(command, run_program):
    """What a command line prints. Ours run in this process, which has loaded TensorFlow."""
    program, *arguments = shlex.split(command)
    if program != "lpips-tf":
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout
    output = arguments.pop() if ">" in arguments else None
    if output:
        assert arguments.pop() == ">"
    code, printed, _ = run_program(main.main, *arguments)
    assert code == 0
    if output:
        Path(output).write_text(printed)
    return "" if output else printed


def test_commands(workplace, run_program, monkeypatch):
    monkeypatch.setenv("LPIPS_TF_HOME", str(workplace / "home"))
    commands = 0
    for language, text in BLOCKS:
        if language != "console":
            continue
        for call in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, expected = call.split("\n", 1)
            printed = printed_by(command, run_program)
            if "weights_conversion" in command:  # what it says of PyTorch depends on the machine
                printed = printed.splitlines(keepends=True)[-1]
            if "lpips-tf train" in command:  # on other data
                printed, expected = (re.sub(r"\d+\.\d%", "#", text) for text in (printed, expected))
            assert_same_text(printed, expected)
            commands += 1
    assert commands >= 6


def test_setup_commands_are_those_of_the_makefile_and_ci():
    lines = [
        re.sub(r"\s+#.*", "", line)
        for language, text in BLOCKS if language == "sh" for line in text.splitlines()
    ]  # fmt: skip
    assert set(lines) == SETUP
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in lines if line.startswith("make")} <= targets


def test_links():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
