"""What heads train on when features are cached is what the metric computes from the images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers

import lpips_tf
from lpips_tf import feature_cache, training


@pytest.fixture(scope="module")
def triplets():
    rng = np.random.default_rng(0)
    ref = rng.integers(0, 256, (7, 8, 8, 3)).repeat(6, 1).repeat(6, 2)
    noise = rng.normal(0, 40, (2, *ref.shape))
    images = (ref, *np.clip(ref + noise, 0, 255))
    return tuple(x.astype("uint8") for x in images), rng.uniform(0, 1, 7).astype("float32")


def dataset(triplets):
    (ref, p0, p1), judge = triplets
    columns = {"ref": ref, "p0": p0, "p1": p1, "judge": judge}
    return tf.data.Dataset.from_tensor_slices(columns)


def cached(metric, triplets, tmp_path, batch_size=3):
    path = tmp_path / "features.npy"
    feature_cache.write(path, metric, dataset(triplets), batch_size)
    return feature_cache.read(path, metric)


def loss_and_gradients(model, inputs, judge):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=judge, y_pred=model(inputs, training=True))
    return [float(loss), *map(numbers, tape.gradient(loss, model.trainable_variables))]


@pytest.mark.slow
def test_loss_and_gradients_equal_those_from_images(triplets, tmp_path):
    images, judge = triplets
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS(head_weights=None, dropout=0)
    full, fast = training.RankingModel(metric), training.CachedRankingModel(metric)
    fast.ranking.set_weights(full.ranking.get_weights())
    records = cached(metric, triplets, tmp_path)
    np.testing.assert_array_equal(records["judge"], judge)
    expected = loss_and_gradients(full, images, judge)
    received = loss_and_gradients(fast, records["differences"], records["judge"])
    assert len(expected) == 1 + 5 + 6
    for x, y in zip(received, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5 * np.abs(y).max())


@pytest.mark.slow
def test_noise_has_the_moments_of_dropout(triplets, tmp_path):
    draws_of_each = 200
    images = tuple(x[:12, :32, :32] for x in triplets[0])
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS(dropout=0.3)
    full, fast = training.RankingModel(metric), training.CachedRankingModel(metric)
    records = cached(metric, (images, triplets[1][:12]), tmp_path)
    still = np.stack([numbers(d) for d in full.distances(images)])
    draws = {
        name: np.array([[numbers(d) for d in step(inputs)] for _ in range(draws_of_each)])
        for name, step, inputs in (
            ("full", tf.function(lambda x: full.distances(x, training=True)), images),
            ("fast", tf.function(lambda x: fast.distances(x, training=True)),
             tf.constant(records["differences"])),
        )
    }  # fmt: skip
    for values in draws.values():
        error = values.std(0) / draws_of_each**0.5
        assert (np.abs(values.mean(0) - still) < 5 * error).all()
    # A standard deviation of 200 normal draws is off by 5% (one standard error).
    np.testing.assert_allclose(draws["fast"].std(0), draws["full"].std(0), rtol=0.3)
    ratio = draws["fast"].std(0) / draws["full"].std(0)
    assert ratio.mean() == pytest.approx(1, abs=0.05)


def test_the_key_is_of_data_network_version_and_weights():
    metrics = [
        lpips_tf.LPIPS(), lpips_tf.LPIPS(version="0.0"), lpips_tf.LPIPS("vgg"),
        lpips_tf.LPIPS(backbone_weights=None), lpips_tf.LPIPS(dtype="mixed_bfloat16"),
        lpips_tf.LPIPS(value_range=(0, 1)),
    ]  # fmt: skip
    keys = [feature_cache.key(metric, "data") for metric in metrics]
    keys.append(feature_cache.key(metrics[0], "other data"))
    assert len(set(keys)) == 7
    again = lpips_tf.LPIPS(head_weights=None)  # heads do not matter
    assert feature_cache.key(again, "data") == keys[0]


def test_heads_do_not_matter(triplets, tmp_path):
    expected = cached(lpips_tf.LPIPS(), triplets, tmp_path)["differences"].copy()
    found = cached(lpips_tf.LPIPS(lpips=False), triplets, tmp_path)["differences"]
    np.testing.assert_array_equal(found, expected)


def test_a_file_is_whole_or_not_there(triplets, tmp_path):
    told = []

    def stop(done, total):
        told.append((done, total))
        assert not (tmp_path / "x.npy").exists()
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature_cache.write(tmp_path / "x.npy", lpips_tf.LPIPS(), dataset(triplets), 2, stop)
    assert told == [(2, 7), (4, 7)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_data_and_files_that_cannot_be_cached_are_refused(triplets, tmp_path):
    metric = lpips_tf.LPIPS()
    with pytest.raises(ValueError, match=r"known length. Received: cardinality -1"):
        feature_cache.write(tmp_path / "x.npy", metric, dataset(triplets).repeat())
    with pytest.raises(ValueError, match=r"in \[0, 1\]. Received: judge with 5"):
        cached(metric, (triplets[0], triplets[1] * 0 + 5), tmp_path)
    assert list(tmp_path.iterdir()) == []
    cached(metric, triplets, tmp_path)
    with pytest.raises(ValueError, match=r"2, 2, 1472.*features.npy with .*2, 2, 1152"):
        feature_cache.read(tmp_path / "features.npy", lpips_tf.LPIPS("vgg"))
    (tmp_path / "damaged.npy").write_bytes((tmp_path / "features.npy").read_bytes()[:1000])
    for name in ("damaged.npy", "none.npy"):
        with pytest.raises(OSError, match=name):
            feature_cache.read(tmp_path / name, metric)
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(OSError, match=r"pickled\.npy"):
        feature_cache.read(tmp_path / "pickled.npy", metric)
    with pytest.raises(ValueError, match=r"'heads'. Received: mode='tune'"):
        training.CachedRankingModel(metric, "tune")
