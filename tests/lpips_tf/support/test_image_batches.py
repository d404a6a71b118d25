"""Batches that cannot be compared are refused, in words that help."""

import numpy as np
import pytest
import tensorflow as tf

import lpips_tf
from lpips_tf.baselines import DSSIM, L2

GOOD = np.zeros((1, 64, 64, 3), "uint8")


@pytest.mark.parametrize(
    ("in0", "in1", "message"),
    [
        (
            GOOD,
            np.zeros((1, 64, 65, 3), "uint8"),
            r"same shape.*\(1, 64, 64, 3\).*\(1, 64, 65, 3\)",
        ),
        (GOOD, np.zeros((2, 64, 64, 3), "uint8"), r"same shape.*\(2, 64, 64, 3\)"),
        (
            GOOD[0],
            GOOD[0],
            r"\(N, H, W, 3\), channels last; .*\. Received: in0\.shape=\(64, 64, 3\)",
        ),
        (GOOD, GOOD[0], r"Received: in1\.shape=\(64, 64, 3\)"),
        (GOOD[..., :2], GOOD[..., :2], r"Received: in0\.shape=\(1, 64, 64, 2\)"),
        (GOOD.transpose(0, 3, 1, 2),) * 2 + (r"channels last.*\(1, 3, 64, 64\)",),
        (GOOD[:, :30], GOOD[:, :30], r"at least 31x31 pixels for net='alex'.*\(1, 30, 64, 3\)"),
        (GOOD[:, :, :5], GOOD[:, :, :5], r"at least 31x31 pixels.*\(1, 64, 5, 3\)"),
        (GOOD[:0], GOOD[:0], r"at least one image\. Received: in0\.shape=\(0, 64, 64, 3\)"),
        (GOOD.astype("int32"), GOOD, r"uint8.*or floats.*in0\.dtype=int32"),
        (GOOD, GOOD.astype("int64"), r"in1\.dtype=int64"),
        (GOOD.astype(bool), GOOD, r"in0\.dtype=bool"),
    ],
)
def test_batches_that_cannot_be_compared_are_refused_in_one_line(build, in0, in1, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()(in0, in1)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"Expected .* Received: "):
        build()(in1, in0)


@pytest.mark.parametrize(("net", "least"), [("alex", 31), ("vgg", 16), ("squeeze", 17)])
def test_images_have_the_min_size_of_their_network(net, least):
    metric = lpips_tf.LPIPS(net, backbone_weights=None)
    images = np.zeros((1, least, least, 3), "uint8")
    assert metric(images, images).shape == (1,)
    with pytest.raises(ValueError, match=f"at least {least}x{least} pixels for net='{net}'"):
        metric(images[:, 1:], images[:, 1:])
    with pytest.raises(ValueError, match=f"at least {least}x{least}"):
        metric.embed(images[:, :, 1:])


def test_shapes_are_checked_within_a_graph(build):
    with pytest.raises(ValueError, match="same shape"):
        tf.function(lambda x, y: build()(x, y))(GOOD, GOOD[:, 1:])


GRAPH = [tf.TensorSpec((None, None, None, None), tf.uint8)] * 2


@pytest.mark.parametrize("metric", [lpips_tf.LPIPS(), DSSIM(), L2()], ids=lambda m: m.name)
def test_sizes_that_a_graph_knows_late_are_checked_when_it_runs(metric):
    """TensorFlow's kernels would broadcast, or end the process."""
    distance = tf.function(lambda x, y: metric(x, y), input_signature=GRAPH)
    assert distance(GOOD, GOOD).shape == (1,)
    small = GOOD[:, : metric.min_size - 1]
    for in0, in1, message in (
        (small, small, f"at least {metric.min_size}x{metric.min_size}"),
        (GOOD, GOOD.repeat(8, 0), "same shape"),
        (GOOD, GOOD[:, :50], "same shape"),
        (GOOD[:0], GOOD[:0], "at least one image"),
        (GOOD[..., :1], GOOD[..., :1], r"expected shape \[\?,\?,\?,3\]"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            distance(in0, in1)


def test_calls_without_images_are_refused(build):
    with pytest.raises(ValueError, match="Received: none"):
        build().distances(GOOD)
    with pytest.raises(ValueError, match="Received: none"):
        build().normalized_features()


def test_tensors_of_unknown_rank_are_refused(build):
    signature = [tf.TensorSpec(None, tf.float32)] * 2
    with pytest.raises(ValueError, match=r"known rank.*tf\.ensure_shape"):
        tf.function(lambda x, y: build()(x, y), input_signature=signature)(GOOD, GOOD)
