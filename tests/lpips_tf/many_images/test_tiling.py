"""Distances of windows of an image equal those of the whole."""

import numpy as np
import pytest
from checking import NETS, QUICK_NETS, numbers
from photographs import noisy_pair

from lpips_tf import tiling
from lpips_tf._networks.receptive_fields import receptive_fields


@pytest.mark.parametrize("net", QUICK_NETS)
def test_tiles_give_the_distance_and_layers_of_the_whole_image(build, net):
    in0, in1 = noisy_pair(301, 277)
    expected, layers = build(net)(in0[None], in1[None], return_per_layer=True)
    found, found_layers = tiling.tiled_distance(
        build(net), in0, in1, tile=128, return_per_layer=True
    )
    assert found == pytest.approx(float(numbers(expected)[0]), rel=1e-5)
    assert found_layers == pytest.approx([float(numbers(x)[0]) for x in layers], rel=1e-5)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
@pytest.mark.slow
def test_tiles_give_the_distance_at_every_remainder_of_the_largest_stride(build, net):
    metric = build(net)
    for side in range(256, 256 + 16):
        in0, in1 = noisy_pair(side, 40, seed=side)
        expected = float(numbers(metric(in0[None], in1[None]))[0])
        assert tiling.tiled_distance(metric, in0, in1, tile=128) == pytest.approx(
            expected, rel=1e-5
        )


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_tiles_give_the_map_of_the_whole_image(build, net):
    in0, in1 = noisy_pair(213, 197)
    expected = numbers(build(net, spatial=True)(in0[None], in1[None]))[0, ..., 0]
    with tiling.tiled_maps(build(net), in0, in1, tile=128) as (distance, rows):
        found = np.concatenate([rows(0, 100), rows(100, 101), rows(101, 213)])
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
    """An image that notes which windows of it are read."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.windows = pixels, pixels.shape, []

    def __getitem__(self, place):
        self.windows.append(self.pixels[place].shape)
        return self.pixels[place]


def test_images_are_read_by_windows_and_progress_is_told(build, tmp_path):
    in0, in1 = noisy_pair(700, 500)
    np.save(tmp_path / "in0.npy", in0)
    lazy = np.load(tmp_path / "in0.npy", mmap_mode="r"), Watched(in1)
    told = []
    found = tiling.tiled_distance(
        build(), *lazy, tile=160, progress=lambda done, count: told.append((done, count))
    )
    assert found == tiling.tiled_distance(build(), in0, in1, tile=160)
    assert told == [(i, 20) for i in range(1, 21)]
    assert max(max(window[:2]) for window in lazy[1].windows) <= 160 + 80 + 97


def test_tiles_of_grey_images(build):
    in0, in1 = (image[..., :1] for image in noisy_pair(200, 210))
    expected = float(numbers(build()(in0[None], in1[None]))[0])
    assert tiling.tiled_distance(build(), in0, in1, tile=96) == pytest.approx(expected, rel=1e-5)


def test_tiles_of_floats_are_compared_as_the_metric_says(build):
    in0, in1 = noisy_pair(300, 310)
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
        (
            (90, 30, 3),
            (90, 30, 3),
            96,
            r"at least 31x31 pixels for net='alex'. Received: in0.shape=\(90, 30, 3\)",
        ),
        ((90, 90, 3), (90, 90, 3), 95, "at least 96 pixels, the margin.* Received: tile=95"),
        ((90, 90, 3), (90, 90, 3), -1, "at least 96 pixels"),
    ],
)
def test_shapes_and_tiles_that_cannot_be_are_refused(build, shape0, shape1, tile, message):
    with pytest.raises(ValueError, match=message):
        tiling.tiled_distance(build(), np.zeros(shape0, "u1"), np.zeros(shape1, "u1"), tile=tile)
