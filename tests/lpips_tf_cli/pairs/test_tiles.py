"""`lpips-tf pair --tile` reads images by windows."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from checking import numbers
from image_contents import ADOBE
from photographs import noisy_pair
from PIL import Image

from lpips_tf import images, tiling
from lpips_tf_cli.distances import tiff

WANTED = "`make test-all` installs tifffile, zarr and imagecodecs"
for name in ("zarr", "imagecodecs"):
    pytest.importorskip(name, reason=WANTED)
tifffile = pytest.importorskip("tifffile", reason=WANTED)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """a.tif and b.tif in tiles, and b.png; 301 x 277."""
    in0, in1 = noisy_pair(301, 277)
    options = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb"}
    tifffile.imwrite(tmp_path / "a.tif", in0, **options)
    tifffile.imwrite(tmp_path / "b.tif", in1, **options)
    Image.fromarray(in1).save(tmp_path / "b.png")
    monkeypatch.chdir(tmp_path)
    return in0, in1


def test_tiles_give_the_distance_and_the_map_of_the_whole(run, files, build):
    expected = numbers(build(spatial=True)(*(x[None] for x in files)))[0, ..., 0]
    Image.fromarray(files[1]).save("named.tif", format="png")
    for name in ("b.tif", "b.png", "named.tif"):
        code, out, err = run("pair", "a.tif", name, "--tile", 128, "--json", "--map", "map.tif")
        assert (code, err) == (0, "")
        distance = float(numbers(build()(*(x[None] for x in files)))[0])
        assert json.loads(out)[0]["distance"] == pytest.approx(distance, rel=1e-5)
        np.testing.assert_allclose(tifffile.imread("map.tif"), expected, atol=2e-6, rtol=1e-5)
    with tifffile.TiffFile("map.tif") as file:
        assert file.pages[0].is_tiled


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (64, 64), "compression": "jpeg"},
        {"rowsperstrip": 1000},
        {"rowsperstrip": 7, "compression": "lzw", "predictor": True},
        {"planarconfig": "separate"},
        {"tile": (64, 64), "extrasamples": ["unassalpha"]},
        {"dtype": "uint16"},
        {"extratags": [(274, "H", 1, 6, True)]},
    ],
)
def test_tiff_files_are_read_as_other_commands_read_them(tmp_path, options):
    pixels, _ = noisy_pair(120, 130)
    if "extrasamples" in options:
        pixels = np.concatenate([pixels, np.full((120, 130, 1), 200, "uint8")], axis=-1)
    if "planarconfig" in options:
        pixels = pixels.transpose(2, 0, 1)
    if "dtype" in options:
        options, pixels = {}, pixels.astype("uint16")[..., 0] * 257
        photometric = "minisblack"
    else:
        photometric = "rgb"
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric=photometric, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transparency
        expected = images.load(tmp_path / "x.tif")
        with tiff.opened(tmp_path / "x.tif") as found:
            assert found.shape == expected.shape
            difference = np.asarray(found[3:50, 60:]).astype(int) - expected[3:50, 60:]
    assert np.abs(difference).max() <= (2 if options.get("compression") == "jpeg" else 0)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["a.tif", "b.tif", "--tile", "5"], 1, "Expected tile of at least 96"),
        (["a.tif", "b.tif", "--tile", "x"], 2, "--tile"),
        (["a.tif", "b.tif", "--map", "m.tif"], 2, "--map: Expected --tile with it, and one image"),
        (["a.tif", "b.tif", "b.png", "--tile", "128", "--map", "m.tif"], 2, "and one image"),
        (["a.tif", "b.tif", "--tile", "128", "--map", "m.png"], 2, "ends in .tif or .tiff"),
        (["a.tif", "b.tif", "--tile", "128", "--heatmap", "m.png"], 2, "Expected no --tile"),
        (["a.tif", "c.png", "--tile", "128"], 1, "of 277x301 pixels and c.png of 64x64"),
        (["a.tif", "none.tif", "--tile", "128"], 1, "There is none at none.tif"),
        (["a.tif", "text.tif", "--tile", "128"], 1, "Cannot read the image text.tif"),
        (["a.tif", "cut.tif", "--tile", "128", "--map", "m.tif"], 1, "cut.tif"),
        (["a.tif", "b.tif", "--tile", "128", "--map", "no/m.tif"], 1, "Cannot write no/m.tif"),
    ],
)
def test_wrong_options_of_tiles_are_one_line(run, files, tmp_path, arguments, code, message):
    Image.new("RGB", (64, 64)).save("c.png")
    Path("text.tif").write_text("Cats.")
    Path("cut.tif").write_bytes(Path("b.tif").read_bytes()[:100_000])
    before = sorted(tmp_path.iterdir())
    found, out, err = run("pair", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_pair_names_its_extra_where_tifffile_is_missing(run, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    code, _, err = run("pair", "a.tif", "b.tif", "--tile", "128")
    assert (code, err.count("\n")) == (1, 1)
    assert 'TIFF files need tifffile, which is not installed: pip install "lpips-tf[tiles]"' in err


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "zlib"}])
def test_tiles_are_converted_like_whole_images(tmp_path, build, options):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (150, 140, 3), "uint8")
    path = tmp_path / "wide.tif"
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
