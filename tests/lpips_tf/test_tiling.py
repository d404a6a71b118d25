"""Distances of windows of a picture equal those of the whole."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from checking import NETS, numbers
from PIL import Image
from skimage import data

from lpips_tf import images, tiling
from lpips_tf._networks.receptive_fields import receptive_fields
from lpips_tf_cli import main
from lpips_tf_cli.distances import tiff


def pair(height, width, seed=0):
    """A photograph, and a noisy, brightened copy; sharp detail up to all borders."""
    photograph = np.tile(data.astronaut(), (3, 3, 1))[:height, :width]
    noise = np.random.default_rng(seed).normal(8, 20, photograph.shape)
    return photograph, np.clip(photograph + noise, 0, 255).astype("uint8")


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("size", [(401, 333), (512, 257), (200, 640)])
def test_equals_the_whole_picture(build, net, size):
    in0, in1 = pair(*size)
    expected, layers = build(net)(in0[None], in1[None], return_per_layer=True)
    found, found_layers = tiling.tiled_distance(
        build(net), in0, in1, tile=128, return_per_layer=True
    )
    assert found == pytest.approx(float(numbers(expected)[0]), rel=1e-5)
    assert found_layers == pytest.approx([float(numbers(x)[0]) for x in layers], rel=1e-5)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.slow
def test_any_size(build, net):
    """Every remainder by the largest stride, 16."""
    metric = build(net)
    for side in range(256, 256 + 16):
        in0, in1 = pair(side, 130, seed=side)
        expected = float(numbers(metric(in0[None], in1[None]))[0])
        assert tiling.tiled_distance(metric, in0, in1, tile=128) == pytest.approx(
            expected, rel=1e-5
        )


@pytest.mark.parametrize("net", NETS)
def test_the_map(build, net):
    in0, in1 = pair(301, 277)
    expected = numbers(build(net, spatial=True)(in0[None], in1[None]))[0, ..., 0]
    with tiling.tiled_maps(build(net), in0, in1, tile=128) as (distance, rows):
        found = np.concatenate([rows(0, 100), rows(100, 101), rows(101, 301)])
    assert distance == pytest.approx(tiling.tiled_distance(build(net), in0, in1, tile=128))
    np.testing.assert_allclose(found, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_receptive_fields_are_what_the_network_sees(build, net):
    """A pixel changes exactly the positions that see it."""
    network = build(net).backbone
    image = np.random.default_rng(0).normal(0, 1, (1, 400, 40, 3)).astype("float32")
    changed = image.copy()
    changed[:, 200] += 1e3
    fields = receptive_fields(network)
    before, after = network(image), network(changed)
    for field, x, y in zip(fields, before, after, strict=True):
        seen = np.nonzero(np.any(numbers(x) != numbers(y), axis=(0, 2, 3)))[0]
        starts = np.arange(x.shape[1]) * field.stride
        sees = (starts + field.first <= 200) & (starts + field.last >= 200)
        assert list(seen) == list(np.nonzero(sees)[0])


class Watched:
    """A picture that notes which windows of it are read."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.windows = pixels, pixels.shape, []

    def __getitem__(self, place):
        self.windows.append(self.pixels[place].shape)
        return self.pixels[place]


def test_reads_windows_only_and_tells_how_far(build, tmp_path):
    in0, in1 = pair(700, 500)
    np.save(tmp_path / "in0.npy", in0)
    lazy = np.load(tmp_path / "in0.npy", mmap_mode="r"), Watched(in1)
    told = []
    found = tiling.tiled_distance(
        build(), *lazy, tile=160, progress=lambda done, count: told.append((done, count))
    )
    assert found == tiling.tiled_distance(build(), in0, in1, tile=160)
    assert told == [(i, 20) for i in range(1, 21)]
    assert max(max(window[:2]) for window in lazy[1].windows) <= 160 + 80 + 97


def test_floats_and_options(build):
    in0, in1 = pair(300, 310)
    metric = build("alex", version="0.0", lpips=False, value_range=(0, 1))
    expected = float(numbers(metric(in0[None], in1[None]))[0])
    found = tiling.tiled_distance(metric, in0 / 255, (in1 / 255).astype("float32"), tile=96)
    assert found == pytest.approx(expected, rel=1e-5)
    broken = (in1 / 255).astype("float32")
    broken[280, 5, 1] = np.nan
    assert np.isnan(tiling.tiled_distance(metric, in0 / 255, broken, tile=96))


@pytest.mark.parametrize(
    ("shape0", "shape1", "tile", "message"),
    [
        ((90, 90, 3), (90, 91, 3), 96, r"one shape.*\(90, 90, 3\), in1.shape=\(90, 91, 3\)"),
        ((1, 90, 90, 3), (1, 90, 90, 3), 96, r"\(H, W, 3\). Received: in0.shape=\(1, 90"),
        ((90, 30, 3), (90, 30, 3), 96, "at least 31x31 pixels for net='alex'. Received: 90x30"),
        ((90, 90, 3), (90, 90, 3), 95, "at least 96 pixels, the margin.* Received: tile=95"),
        ((90, 90, 3), (90, 90, 3), -1, "at least 96 pixels"),
    ],
)
def test_refuses(build, shape0, shape1, tile, message):
    with pytest.raises(ValueError, match=message):
        tiling.tiled_distance(build(), np.zeros(shape0, "u1"), np.zeros(shape1, "u1"), tile=tile)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """a.tif and b.tif in tiles, and b.png; 301 x 277."""
    in0, in1 = pair(301, 277)
    options = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb"}
    tifffile.imwrite(tmp_path / "a.tif", in0, **options)
    tifffile.imwrite(tmp_path / "b.tif", in1, **options)
    Image.fromarray(in1).save(tmp_path / "b.png")
    monkeypatch.chdir(tmp_path)
    return in0, in1


def test_command(run_program, files, build):
    expected = numbers(build(spatial=True)(*(x[None] for x in files)))[0, ..., 0]
    Image.fromarray(files[1]).save("named.tif", format="png")
    for name in ("b.tif", "b.png", "named.tif"):
        code, out, err = run_program(
            main.main, "pair", "a.tif", name, "--tile", 128, "--json", "--map", "map.tif"
        )
        assert (code, err) == (0, "")
        distance = float(numbers(build()(*(x[None] for x in files)))[0])
        assert json.loads(out)[0]["distance"] == pytest.approx(distance, rel=1e-5)
        np.testing.assert_allclose(tifffile.imread("map.tif"), expected, atol=2e-6, rtol=1e-5)
    assert tifffile.TiffFile("map.tif").pages[0].is_tiled


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
    pixels, _ = pair(120, 130)
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
def test_command_refuses(run_program, files, tmp_path, arguments, code, message):
    Image.new("RGB", (64, 64)).save("c.png")
    Path("text.tif").write_text("Cats.")
    Path("cut.tif").write_bytes(Path("b.tif").read_bytes()[:100_000])
    before = sorted(tmp_path.iterdir())
    found, out, err = run_program(main.main, "pair", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_names_the_extra(run_program, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    code, _, err = run_program(main.main, "pair", "a.tif", "b.tif", "--tile", "128")
    assert (code, err.count("\n")) == (1, 1)
    assert 'TIFF files need tifffile, which is not installed: pip install "lpips-tf[tiles]"' in err
