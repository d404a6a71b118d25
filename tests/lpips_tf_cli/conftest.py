"""The command in this process, and folders of images."""

import functools

import pytest
from PIL import Image

from lpips_tf_cli import main


@pytest.fixture
def run(run_program):
    """`run(*arguments)`: exit code, standard output and standard error of the command."""
    return functools.partial(run_program, main.main)


@pytest.fixture
def folder(tmp_path, golden):
    """Two folders of six images each with the same names."""
    for side in "01":
        (tmp_path / f"d{side}").mkdir()
        for i, image in enumerate(golden[f"small{side}"]):
            Image.fromarray(image).save(tmp_path / f"d{side}" / f"{i}.png")
    return tmp_path
