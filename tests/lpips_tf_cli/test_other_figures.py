"""`--with psnr,ssim`: the definitions of the figures beside LPIPS."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage


def psnr_by_hand(x, y):
    return 10 * np.log10(255**2 / np.mean((x.astype(float) - y) ** 2))


def ssim_by_hand(x, y):
    """Wang et al. 2004, of windows of 11x11 pixels within the image."""
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window /= window.sum()

    def mean(image):
        for axis in (0, 1):
            image = ndimage.correlate1d(image, window, axis)
        return image[5:-5, 5:-5]

    found = []
    for a, b in zip(
        x.transpose(2, 0, 1).astype(float), y.transpose(2, 0, 1).astype(float), strict=True
    ):
        ma, mb = mean(a), mean(b)
        va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        found.append(
            ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
        )
    return np.mean(found)


def test_psnr_and_ssim_stand_beside_each_distance(run, folder, golden):
    x, y = golden["small0"], golden["small1"]
    code, out, err = run("dirs", folder / "d0", folder / "d1", "--with", "psnr,ssim", "-o", "-")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["name", "distance", "psnr", "ssim"]
    for i, row in enumerate(rows[:5]):
        assert float(row["psnr"]) == pytest.approx(psnr_by_hand(x[i], y[i]), rel=1e-9)
        assert float(row["ssim"]) == pytest.approx(ssim_by_hand(x[i], y[i]), rel=1e-9)
    assert (rows[5]["psnr"], float(rows[5]["ssim"])) == ("inf", pytest.approx(1))
    assert "mean of psnr: inf (1 equal pair)" in err
    assert "warning" not in err
    assert "mean of ssim: 0." in err


def test_pairs_and_heat_maps_have_them_too(run, folder, golden, tmp_path):
    pair = (folder / "d0/1.png", folder / "d1/1.png", "--with", "ssim")
    expected = ssim_by_hand(golden["small0"][1], golden["small1"][1])
    code, out, _ = run("pair", *pair)
    assert (code, out.rstrip().endswith(f", ssim {expected:.4f}")) == (0, True)
    code, drawn, _ = run("pair", *pair, "--heatmap", tmp_path / "map.png", "--json")
    assert code == 0
    assert json.loads(drawn)[0]["ssim"] == pytest.approx(expected)


@pytest.mark.parametrize("text", ["lpips", "psnr,psnr", "", "psnr ssim"])
def test_other_names_are_wrong_usage(run, folder, text):
    code, out, err = run("pair", folder / "d0/1.png", folder / "d1/1.png", "--with", text)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_they_are_not_for_masks(run, folder, tmp_path):
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    code, _, err = run(
        "pair", folder / "d0/1.png", folder / "d1/1.png", "--with", "psnr",
        "--mask", tmp_path / "mask.png",
    )  # fmt: skip
    assert (code, "--mask" in err) == (2, True)
