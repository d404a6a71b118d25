"""The notebooks and programs in `examples/` run; what takes minutes takes few steps here."""

import json
import re
import subprocess
import sys

import pytest
from checking import ROOT
from PIL import Image

EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))


def cells(name):
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text())["cells"]


def run_notebook(name, old="", new=""):
    """Runs a notebook's code, with a line of it changed; the names that it defines."""
    code = ["".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "code"]
    assert any(old in part for part in code)
    names: dict = {}
    for part in code:
        exec(compile(part.replace(old, new) if old else part, name, "exec"), names)
    return names


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_short_and_without_outputs(name):
    assert sum(len(cell["source"]) for cell in cells(name)) < 150
    for cell in cells(name):
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", "".join(cell["source"])):
            assert (EXAMPLES / target).exists()


@pytest.mark.slow
def test_lpips_in_five_minutes(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    names = run_notebook("five_minutes", "CROPS, EPOCHS = 32, 4", "CROPS, EPOCHS = 8, 2")
    distances = dict(zip(names["images"], names["distances"], strict=True))
    assert distances["darkened"] < distances["noisy"] < distances["compressed"]
    assert names["after"]["lpips"] < names["before"]["lpips"]
    assert len(names["figure"].axes) > 4


@pytest.mark.slow
def test_the_super_resolution_example_trains_and_compares(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = run_notebook("super_resolution", "STEPS = 2500, 400", "STEPS = 3, 2")
    assert len(names["first"][0]) == 3 * names["BATCH"]
    said = capsys.readouterr().out
    rows = re.findall(r"^(\w+), (.+): PSNR (.+) dB, LPIPS (.+)$", said, re.MULTILINE)
    assert [row[:2] for row in rows] == [
        (name, how) for name in ("chelsea", "coffee") for how in ("bicubic", "MSE", "MSE + LPIPS")
    ]
    assert all(10 < float(psnr) < 50 and 0 < float(distance) < 1 for *_, psnr, distance in rows)
    with Image.open(tmp_path / "super_resolution.webp") as sheet:
        assert sheet.size == (768, 464)


@pytest.mark.slow
def test_a_study_says_which_metric_agrees_better(capsys):
    result = run_notebook("agreement_with_people")["result"]
    assert result.low < result.difference < result.high
    assert 0.5 < result.score_b < result.score_a < 0.8
    assert "LPIPS: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_autoencoder_example_trains_and_writes_its_logs(tmp_path):
    command = [sys.executable, EXAMPLES / "autoencoder.py", "--epochs", "1", "--images", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    (found,) = re.findall(r"val_loss: (.+) - val_lpips: (.+)$", done.stdout, re.MULTILINE)
    assert all(0.1 < float(number) < 1.5 for number in found)
    assert {path.name for path in (tmp_path / "logs").iterdir()} >= {"lpips_images", "validation"}
