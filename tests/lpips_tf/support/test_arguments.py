"""What the library says of arguments that cannot be meant."""

import math

import numpy as np
import pytest
import tensorflow as tf

import lpips_tf
from lpips_tf import (
    baselines,
    evaluation,
    export,
    feature_cache,
    images,
    neighbors,
    scores,
    weights,
)
from lpips_tf.baselines import L2
from lpips_tf.training import RankingModel

X = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
U = np.zeros((4, 32, 32, 3), "uint8")
RAGGED = tf.ragged.constant([[[[0.0] * 3] * 32] * 32])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": "resnet"}, r"net to be one of 'alex', 'vgg', 'squeeze'\. Received: net='resnet'"),
        ({"version": "0.2"}, r"version to be one of '0.1', '0.0'\. Received: version='0.2'"),
        ({"version": 0.1}, r"Received: version=0\.1"),
        ({"value_range": (1, 0)}, r"value_range=\(lowest, highest\).*Received: \(1, 0\)"),
        ({"value_range": 255}, "Received: 255"),
        ({"value_range": (0, float("inf"))}, r"Received: \(0, inf\)"),
    ],
)
def test_an_option_is_refused_with_what_it_may_be(options, message):
    with pytest.raises(ValueError, match=message):
        lpips_tf.LPIPS(**options)


OPTIONS = [
    {"net": ["alex"]}, {"net": None}, {"net": 1},
    {"version": 0.1},
    {"lpips": "no"}, {"lpips": 1}, {"lpips": None},
    {"spatial": "yes"}, {"spatial": 0},
    {"dropout": None}, {"dropout": "a"}, {"dropout": -0.1}, {"dropout": 1}, {"dropout": 2},
    {"dropout": math.nan}, {"dropout": True},
    {"backbone_weights": True}, {"backbone_weights": ""}, {"backbone_weights": 3},
    {"head_weights": True}, {"head_weights": ""},
    {"value_range": "01"}, {"value_range": {0: 1, 1: 2}}, {"value_range": {0, 1}},
    {"value_range": (0, 1e39)}, {"value_range": (0, 1e-60)}, {"value_range": (1e8, 1e8 + 1)},
    {"value_range": (False, True)}, {"value_range": None}, {"value_range": (0, 1, 2)},
    {"dtype": "abc"}, {"dtype": "int8"},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_of_a_metric_are_refused_by_name(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"Expected .*{name}?.*Received: "):
        lpips_tf.LPIPS(**options)


IMAGES = {
    "None": None,
    "a number": 1.0,
    "a name": "image.png",
    "a dict": {"in0": X},
    "nested lists": X.tolist(),
    "images of two sizes": [X[0], X[1, :31]],
    "objects": X.astype(object),
    "a ragged tensor": RAGGED,
    "strings": tf.constant(["a"]),
    "truth values": X > 0,
    "complex numbers": X.astype("complex64"),
    "int32": U.astype("int32"),
    "a type that Keras does not know": X.astype("longdouble"),
    "one image": X[0],
    "an empty list": [],
    "a data set": tf.data.Dataset.from_tensors(X),
}


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
def test_what_is_no_image_is_refused_by_every_call(build, images):
    for call in (
        lambda: build()(images, X),
        lambda: build()(X, images),
        lambda: build().embed(images),
        lambda: build().distances(X, images),
        lambda: build().layer_maps(images, images),
        lambda: build().normalized_features(images),
        lambda: L2()(images, X),
    ):
        with pytest.raises(ValueError, match=r"Expected .*Received: "):
            call()


def test_sequences_of_images_are_batches(build):
    for batch in (list(X), tuple(map(tf.constant, X))):
        np.testing.assert_array_equal(build()(batch, X[::-1]), build()(X, X[::-1]))


def test_graphs_of_tensorflow_1_are_refused(build):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=r"Expected .*Received: "):
        build()(tf.constant(X), tf.constant(X))


METRIC = lpips_tf.LPIPS()
TRIPLETS = tf.data.Dataset.from_tensor_slices((U, U, U))
JUDGED = tf.data.Dataset.from_tensors(
    {"id": "0", "ref": U[0], "p0": U[1], "p1": U[2], "judge": np.float32(1)}
)


def without(dataset, name):
    return dataset.map(lambda row: {key: row[key] for key in row if key != name})


