"""Maps and distances in one pass, from any metric."""

import keras
import numpy as np
import pytest
from benchmarks.gradients import gradient
from checking import OFFICIAL_NETS, assert_official, numbers
from keras import ops

import lpips_tf


@pytest.mark.parametrize("net", OFFICIAL_NETS)
def test_maps_of_any_metric_are_the_official_ones(golden, build, net):
    pair, expected = (golden["odd0"], golden["odd1"]), golden[f"{net}/0.1/lpips/odd/spatial"]
    for spatial in (False, True):
        assert_official(build(net, spatial=spatial).maps(*pair), expected[..., None])


@pytest.mark.parametrize("net", OFFICIAL_NETS)
def test_an_explanation_has_the_official_distance_and_layers(golden, build, net):
    found = build(net).explain(golden["odd0"], golden["odd1"])
    key = f"{net}/0.1/lpips/odd"
    assert_official(found.distance, golden[key])
    assert_official(np.stack([numbers(x) for x in found.layers], 1), golden[f"{key}/layers"])
    assert_official(found.map, golden[f"{key}/spatial"][..., None])


@pytest.mark.parametrize(
    ("net", "options"),
    [
        ("alex", {}),
        ("alex", {"lpips": False}),
        ("vgg", {"version": "0.0", "spatial": True}),
        ("squeeze", {}),
    ],
)
def test_layers_add_up_to_the_distance_and_their_maps_to_the_map(build, net, options):
    in0, in1 = np.random.default_rng(7).integers(0, 256, (2, 3, 45, 38, 3), "uint8")
    found = build(net, **options).explain(in0, in1)
    assert numbers(found.map).shape == (3, 45, 38, 1)
    np.testing.assert_allclose(sum(map(numbers, found.layers)), numbers(found.distance), rtol=1e-6)
    np.testing.assert_allclose(sum(map(numbers, found.layer_maps)), numbers(found.map), rtol=1e-5)
    maps, layer_maps = build(net, **options).maps(in0, in1, return_per_layer=True)
    np.testing.assert_array_equal(numbers(maps), numbers(found.map))
    for layer, expected in zip(layer_maps, found.layer_maps, strict=True):
        np.testing.assert_array_equal(numbers(layer), numbers(expected))


def test_maps_of_equal_images_are_0_and_of_images_with_nan_are_nan(build):
    images = np.random.default_rng(8).uniform(-1, 1, (2, 33, 40, 3)).astype("float32")
    broken = images.copy()
    broken[1, 2, 3, 0] = np.nan
    found = build().explain(images, broken)
    for part in (found.distance, found.map, *found.layers, *found.layer_maps):
        first, second = numbers(part)
        assert (first == 0).all()
        assert np.isnan(second).all()


@pytest.mark.slow
def test_gradients_of_maps_are_those_of_a_spatial_metric(build):
    in0, in1 = np.random.default_rng(9).uniform(-1, 1, (2, 2, 35, 33, 3)).astype("float32")
    weights = ops.convert_to_tensor(np.random.default_rng(1).random((2, 35, 33, 1)), "float32")
    found, expected = (
        gradient(lambda x, maps=maps: ops.sum(weights * maps(in0, x)), in1)
        for maps in (build().maps, build(spatial=True))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_models_take_what_either_input_knows_of_the_shape(build):
    inputs = keras.Input((None, None, 3)), keras.Input((35, 33, 3))
    model = keras.Model(inputs, build().maps(*inputs))
    assert model.output_shape == (None, 35, 33, 1)
    images = np.random.default_rng(2).uniform(-1, 1, (2, 2, 35, 33, 3)).astype("float32")
    np.testing.assert_allclose(
        numbers(model(list(images))), numbers(build().maps(*images)), rtol=1e-5, atol=1e-6
    )


def test_a_wrong_range_is_told_at_the_line_of_the_caller():
    images = np.random.default_rng(3).uniform(0, 1, (2, 2, 35, 33, 3)).astype("float32")
    for name in ("__call__", "maps", "explain"):
        with pytest.warns(UserWarning, match=r"\[0, 1\]") as told:
            getattr(lpips_tf.LPIPS(), name)(*images)
        assert {warning.filename for warning in told} == {__file__}
