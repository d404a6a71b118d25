"""Equal to the official PyTorch implementation on real images, on every Keras backend."""

import numpy as np
import pytest
from benchmarks.gradients import gradient
from checking import OFFICIAL_NETS, assert_official, assert_official_gradient, numbers
from keras import ops

VERSIONS = ["0.1", "0.0"]
SETS = ["small", "odd", "large"]


@pytest.mark.parametrize("kind", ["lpips", "baseline"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("net", OFFICIAL_NETS)
def test_distances_and_layers_are_the_official_ones(golden, build, net, version, kind):
    metric = build(net, version=version, lpips=kind == "lpips")
    for name in SETS:
        distance, layers = metric(golden[f"{name}0"], golden[f"{name}1"], return_per_layer=True)
        key = f"{net}/{version}/{kind}/{name}"
        assert_official(distance, golden[key])
        assert_official(np.stack([numbers(x) for x in layers], 1), golden[f"{key}/layers"])


@pytest.mark.parametrize("net", OFFICIAL_NETS)
def test_maps_are_the_official_ones(golden, build, net):
    maps = build(net, spatial=True)(golden["odd0"], golden["odd1"])
    assert_official(maps, golden[f"{net}/0.1/lpips/odd/spatial"][..., None])


@pytest.mark.parametrize("net", OFFICIAL_NETS)
def test_gradients_are_the_official_ones(golden, build, net):
    in0, in1 = (golden[key].astype("float32") / 127.5 - 1 for key in ("odd0", "odd1"))
    expected = golden[f"{net}/0.1/lpips/odd/gradient"]
    metric = build(net)
    received = gradient(lambda x: ops.sum(metric(in0, x)), in1)
    assert_official_gradient(received, expected)
