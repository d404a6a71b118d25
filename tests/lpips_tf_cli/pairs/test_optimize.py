"""`lpips-tf optimize`, as a person calls it."""

import functools
import re

import numpy as np
import pytest
from checking import numbers
from PIL import Image

import lpips_tf
from lpips_tf_cli.reports import descents


@pytest.fixture
def optimize(run):
    """`optimize(*arguments)`: exit code, standard output and standard error."""
    return functools.partial(run, "optimize")


@pytest.fixture
def folder(tmp_path, monkeypatch, photos):
    """ref.png, and img.png of the same size (64x48)."""
    for name, image in zip(("ref", "img"), photos, strict=True):
        Image.fromarray(image[0, :48]).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_optimize_moves_an_image_towards_the_reference(optimize, folder, build):
    code, out, err = optimize("ref.png", "--init", "img.png", "-o", "out.png", "--steps", 12)
    assert (code, err) == (0, "")
    before, after = (
        float(d) for d in re.fullmatch(r"img.png: (.*)\nout.png: (.*)\n", out).groups()
    )
    assert after < before / 2
    reference, start, result = (
        lpips_tf.images.load(f"{n}.png")[None] for n in ("ref", "img", "out")
    )
    assert result.shape == reference.shape
    metric = build("vgg")
    assert before == pytest.approx(numbers(metric(reference, start))[0], abs=6e-4)
    assert after == pytest.approx(numbers(metric(reference, result))[0], abs=6e-4)
    assert sorted(path.name for path in folder.iterdir()) == ["img.png", "out.png", "ref.png"]


@pytest.mark.slow
def test_frames_go_from_the_start_to_the_result_beside_a_curve(optimize, folder):
    code, *_ = optimize(
        "ref.png", "--init", "img.png", "-o", "out.png", "--steps", 5, "--net", "alex",
        "--frames", 3, "--curve", "curve.svg", "--learning-rate", 0.02,
    )  # fmt: skip
    assert code == 0
    strip, result = lpips_tf.images.load("out-frames.png"), lpips_tf.images.load("out.png")
    assert strip.shape == (48, 3 * 64, 3)
    first, middle, last = np.split(strip, 3, axis=1)
    np.testing.assert_array_equal(first, lpips_tf.images.load("img.png"))
    np.testing.assert_array_equal(last, result)
    assert not np.array_equal(middle, first)
    assert not np.array_equal(middle, last)
    assert "LPIPS (alex 0.1)" in (folder / "curve.svg").read_text()


def test_values_stay_in_the_range_of_8_bits(optimize, folder):
    """A step beyond white ends at white; uint8 would wrap to black."""
    Image.new("RGB", (64, 48), "white").save("ref.png")
    Image.new("RGB", (64, 48), "#e0e0e0").save("img.png")
    options = ("--steps", 1, "--net", "alex", "--learning-rate", 0.5)
    code, *_ = optimize("ref.png", "--init", "img.png", "-o", "out.png", *options)
    assert code == 0
    values = lpips_tf.images.load("out.png")
    assert values.max() == 255
    assert values.min() >= 224 - 64


def test_an_image_that_equals_its_reference_stays(optimize, folder):
    options = ("--steps", 2, "--net", "alex")
    code, out, _ = optimize("ref.png", "--init", "ref.png", "-o", "out.png", *options)
    assert (code, out) == (0, "ref.png: 0.000\nout.png: 0.000\n")
    np.testing.assert_array_equal(lpips_tf.images.load("out.png"), lpips_tf.images.load("ref.png"))


def test_an_interrupted_descent_writes_nothing(optimize, folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(descents, "save_distance_curve", interrupted)
    arguments = ("ref.png", "--init", "img.png", "-o", "out.png", "--steps", 1, "--net", "alex")
    code, *_ = optimize(*arguments, "--frames", 2, "--curve", "curve.png")
    assert code == 130
    assert sorted(path.name for path in folder.iterdir()) == ["img.png", "ref.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--init", "img.png"], 2, "Missing option"),
        (["-o", "out.png"], 2, "Missing option"),
        (["--init", "img.png", "-o", "out.jpg"], 2, r"ends in .png. Received: out.jpg"),
        (["--init", "img.png", "-o", "ref.png"], 2, "that nothing else names. Received: ref.png"),
        (["--init", "img.png", "-o", "./img.png"], 2, "that nothing else names"),
        (["--init", "img.png", "-o", "o.png", "--curve", "o.png"], 2, "nothing else names"),
        (["--init", "img.png", "-o", "o.png", "--curve", "c.txt"], 2, "Received: c.txt"),
        (["--init", "img.png", "-o", "o.png", "--curve", "o-frames.png", "--frames", 2], 2, "else"),
        (["--init", "img.png", "-o", "o.png", "--steps", 0], 2, "--steps"),
        (["--init", "img.png", "-o", "o.png", "--frames", 1], 2, "2 to 201 frames"),
        (["--init", "img.png", "-o", "o.png", "--frames", 9, "--steps", 3], 2, "2 to 4 frames"),
        (["--init", "img.png", "-o", "o.png", "--learning-rate", 0], 2, "above 0. Received: 0"),
        (["--init", "img.png", "-o", "o.png", "--learning-rate", "inf"], 2, "Received: inf"),
        (["--init", "img.png", "-o", "no/o.png"], 1, "Cannot write no/o.png"),
        (["--init", "none.png", "-o", "o.png"], 1, "There is none at none.png"),
        (
            ["--init", "wide.png", "-o", "o.png"],
            1,
            r"ref.png of 64x48 pixels and wide.png of 70x48",
        ),
        (["--init", "text.png", "-o", "o.png"], 1, "no image of a known format"),
    ],
)
def test_wrong_options_of_optimize_are_one_line(optimize, folder, arguments, code, message):
    Image.new("RGB", (70, 48)).save("wide.png")
    (folder / "text.png").write_text("no image")
    before = sorted(folder.iterdir())
    received, out, err = optimize("ref.png", "--net", "alex", *arguments)
    assert (received, out, err.count("\n")) == (code, "", 1)
    assert re.search(message, err)
    assert sorted(folder.iterdir()) == before
