"""`lpips-tf pair --heatmap` draws where images differ."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, numbers
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lpips_tf import images
from lpips_tf_cli import heatmaps, main

PICTURES = ROOT / "examples" / "pictures"
PAIR = PICTURES / "reference.png", PICTURES / "noisy.png"


@pytest.fixture
def compared(build):
    """A reference and what was compared with it, at any size."""

    def compare(size=(176, 176), names=("noisy", "blurred")):
        reference, *others = (
            np.asarray(Image.open(PICTURES / f"{name}.png").convert("RGB").resize(size))
            for name in ("reference", *names)
        )
        metrics = build(), build(spatial=True)
        return reference, [
            heatmaps.compare(*metrics, f"{name}.png", reference, other)
            for name, other in zip(names, others, strict=True)
        ]

    return compare


def drawn(axes):
    """The array of each picture of some axes, the last on top."""
    return [image.get_array() for image in axes.get_images()]


def test_draws_the_images_and_the_map(build, compared):
    reference, rows = compared()
    figure = heatmaps._figure(reference, rows, with_layers=False)
    pictures = [axes for axes in figure.axes if axes.get_images()]
    assert len(pictures) == 2 * 3
    largest = max(row.map.max() for row in rows)
    for row, (left, middle, right) in zip(rows, (pictures[:3], pictures[3:]), strict=True):
        np.testing.assert_array_equal(drawn(left)[0], reference)
        np.testing.assert_array_equal(drawn(middle)[0], row.image)
        expected = numbers(build(spatial=True)(reference[None], row.image[None]))[0, ..., 0]
        np.testing.assert_array_equal(drawn(right)[1], expected)
        assert right.get_images()[1].get_clim() == pytest.approx((0, largest))
        distance = numbers(build()(reference[None], row.image[None]))[0]
        assert right.get_title() == f"LPIPS {distance:.4f}"
        assert middle.get_title() == row.name
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert len(bars) == 2


def test_draws_each_layer_with_its_share(build, compared):
    reference, rows = compared()
    figure = heatmaps._figure(reference, rows, with_layers=True)
    pictures = [axes for axes in figure.axes if axes.get_images()]
    assert len(pictures) == 2 * (3 + 5)
    for row, axes in zip(rows, (pictures[:8], pictures[8:]), strict=True):
        maps = [drawn(layer)[1] for layer in axes[3:]]
        np.testing.assert_allclose(np.sum(maps, axis=0), row.map, atol=1e-6)
        assert sum(share for _, share, _ in row.layers) == pytest.approx(1, abs=1e-5)
        _, layers = build()(reference[None], row.image[None], return_per_layer=True)
        for layer, part, (name, share, _) in zip(axes[3:], layers, row.layers, strict=True):
            assert share == pytest.approx(numbers(part)[0] / row.distance)
            assert layer.get_title() == f"{name}: {share:.0%}"
    assert [name for name, *_ in rows[0].layers] == [f"conv{i}" for i in range(1, 6)]


@pytest.mark.parametrize("size", [(176, 176), (400, 40), (40, 400), (90, 130)])
def test_keeps_the_shape_of_images(compared, size):
    reference, rows = compared(size)
    figure = heatmaps._figure(reference, rows, with_layers=True)
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        if axes.get_images():
            box = axes.get_window_extent()
            assert box.width / box.height == pytest.approx(size[0] / size[1], rel=0.01)
            low, high = axes.get_ylim()[1], axes.get_ylim()[0]
            assert (low, high) == (-0.5, size[1] - 0.5)  # upright


def test_equal_images(compared):
    reference, (row,) = compared(names=("reference",))
    figure = heatmaps._figure(reference, [row], with_layers=True)
    assert [axes.get_title() for axes in figure.axes[2:4]] == ["LPIPS 0.0000", "conv1: 0%"]


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_command_draws_and_prints(run_program, tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    _, without, _ = run_program(main.main, "pair", *PAIR)
    code, out, err = run_program(main.main, "pair", *PAIR, "--heatmap", path, "--layers")
    assert (code, out, err) == (0, without, "")
    assert [path] == list(tmp_path.iterdir())
    content = path.read_bytes()
    if suffix == ".png":
        assert np.std(images.load(path)) > 20
    else:
        assert content.startswith((b"%PDF", b"<?xml"))


def test_file_names_are_only_text(run_program, tmp_path):
    name = tmp_path / "$x_1^{$ \u540d\u524d\n.png"
    name.write_bytes(PAIR[1].read_bytes())
    code, _, err = run_program(main.main, "pair", PAIR[0], name, "--heatmap", tmp_path / "m.png")
    assert (code, err) == (0, "")


def test_file_names_that_are_no_text(compared, tmp_path):
    reference, (row,) = compared(names=("noisy",))
    row = dataclasses.replace(row, name=os.fsdecode(b"\xff\xfe.png"))
    heatmaps.save(tmp_path / "map.svg", reference, [row], with_layers=False)
    assert "</svg>" in (tmp_path / "map.svg").read_text()


def test_warns_once_of_what_is_read_twice(run_program, tmp_path):
    Image.new("RGBA", (176, 176), (9, 9, 9, 9)).save(tmp_path / "a.png")
    code, _, err = run_program(
        main.main, "pair", PAIR[0], tmp_path / "a.png", "--heatmap", tmp_path / "m.png"
    )
    assert (code, err.count("transparent in places")) == (0, 1)


@pytest.mark.parametrize("name", ["a.png", "link.png", "../pictures/b.png"])
def test_does_not_write_over_an_image(run_program, tmp_path, monkeypatch, name):
    folder = tmp_path / "pictures"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for file, source in (("a.png", PAIR[0]), ("b.png", PAIR[1])):
        Path(file).write_bytes(source.read_bytes())
    Path("link.png").symlink_to("a.png")
    code, _, err = run_program(main.main, "pair", "a.png", "b.png", "--heatmap", name)
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
def test_refuses(run_program, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    found, out, err = run_program(main.main, "pair", *PAIR, *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_refuses_more_rows_than_a_picture_can_have(compared):
    reference, rows = compared((40, 400))
    with pytest.raises(ValueError, match=r"at most 51 images of this shape .* Received: 52"):
        heatmaps._figure(reference, [rows[0]] * 52, with_layers=False)
