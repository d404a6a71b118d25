"""Convolutions of three dimensions, as TensorFlow needs them for single images without AVX-512."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import lpips_tf
from lpips_tf._backend import kernels

# (side, stride, padding)
LAYERS = [(1, 1, "SAME"), (3, 1, "SAME"), (5, 1, "SAME"), (3, 2, "VALID"), (11, 4, "VALID")]


def slow_single_images(monkeypatch, slow):
    monkeypatch.setattr(kernels, "_single_images_are_slow", lambda: slow)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(11, 40), st.integers(11, 40)),
    layer=st.sampled_from(LAYERS),
    seed=st.integers(0, 99),
)
def test_three_dimensions_give_the_convolution_of_two(sizes, layer, seed):
    side, stride, padding = layer
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(*sizes, 3)).astype("float32")
    kernel = rng.normal(size=(side, side, 3, 5)).astype("float32")
    bias = rng.normal(size=5).astype("float32")
    expected, found = (
        kernels.convolution(*map(tf.constant, (images, kernel, bias)), stride, padding, depth)
        for depth in (False, True)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * side**2)


@pytest.mark.parametrize("net", ["alex", pytest.param("squeeze", marks=pytest.mark.slow)])
@pytest.mark.parametrize("compiled", [False, True])
def test_both_give_the_same_distances_and_gradients(build, net, compiled, monkeypatch):
    in0, in1 = np.random.default_rng(1).uniform(-1, 1, (2, 1, 65, 48, 3)).astype("float32")
    found = []
    for slow in (False, True):
        slow_single_images(monkeypatch, slow)
        metric = lpips_tf.LPIPS(net, backbone_weights=None)
        metric.set_weights(build(net).get_weights())

        def gradient(in0, in1, metric=metric):
            with tf.GradientTape() as tape:
                tape.watch(in1)
                distance = metric(in0, in1)
            return distance, tape.gradient(distance, in1)

        call = tf.function(gradient) if compiled else gradient
        found.append([numbers(result) for result in call(tf.constant(in0), tf.constant(in1))])
        assert numbers(metric(in0, in0)) == 0
    (distance, slope), (distance3, slope3) = found
    np.testing.assert_allclose(distance3, distance, rtol=1e-5)
    np.testing.assert_allclose(slope3, slope, atol=1e-5 * np.abs(slope).max())


def dimensions(metric, number):
    """The kinds of convolution in the graph of a metric for `number` pairs."""
    spec = tf.TensorSpec((number, None, None, 3))
    graph = tf.function(metric).get_concrete_function(spec, spec).graph.as_graph_def()
    functions = [graph.node, *(function.node_def for function in graph.library.function)]
    return {node.op for nodes in functions for node in nodes if "Conv" in node.op}


def test_graphs_of_several_images_and_for_other_processors_have_two(monkeypatch):
    slow_single_images(monkeypatch, True)
    metric = lpips_tf.LPIPS()
    assert dimensions(metric, None) == dimensions(metric, 1) == {"Conv3D"}
    assert dimensions(metric, 2) == {"Conv2D"}
    with kernels.portable():
        assert dimensions(lpips_tf.LPIPS(), None) == {"Conv2D"}
    slow_single_images(monkeypatch, False)
    assert dimensions(lpips_tf.LPIPS(), None) == {"Conv2D"}


def test_exports_do_not_depend_on_the_processor(monkeypatch, tmp_path):
    slow_single_images(monkeypatch, True)
    metric = lpips_tf.LPIPS()
    folder = lpips_tf.export.export_saved_model(metric, tmp_path, warmup=False)
    metric.export(tmp_path / "keras", verbose=False)
    for exported in (folder, tmp_path / "keras"):
        assert b"Conv3D" not in (exported / "saved_model.pb").read_bytes()


def test_models_of_symbols_have_the_same_distances(monkeypatch, build):
    slow_single_images(monkeypatch, True)
    inputs = [keras.Input((None, None, 3)) for _ in range(2)]
    model = keras.Model(inputs, lpips_tf.LPIPS()(*inputs))
    pair = list(np.random.default_rng(2).uniform(-1, 1, (2, 1, 40, 33, 3)).astype("float32"))
    np.testing.assert_allclose(numbers(model(pair)), numbers(build()(*pair)), rtol=1e-5)
