"""Figures of where images differ, for notebooks and for `lpips-tf pair --heatmap`."""

import dataclasses
import os
import warnings

import numpy as np
import pytest
from checking import ROOT, numbers
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lpips_tf import plots

EXAMPLES = ROOT / "examples" / "images"


@pytest.fixture
def compared(build):
    """A reference and what was compared with it, at any size."""

    def compare(size=(176, 176), names=("noisy", "blurred")):
        reference, *others = (
            np.asarray(Image.open(EXAMPLES / f"{name}.png").convert("RGB").resize(size))
            for name in ("reference", *names)
        )
        found = build().explain(np.array([reference] * len(others)), np.array(others))
        titles = [f"{name}.png" for name in names]
        return reference, plots.comparisons(build(), found, others, titles)

    return compare


def drawn(axes):
    """The array of each image of some axes, the last on top."""
    return [image.get_array() for image in axes.get_images()]


def test_a_figure_has_the_images_and_the_map_of_each_pair(build, compared):
    reference, rows = compared()
    figure = plots.figure(reference, rows, layers=False)
    with_images = [axes for axes in figure.axes if axes.get_images()]
    assert len(with_images) == 2 * 3
    largest = max(row.map.max() for row in rows)
    for row, (left, middle, right) in zip(rows, (with_images[:3], with_images[3:]), strict=True):
        np.testing.assert_array_equal(drawn(left)[0], reference)
        np.testing.assert_array_equal(drawn(middle)[0], row.image)
        expected = numbers(build(spatial=True)(reference[None], row.image[None]))[0, ..., 0]
        np.testing.assert_allclose(drawn(right)[1], expected, atol=1e-6)
        assert right.get_images()[1].get_clim() == pytest.approx((0, largest))
        distance = numbers(build()(reference[None], row.image[None]))[0]
        assert right.get_title() == f"LPIPS {distance:.4f}"
        assert middle.get_title() == row.name
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert len(bars) == 2


def test_a_figure_with_layers_has_each_with_its_share(build, compared):
    reference, rows = compared()
    figure = plots.figure(reference, rows, layers=True)
    with_images = [axes for axes in figure.axes if axes.get_images()]
    assert len(with_images) == 2 * (3 + 5)
    for row, axes in zip(rows, (with_images[:8], with_images[8:]), strict=True):
        maps = [drawn(layer)[1] for layer in axes[3:]]
        np.testing.assert_allclose(np.sum(maps, axis=0), row.map, atol=1e-6)
        assert sum(share for _, share, _ in row.layers) == pytest.approx(1, abs=1e-5)
        _, layers = build()(reference[None], row.image[None], return_per_layer=True)
        for layer, part, (name, share, _) in zip(axes[3:], layers, row.layers, strict=True):
            assert share == pytest.approx(numbers(part)[0] / row.distance)
            assert layer.get_title() == f"{name}: {share:.0%}"
    assert [name for name, *_ in rows[0].layers] == [f"conv{i}" for i in range(1, 6)]


@pytest.mark.parametrize("size", [(176, 176), (400, 40), (40, 400), (90, 130)])
def test_a_figure_keeps_the_shape_of_images(compared, size):
    reference, rows = compared(size)
    figure = plots.figure(reference, rows, layers=True)
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        if axes.get_images():
            box = axes.get_window_extent()
            assert box.width / box.height == pytest.approx(size[0] / size[1], rel=0.01)
            low, high = axes.get_ylim()[1], axes.get_ylim()[0]
            assert (low, high) == (-0.5, size[1] - 0.5)  # upright


def test_a_figure_of_equal_images_says_zero(compared):
    reference, (row,) = compared(names=("reference",))
    figure = plots.figure(reference, [row], layers=True)
    assert [axes.get_title() for axes in figure.axes[2:4]] == ["LPIPS 0.0000", "conv1: 0%"]


def test_names_that_are_no_text_are_drawn(compared, tmp_path):
    reference, (row,) = compared(names=("noisy",))
    row = dataclasses.replace(row, name=os.fsdecode(b"\xff\xfe.png"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing glyphs
        plots.figure(reference, [row], layers=False).savefig(tmp_path / "map.svg")
    assert "</svg>" in (tmp_path / "map.svg").read_text()


def test_more_rows_than_an_image_can_have_are_refused(compared):
    reference, rows = compared((40, 400))
    with pytest.raises(ValueError, match=r"at most 51 images of this shape .* Received: 52"):
        plots.figure(reference, [rows[0]] * 52, layers=False)


@pytest.mark.parametrize("layers", [False, True])
def test_a_figure_of_arrays_is_that_of_files(compared, build, layers):
    reference, rows = compared()
    images = [row.image for row in rows]
    names = [row.name for row in rows]
    expected = plots.figure(reference, rows, layers)
    found = plots.heatmap(build(), reference, images, layers, names)
    for left, right in zip(found.axes, expected.axes, strict=True):
        assert left.get_title() == right.get_title()
        for a, b in zip(drawn(left), drawn(right), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_floats_are_drawn_in_their_range(compared, build):
    reference, (row,) = compared(names=("noisy",))
    metric = build(value_range=(0, 1))
    figure = plots.heatmap(metric, reference / np.float32(255), row.image / np.float32(255))
    for axes, image in zip(figure.axes, (reference, row.image), strict=False):
        np.testing.assert_array_equal(drawn(axes)[0], image)
    assert figure.axes[2].get_title() == f"LPIPS {row.distance:.4f}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "alex"}, r"Expected an lpips_tf.LPIPS. Received: 'alex'"),
        ({"images": []}, r"at least one image, and a name for each. Received: 0 images"),
        ({"names": ["a", "b"]}, r"Received: 1 images and 2 names"),
        ({"reference": np.zeros((1, 64, 64, 3), "uint8")}, r"Expected images of shape \(H, W, 3\)"),
        ({"layers": "yes"}, r"Expected layers"),
        ({"images": None}, r"Expected images as arrays \(H, W, 3\). Received: None"),
        ({"names": "a"}, r"Expected a sequence of names. Received: 'a'"),
    ],
)
def test_heatmap_says_what_it_cannot_draw(build, arguments, message):
    image = np.zeros((64, 64, 3), "uint8")
    given = {"metric": build(), "reference": image, "images": image} | arguments
    with pytest.raises(ValueError, match=message):
        plots.heatmap(**given)


@pytest.mark.parametrize("place", [0, 1])
def test_an_image_without_a_distance_leaves_the_scale_to_the_others(compared, build, place):
    reference, (row,) = compared(names=("noisy",))
    floats = [image.astype("float32") / 255 for image in (reference, row.image)]
    broken = floats[1].copy()
    broken[3, 4, 0] = np.nan
    images = [floats[1]]
    images.insert(place, broken)
    figure = plots.heatmap(build(value_range=(0, 1)), floats[0], images)
    maps = [axes for axes in figure.axes if axes.get_title().startswith("LPIPS")]
    assert maps[place].get_title() == "LPIPS nan"
    for axes in maps:
        assert axes.get_images()[1].get_clim() == pytest.approx((0, row.map.max()))
