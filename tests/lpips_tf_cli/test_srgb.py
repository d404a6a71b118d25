"""Images with a colour profile are compared by their numbers, or with `--srgb` by their colours."""

import numpy as np
import pytest
import tifffile
from beam_pairs import run_pipeline
from image_contents import ADOBE
from PIL import Image

from lpips_tf import images, tiling
from lpips_tf.beam import ScorePairs
from lpips_tf_cli.distances import tiff


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
    "optimize": ["optimize", "wide/0.png", "--init", "wide/1.png", "-o", "out.png", "--steps", "1"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
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


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "zlib"}])
def test_tiles_are_converted_like_whole_images(folder, golden, build, options):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (150, 140, 3), "uint8")
    path = folder / "wide.tif"
    icc = (34675, "B", len(ADOBE), ADOBE, True)
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[icc], **options)
    whole = images.load(path, srgb=True)
    with tiff.opened(path, srgb=True) as windows:
        np.testing.assert_array_equal(windows[10:90, 20:140], whole[10:90, 20:140])
        other = rng.integers(0, 256, pixels.shape, "uint8")
        distance = tiling.tiled_distance(build(), windows, other, tile=96)
    assert distance == pytest.approx(float(build()(whole[None], other[None])[0]), rel=1e-5)
    with pytest.warns(UserWarning, match="colour profile Wide"), tiff.opened(path) as windows:
        np.testing.assert_array_equal(windows[:, :], pixels)


def test_pipelines_convert_images(folder):
    pair = {"reference": str(folder / "wide/0.png"), "image": str(folder / "plain/0.png")}

    def check(found):
        assert [row["distance"] for row in found] == [0]

    run_pipeline([pair], ScorePairs(srgb=True), check)