CALLS = {
    "a third batch": lambda: METRIC(X, X, X),
    "weights as third": lambda: METRIC(X, X, np.ones(4)),
    "training in words": lambda: METRIC(X, X, training="no"),
    "matrix of a name": lambda: lpips_tf.distance_matrix("alex", X),
    "matrix of a baseline": lambda: lpips_tf.distance_matrix(L2(), X),
    "matrix of nothing": lambda: lpips_tf.distance_matrix(METRIC, None),
    "matrix of a number": lambda: lpips_tf.distance_matrix(METRIC, 7),
    "matrix of nested lists": lambda: lpips_tf.distance_matrix(METRIC, X.tolist()),
    "no batch size": lambda: lpips_tf.distance_matrix(METRIC, X, batch_size=None),
    "half a batch": lambda: lpips_tf.distance_matrix(METRIC, X, batch_size=1.5),
    "no memory": lambda: lpips_tf.distance_matrix(METRIC, X, max_memory=None),
    "mean of nothing": lambda: lpips_tf.mean_pairwise_distance(METRIC, None),
    "mean by nothing": lambda: lpips_tf.mean_pairwise_distance(None, X),
    "tile in words": lambda: lpips_tf.tiled_distance(METRIC, X[0], X[0], tile="a"),
    "half a tile": lambda: lpips_tf.tiled_distance(METRIC, X[0], X[0], tile=1024.5),
    "tiles of lists": lambda: lpips_tf.tiled_distance(METRIC, X[0].tolist(), X[0].tolist()),
    "tiles of nothing": lambda: lpips_tf.tiled_distance(METRIC, None, None),
    "tiles by a name": lambda: lpips_tf.tiled_distance("alex", X[0], X[0]),
    "LiteRT of one side": lambda: export.export_litert(METRIC, "a.tflite", 64),
    "LiteRT of three sides": lambda: export.export_litert(METRIC, "a.tflite", (64, 64, 3)),
    "LiteRT of half a side": lambda: export.export_litert(METRIC, "a.tflite", (64.5, 64)),
    "LiteRT of a baseline": lambda: export.export_litert(baselines.L2(), "a.tflite"),
    "ONNX of a name": lambda: export.export_onnx("alex", "a.onnx"),
    "SavedModel of nothing": lambda: export.export_saved_model(None, "served"),
    "a number in words": lambda: export.export_saved_model(METRIC, "served", number="2"),
    "half a number": lambda: export.export_saved_model(METRIC, "served", number=1.5),
    "tuples to cache": lambda: feature_cache.write("a.npy", METRIC, TRIPLETS),
    "arrays to cache": lambda: feature_cache.write("a.npy", METRIC, U),
    "no image file": lambda: images.load(None),
    "an image file by number": lambda: images.size(3),
    "a file's content in words": lambda: images.decode("image.png", "image.png"),
    "no folder": lambda: images.list_folder(None),
    "training a name": lambda: RankingModel("alex"),
    "training nothing": lambda: RankingModel(None),
    "training a baseline": lambda: RankingModel(L2()),
    "an index by a name": lambda: neighbors.Index.build("alex", U),
    "an index of images by name": lambda: neighbors.Index.build(METRIC, ["a.png"]),
    "an index without factory": lambda: neighbors.Index.build(METRIC, U, factory=None),
    "an index of no dimensions": lambda: neighbors.Index.build(METRIC, U, dimensions=0),
    "an index of half dimensions": lambda: neighbors.Index.build(METRIC, U, dimensions=1.5),
    "an index of half a seed": lambda: neighbors.Index.build(METRIC, U, seed=0.5),
    "names in one string": lambda: neighbors.Index.build(METRIC, U, names="abcd"),
    "names by number": lambda: neighbors.Index.build(METRIC, U, names=[1, 2, 3, 4]),
    "half a neighbour": lambda: neighbors.Index.build(METRIC, U).search(U[:1], k=1.5),
    "no number of neighbours": lambda: neighbors.Index.build(METRIC, U).search(U[:1], k=None),
    "half a candidate": lambda: neighbors.Index.build(METRIC, U).search(U[:1], candidates=1.5),
    "queries by name": lambda: neighbors.Index.build(METRIC, U).search("a.png"),
    "a threshold in words": lambda: list(neighbors.Index.build(METRIC, U).pairs("a")),
    "no threshold": lambda: list(neighbors.Index.build(METRIC, U).pairs(None)),
    "distances by a name": lambda: evaluation.distances("alex", JUDGED),
    "distances of arrays": lambda: evaluation.distances(METRIC, U),
    "distances of triplets alone": lambda: evaluation.distances(METRIC, TRIPLETS),
    "distances without ids": lambda: evaluation.distances(METRIC, without(JUDGED, "id")),
    "distances without p1": lambda: evaluation.distances(METRIC, without(JUDGED, "p1")),
    "distances of half batches": lambda: evaluation.distances(METRIC, JUDGED, 1.5),
    "distances of batches in words": lambda: evaluation.distances(METRIC, JUDGED, "a"),
    "scores of words": lambda: scores.two_afc_score(["a"], [1.0], [1.0]),
    "scores of matrices": lambda: scores.two_afc_score(np.ones((3, 2)), np.ones((2, 3)), [0.5] * 6),
    "weights of a path": lambda: weights.write_heads(METRIC, "heads.h5"),
    "a backbone of a path": lambda: weights.write_backbone(METRIC, "backbone.h5"),
    "an array as a Pillow image": lambda: images.from_pillow(U[0], "a"),
    "scores of several lengths": lambda: scores.two_afc_score([[1.0], [1.0, 2.0]], [1.0], [1.0]),
    "score of no columns": lambda: evaluation.score({}),
    "score of a list": lambda: evaluation.score([1.0]),
    "score without distances": lambda: evaluation.score({"judge": np.ones(2)}),
    "confidence in words": lambda: evaluation.confidence_interval({"judge": 1}, "95%"),
    "an image of floats to resize": lambda: images.resize(X[0], (8, 8)),
    "an image to resize to a side": lambda: images.resize(U[0], 8),
    "an image to resize to nothing": lambda: images.resize(U[0], (0, 8)),
    "scores of nothing": lambda: scores.jnd_score(None, [1.0]),
    "differences from nothing": lambda: feature_cache.averaged_differences(METRIC, U),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_arguments_that_cannot_be_meant_are_refused(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"Expected .*Received: "):
        call()
    assert list(tmp_path.iterdir()) == []
