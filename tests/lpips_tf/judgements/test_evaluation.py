"""Distances and scores of data sets, whatever the metric and the batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from benchmarks.synthetic_bapps import write_photographs
from checking import numbers

import lpips_tf
import tfds_bapps
from lpips_tf import evaluation
from lpips_tf.baselines import DSSIM, L2
from tfds_bapps import tree


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tree of 33 examples of each mode, and of one that TFDS wants as well."""
    root = tmp_path_factory.mktemp("bapps")
    write_photographs(root, "jnd", "val_traditional", 1)
    for mode in tree.MODES:
        write_photographs(root, mode, "val_cnn", 33)
    return root


def examples(root, mode):
    return tfds_bapps.load_tree(root, mode, "val_cnn")


def direct(metric, root, mode):
    """The same by calls of the metric on single examples."""
    names = ("ref", "p0", "p1") if mode == "2afc" else ("p0", "p1")
    rows = []
    for example in tfds.as_numpy(examples(root, mode)):
        first, *others = (example[name][None] for name in names)
        rows.append([float(numbers(metric(first, other))[0]) for other in others])
    return np.array(rows).T


@pytest.mark.parametrize("mode", list(tree.MODES))
@pytest.mark.parametrize("metric", [L2(), DSSIM("RGB")], ids=lambda m: m.name)
def test_baselines_in_batches_equal_single_calls(metric, mode, root):
    received = evaluation.distances(metric, examples(root, mode), batch_size=10)
    names = ("d0", "d1") if mode == "2afc" else ("distance",)
    for name, expected in zip(names, direct(metric, root, mode), strict=True):
        np.testing.assert_allclose(received[name], expected, atol=1e-6)


def test_any_function_of_two_batches_is_a_metric(root):
    def brightness(in0, in1):
        means = (tf.reduce_mean(tf.cast(x, tf.float32), (1, 2, 3)) for x in (in0, in1))
        return tf.abs(tf.subtract(*means))

    received = evaluation.distances(brightness, examples(root, "2afc"))
    expected = direct(brightness, root, "2afc")
    np.testing.assert_allclose([received["d0"], received["d1"]], expected, atol=1e-4)


def test_the_order_of_prepared_data_is_that_of_the_tree(root, tmp_path, build):
    builder = tfds.builder("bapps/jnd", data_dir=tmp_path)
    config = tfds.download.DownloadConfig(manual_dir=root)
    builder.download_and_prepare(download_config=config)
    prepared = evaluation.distances(build(), builder.as_dataset(split="val_cnn"))
    read = evaluation.distances(build(), examples(root, "jnd"), batch_size=7)
    assert list(prepared["id"]) == list(read["id"]) == [f"{i:06}" for i in range(33)]
    np.testing.assert_allclose(prepared["distance"], read["distance"], atol=1e-6)


def test_the_confidence_interval_holds_the_score_and_shrinks():
    rng = np.random.default_rng(0)
    widths = []
    for count in (100, 1600):
        d0, d1 = rng.random((2, count))
        judge = np.where(rng.random(count) < 0.7, d1 < d0, d0 < d1)
        columns = {"id": np.arange(count), "d0": d0, "d1": d1, "judge": judge.astype(float)}
        low, high = evaluation.confidence_interval(columns)
        assert low < evaluation.score(columns) < high
        widths.append(high - low)
        # A mean of n coin tosses of probability p deviates by √(p (1 - p) / n).
        assert widths[-1] == pytest.approx(2 * 1.96 * (0.7 * 0.3 / count) ** 0.5, rel=0.2)
    assert widths[1] < widths[0] / 3
    single = {name: column[:1] for name, column in columns.items()}
    assert np.isnan(evaluation.confidence_interval(single)).all()
    nameless = {name: column for name, column in columns.items() if name != "id"}
    assert evaluation.confidence_interval(nameless) == evaluation.confidence_interval(columns)
    with pytest.raises(ValueError, match=r"between 0 and 1\. Received: 95"):
        evaluation.confidence_interval(columns, 95)


def test_data_sets_of_other_features_or_without_examples_are_refused(build):
    other = tf.data.Dataset.from_tensors({"image": np.zeros((64, 64, 3), "uint8")})
    with pytest.raises(ValueError, match=r"bapps/2afc or bapps/jnd. Received: .*image"):
        evaluation.distances(build(), other)
    empty = examples_of_nothing()
    with pytest.raises(ValueError, match="Received: an empty data set"):
        evaluation.distances(build(), empty)


def examples_of_nothing():
    image = np.zeros((0, 64, 64, 3), "uint8")
    columns = {"id": np.array([], "S"), "p0": image, "p1": image, "same": np.zeros(0, "f4")}
    return tf.data.Dataset.from_tensor_slices(columns)


@pytest.mark.parametrize("metric", [lambda a, b: tf.zeros(3), lambda a, b: tf.zeros((33, 1))])
def test_a_metric_must_give_one_distance_for_each_pair(metric, root):
    with pytest.raises(ValueError, match=r"one distance for each of 33 pairs. Received: d0.shape"):
        evaluation.distances(metric, examples(root, "2afc"))


def test_batches_are_no_larger_than_the_data(root):
    data = examples(root, "jnd")
    whole = evaluation.distances(L2(), data, batch_size=10**12)
    np.testing.assert_allclose(whole["distance"], evaluation.distances(L2(), data, 5)["distance"])
    with pytest.raises(ValueError, match=r"at least 1. Received: 0"):
        evaluation.distances(L2(), data, batch_size=0)


@pytest.mark.slow
def test_two_replicas_give_the_distances_of_one(root, build, two_replicas):
    data = examples(root, "2afc")
    with two_replicas.scope():
        received = evaluation.distances(lpips_tf.LPIPS(), data, batch_size=16)  # 16, 16 and 1
    expected = evaluation.distances(build(), data)
    assert list(received["id"]) == list(expected["id"])
    for name in ("d0", "d1", "judge"):
        np.testing.assert_allclose(received[name], expected[name], atol=1e-6)


def test_evaluation_needs_the_tensorflow_backend(root, build, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"TensorFlow backend. Received: KERAS_BACKEND=jax"):
        evaluation.distances(L2, None)
