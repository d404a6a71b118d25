"""The programs in `examples/` run; what they show takes minutes, so here they take few steps."""

import re
import subprocess
import sys

import pytest
from checking import ROOT
from PIL import Image


@pytest.mark.slow
def test_the_super_resolution_example_trains_and_compares(tmp_path):
    command = [sys.executable, ROOT / "examples/super_resolution.py", "--steps", "3", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    rows = re.findall(r"^(\w+), (.+): PSNR (.+) dB, LPIPS (.+)$", done.stdout, re.MULTILINE)
    assert [row[:2] for row in rows] == [
        (name, how) for name in ("chelsea", "coffee") for how in ("bicubic", "MSE", "MSE + LPIPS")
    ]
    assert all(10 < float(psnr) < 50 and 0 < float(distance) < 1 for *_, psnr, distance in rows)
    with Image.open(tmp_path / "super_resolution.jpg") as sheet:
        assert sheet.size == (768, 464)


@pytest.mark.slow
def test_the_autoencoder_example_trains_and_writes_its_logs(tmp_path):
    command = [sys.executable, ROOT / "examples/autoencoder.py", "--epochs", "1", "--images", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    (found,) = re.findall(r"val_loss: (.+) - val_lpips: (.+)$", done.stdout, re.MULTILINE)
    assert all(0.1 < float(number) < 1.5 for number in found)
    assert {path.name for path in (tmp_path / "logs").iterdir()} >= {"lpips_images", "validation"}
