"""`--resize` in all commands that have it: Pillow's Lanczos filter, by hand."""

import csv
import io
import json

import numpy as np
import pytest
from checking import assert_official, numbers
from PIL import Image

from lpips_tf._support.resizing import Resizing
from lpips_tf_cli.console.metric_options import MetricOptions


@pytest.fixture
def sizes(folder, golden):
    """A reference of 64x48, and an image of 100x75 that shows another picture."""
    reference = Image.fromarray(golden["small0"][1]).resize((64, 48))
    image = Image.fromarray(golden["small1"][2]).resize((100, 75))
    for place, one in (("r", reference), ("i", image)):
        (folder / place).mkdir()
        one.save(folder / place / "a.png")
    return folder / "r/a.png", folder / "i/a.png"


def by_hand(build, paths, size):
    resized = [
        np.asarray(Image.open(path).resize(size, Image.Resampling.LANCZOS)) for path in paths
    ]
    return numbers(build()(*(image[None] for image in resized)))[0]


@pytest.mark.parametrize(
    ("text", "size"), [("reference", (64, 48)), ("50x40", (50, 40)), ("36", (48, 36))]
)
def test_pairs_are_resized_as_by_hand(run, sizes, build, text, size):
    expected = by_hand(build, sizes, size)
    shown = f"{size[0]}x{size[1]}"
    code, out, err = run("pair", *sizes, "--resize", text)
    assert (code, err) == (0, "")
    assert out == f"{sizes[1]}: {expected:.3f} (resized to {shown})\n"
    _, out, _ = run("pair", *sizes, "--resize", text, "--json")
    (row,) = json.loads(out)
    assert row["resized"] == shown
    assert_official(row["distance"], expected)
    folders = [path.parent for path in sizes]
    _, out, err = run("dirs", *folders, "--resize", text, "-o", "-")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["resized"] == shown
    assert_official(float(row["distance"]), expected)
    assert f"resized to {shown}" in err


def test_a_report_says_that_images_were_resized(run, sizes, tmp_path):
    page = tmp_path / "page.html"
    folders = [path.parent for path in sizes]
    assert run("dirs", *folders, "--resize", "reference", "--report", page)[0] == 0
    assert "<dt>resized to</dt><dd>64x48</dd>" in page.read_text()


def test_all_pairs_are_resized_as_by_hand(run, sizes, build, tmp_path):
    (tmp_path / "both").mkdir()
    for i, path in enumerate(sizes):
        path.rename(tmp_path / f"both/{i}.png")
    paths = [tmp_path / f"both/{i}.png" for i in range(2)]
    for text, size in (("40x40", (40, 40)), ("36", (48, 36))):
        code, out, _ = run("all-pairs", tmp_path / "both", "--resize", text)
        assert code == 0
        assert out.splitlines()[0] == f"0.png, 1.png: {by_hand(build, paths, size):.3f}"
        assert out.endswith(f"resized to {text}\n")
    code, _, err = run("all-pairs", tmp_path / "both")
    assert (code, "use --resize" in err) == (1, True)


def test_an_index_keeps_how_images_were_resized(run, sizes, build, tmp_path):
    index = tmp_path / "index.h5"
    code, _, _ = run("index", sizes[0].parent, "-o", index, "--resize", "50x40")
    assert code == 0
    code, out, _ = run("search", index, sizes[1])
    assert (code, out) == (0, f"{sizes[1]}, a.png: {by_hand(build, sizes, (50, 40)):.3f}\n")
    code, _, err = run("index", sizes[0].parent, "-o", index, "--resize", "50x40", "--size", "64")
    assert (code, "--size" in err) == (2, True)


def test_beam_resizes_as_pillow_does(run, sizes, build, tmp_path):
    pytest.importorskip("apache_beam")
    import pyarrow.parquet

    manifest, output = tmp_path / "pairs.csv", tmp_path / "out.parquet"
    manifest.write_text(f"reference,image\n{sizes[0]},{sizes[1]}\n{sizes[0]},{tmp_path}/none\n")
    code, out, err = run("score", manifest, "-o", output, "--resize", "reference")
    assert (code, err) == (1, "")
    assert "1 distance, 1 error" in out
    rows = {row["image"]: row for row in pyarrow.parquet.read_table(output).to_pylist()}
    found, failed = rows[str(sizes[1])], rows[f"{tmp_path}/none"]
    assert (found["resized"], failed["resized"]) == ("64x48", None)
    assert_official(found["distance"], by_hand(build, sizes, (64, 48)))


def test_other_proportions_are_told(run, sizes, tmp_path):
    square = tmp_path / "square.png"
    Image.open(sizes[1]).resize((70, 70)).save(square)
    code, _, err = run("pair", sizes[0], square, square, sizes[1], "--resize", "reference")
    assert (code, err.count("\n")) == (0, 1)
    assert f"{square} of 70x70 pixels, of 64x48 (and 1 other)" in err


@pytest.mark.parametrize(
    "text", ["0x0", "0", "64x", "x64", "-64", "64x64x3", "ref", "1e3", "", "99999x99999"]
)
def test_other_sizes_are_wrong_usage(run, sizes, monkeypatch, text):
    monkeypatch.setattr(MetricOptions, "load", lambda _: pytest.fail("worked for nothing"))
    code, out, err = run("pair", *sizes, "--resize", text)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"Received: {text}" in err


def test_sizes_that_do_not_fit_are_told(run, sizes):
    code, _, err = run("all-pairs", sizes[0].parent, "--resize", "reference")
    assert (code, "no image is the reference" in err) == (2, True)
    code, _, err = run("pair", *sizes, "--resize", "16")
    assert (code, err.count("\n")) == (1, 1)
    assert "21x16" in err
    code, _, err = run("pair", *sizes, "--resize", "64", "--tile", "64")
    assert (code, "--tile" in err) == (2, True)
    with pytest.raises(ValueError, match="9999x39996000"):
        Resizing("9999").of_image((1, 4000))
