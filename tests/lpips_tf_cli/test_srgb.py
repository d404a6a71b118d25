"""Images with a colour profile are compared by their numbers, or with `--srgb` by their colours."""

import pytest
from image_contents import ADOBE
from PIL import Image

from lpips_tf import images


@pytest.fixture
def folder(tmp_path, golden):
    """Images with numbers of Adobe RGB in `wide`, and the same colours as sRGB in `plain`."""
    for name in ("wide", "plain"):
        (tmp_path / name).mkdir()
    for i, image in enumerate(golden["small0"][:3]):
        wide = tmp_path / f"wide/{i}.png"
        Image.fromarray(image).save(wide, icc_profile=ADOBE)
        Image.fromarray(images.load(wide, srgb=True)).save(tmp_path / f"plain/{i}.png")
    return tmp_path


COMMANDS = {
    "pair": ["pair", "wide/0.png", "plain/0.png"],
    "dirs": ["dirs", "wide", "plain"],
    "all-pairs": ["all-pairs", "wide"],
    "duplicates": ["duplicates", "wide"],
    "index": ["index", "wide", "-o", "wide.h5"],
    "optimize": [
        "optimize",
        "wide/0.png",
        "--init",
        "wide/1.png",
        "-o",
        "out.png",
        "--steps",
        "1",
        "--net",
        "alex",
    ],
}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(arguments, id=name, marks=[pytest.mark.slow] * (name not in ("pair", "dirs")))
        for name, arguments in COMMANDS.items()
    ],
)
def test_profiles_are_told_once_unless_converted(run, folder, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    code, _, err = run(*arguments)
    assert (code, err.count("\n")) == (0, 1)
    assert "warning: Images with the colour profile Wide are read as if" in err
    code, _, err = run(*arguments, "--srgb")
    assert (code, err) == (0, "")


def test_converted_images_of_the_same_colours_are_0_apart(run, folder, monkeypatch):
    monkeypatch.chdir(folder)
    heatmap = ["--heatmap", "map.png"]
    _, raw, _ = run("pair", "wide/0.png", "plain/0.png")
    _, converted, _ = run("pair", "wide/0.png", "plain/0.png", "--srgb", *heatmap)
    assert float(raw.split()[-1]) > 0.005
    assert float(converted.split()[-1]) == 0
    _, out, _ = run("dirs", "wide", "plain", "--srgb", "--report", "report.html")
    assert "mean: 0.00000 ± 0.00000 (3 pairs)" in out
    run("index", "plain", "-o", "plain.h5")
    _, out, _ = run("search", "plain.h5", "wide/2.png", "-k", "1", "--srgb")
    assert out == "wide/2.png, 2.png: 0.000\n"
