"""`lpips-tf pair --heatmap` draws where images differ."""

from pathlib import Path

import numpy as np
import pytest
from checking import ROOT
from PIL import Image

from lpips_tf import images

EXAMPLES = ROOT / "examples" / "images"
PAIR = EXAMPLES / "reference.png", EXAMPLES / "noisy.png"


@pytest.mark.parametrize(
    "suffix", [".png", *(pytest.param(s, marks=pytest.mark.slow) for s in (".pdf", ".svg"))]
)
def test_a_heatmap_is_drawn_in_the_format_of_its_suffix(run, tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    _, without, _ = run("pair", *PAIR)
    code, out, err = run("pair", *PAIR, "--heatmap", path, "--layers")
    assert (code, out, err) == (0, without, "")
    assert [path] == list(tmp_path.iterdir())
    content = path.read_bytes()
    if suffix == ".png":
        assert np.std(images.load(path)) > 20
    else:
        assert content.startswith((b"%PDF", b"<?xml"))


def test_names_of_files_are_drawn_as_plain_text(run, tmp_path):
    name = tmp_path / "$x_1^{$ \u540d\u524d\n.png"
    name.write_bytes(PAIR[1].read_bytes())
    code, _, err = run("pair", PAIR[0], name, "--heatmap", tmp_path / "m.png")
    assert (code, err) == (0, "")


def test_a_transparent_image_that_is_read_twice_is_told_once(run, tmp_path):
    Image.new("RGBA", (176, 176), (9, 9, 9, 9)).save(tmp_path / "a.png")
    code, _, err = run("pair", PAIR[0], tmp_path / "a.png", "--heatmap", tmp_path / "m.png")
    assert (code, err.count("transparent in places")) == (0, 1)


@pytest.mark.parametrize("name", ["a.png", "link.png", "../images/b.png"])
def test_a_heatmap_does_not_replace_an_image_that_is_compared(run, tmp_path, monkeypatch, name):
    folder = tmp_path / "images"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for file, source in (("a.png", PAIR[0]), ("b.png", PAIR[1])):
        Path(file).write_bytes(source.read_bytes())
    Path("link.png").symlink_to("a.png")
    code, _, err = run("pair", "a.png", "b.png", "--heatmap", name)
    assert code == 2
    assert f"Expected a file that is not read as well. Received: {name}" in err
    assert Path("a.png").read_bytes() == PAIR[0].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--layers"], 2, "Expected --heatmap with it"),
        (["--heatmap", "x.jpeg"], 2, "ends in .png or .pdf or .svg. Received: x.jpeg"),
        (["--heatmap", "none/x.png"], 1, "Cannot write none/x.png: No such file or directory"),
        (["--heatmap", f"{'y' * 300}.png"], 1, "y.png: File name too long"),
    ],
)
def test_wrong_options_of_a_heatmap_are_one_line(
    run, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    found, out, err = run("pair", *PAIR, *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []
