"""`lpips-tf pair --mask`: which pixels count."""

import json

import numpy as np
import pytest
from checking import numbers
from PIL import Image


@pytest.fixture
def mask(folder):
    """A soft mask of the size of the images, and its file."""
    weights = np.linspace(0, 255, 64 * 64).reshape(64, 64).round().astype("uint8")
    Image.fromarray(weights).save(folder / "mask.png")
    return weights, folder / "mask.png"


@pytest.mark.slow
def test_pixels_count_as_the_mask_says(run, folder, golden, build, mask):
    weights, path = mask
    pair = (folder / "d0/1.png", folder / "d1/1.png", folder / "d1/2.png")
    code, out, err = run("pair", *pair, "--mask", path, "--json")
    assert (code, err) == (0, "")
    reference = golden["small0"][[1, 1]]
    expected = build()(reference, golden["small1"][1:3], mask=np.stack([weights] * 2))
    found = [row["distance"] for row in json.loads(out)]
    np.testing.assert_allclose(found, numbers(expected), rtol=1e-5)
    heatmap = folder / "map.png"
    code, drawn, _ = run("pair", *pair, "--mask", path, "--json", "--heatmap", heatmap)
    assert (code, drawn) == (0, out)
    with Image.open(heatmap) as drawn_map:
        assert drawn_map.size[0] > 500


def test_a_white_mask_changes_nothing(run, folder):
    Image.new("L", (64, 64), 255).save(folder / "white.png")
    plain = run("pair", folder / "d0/1.png", folder / "d1/1.png", "--json")
    assert plain == run(
        "pair", folder / "d0/1.png", folder / "d1/1.png", "--json", "--mask", folder / "white.png"
    )


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("L", (63, 64), 255), "the images' size, 64x64 pixels. Received: 63x64"),
        (Image.new("L", (64, 64)), "a mask that is not all black. Received: "),
        (Image.new("RGB", (64, 64), "red"), "a grey image as the mask. Received: "),
        (Image.new("LA", (64, 64), (255, 0)), "is transparent in places"),
    ],
)
def test_masks_that_cannot_be_are_refused(run, folder, image, message):
    image.save(folder / "mask.png")
    code, out, err = run(
        "pair", folder / "d0/1.png", folder / "d1/1.png", "--mask", folder / "mask.png",
        "--heatmap", folder / "map.png",
    )  # fmt: skip
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert not (folder / "map.png").exists()


def test_masks_are_not_for_tiles_and_not_written_over(run, folder, mask):
    _, path = mask
    code, _, err = run(
        "pair", folder / "d0/1.png", folder / "d1/1.png", "--mask", path, "--tile", 128
    )
    assert (code, "no --tile" in err) == (2, True)
    code, _, err = run(
        "pair", folder / "d0/1.png", folder / "d1/1.png", "--mask", path, "--heatmap", path
    )
    assert code != 0
    with Image.open(path) as kept:
        assert kept.size == (64, 64)
    code, _, err = run("pair", folder / "d0/1.png", folder / "d1/1.png", "--mask", folder / "no")
    assert (code, err.count("\n")) == (1, 1)
