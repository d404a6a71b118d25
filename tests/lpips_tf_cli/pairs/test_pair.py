"""`lpips-tf pair`, as a person calls it."""

import json

import numpy as np
import pytest
from checking import SQUEEZENET, needs_squeezenet
from PIL import Image

from lpips_tf.weights import weight_files
from weights_conversion import read_backbone


def test_pair_prints_what_the_official_implementation_says(run, folder, golden):
    images = [folder / "d1" / "0.png", folder / "d0" / "0.png"]
    code, out, err = run("pair", folder / "d0" / "0.png", *images)
    expected = golden["alex/0.1/lpips/small"][0]
    assert (code, err) == (0, "")
    assert out == f"{images[0]}: {expected:.3f}\n{images[1]}: 0.000\n"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["--net", "vgg"], "vgg/0.1/lpips"),
        (["--net", "vgg", "--version", "0.0"], "vgg/0.0/lpips"),
        (["--baseline"], "alex/0.1/baseline"),
    ],
)
def test_options_choose_the_network_the_version_and_the_baseline(run, folder, golden, options, key):
    code, out, _ = run("pair", folder / "d0/2.png", folder / "d1/2.png", "--json", *options)
    assert code == 0
    (row,) = json.loads(out)
    assert row["reference"] == str(folder / "d0/2.png")
    assert row["image"] == str(folder / "d1/2.png")
    assert row["distance"] == pytest.approx(golden[f"{key}/small"][2], rel=1e-5)


@needs_squeezenet
def test_squeezenet_is_read_from_lpips_tf_home(run, folder, golden, monkeypatch):
    weights = weight_files.Weights("backbone", *read_backbone(SQUEEZENET))
    weight_files.write(folder / "squeeze_imagenet.h5", weights)
    monkeypatch.setenv("LPIPS_TF_HOME", str(folder))
    code, out, _ = run("pair", folder / "d0/0.png", folder / "d1/0.png", "--net", "squeeze")
    assert code == 0
    assert f": {golden['squeeze/0.1/lpips/small'][0]:.3f}\n" in out


def test_a_transparent_image_is_told_once(run, folder, golden):
    alpha = np.zeros((64, 64, 1), "uint8")
    path = folder / "d0/0.png"
    Image.fromarray(np.concatenate([golden["small0"][0], alpha], 2)).save(path)
    code, _, err = run("pair", path, folder / "d1/0.png", folder / "d1/1.png")
    assert code == 0
    assert err == f"lpips-tf: warning: {path} is transparent in places, and is laid over white\n"
