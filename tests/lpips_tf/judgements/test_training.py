"""The ranking model trains heads and networks, and reports loss and agreement."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers

import lpips_tf
from lpips_tf import scores, training


@pytest.fixture(scope="module")
def triplets():
    """Small images, one of each pair nearer, and what five people say."""
    rng = np.random.default_rng(0)
    ref = rng.integers(0, 256, (48, 8, 8, 3)).repeat(5, 1).repeat(5, 2).astype("uint8")
    strengths = rng.uniform(0, 1, (2, 48))
    p0, p1 = (
        np.clip(ref + rng.normal(0, 1, ref.shape) * 80 * s[:, None, None, None], 0, 255)
        for s in strengths
    )
    judge = rng.binomial(5, 1 / (1 + np.exp(8 * (strengths[1] - strengths[0])))) / 5
    return (ref, p0.astype("uint8"), p1.astype("uint8")), judge.astype("float32")


def heads_of(metric):
    return np.concatenate([numbers(head.kernel) for head in metric.heads])


def test_training_fits_heads_and_leaves_the_backbone(triplets):
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS(head_weights=None)
    model = training.RankingModel(metric)
    model.compile(training.optimizer(1e-2))
    backbone = [numbers(v) for v in metric.backbone.variables]
    history = model.fit(*triplets, batch_size=16, epochs=8, verbose=0).history
    assert set(history) == {"loss", "two_afc"}
    assert history["loss"][-1] < history["loss"][0]
    for before, after in zip(backbone, metric.backbone.variables, strict=True):
        np.testing.assert_array_equal(before, numbers(after))
    assert heads_of(metric).min() == 0  # some would have become negative


def test_evaluate_reports_the_loss_and_the_agreement(triplets, build):
    (ref, p0, p1), judge = triplets
    metric = build()
    model = training.RankingModel(lpips_tf.LPIPS())
    model.compile(training.optimizer())
    reported = model.evaluate((ref, p0, p1), judge, batch_size=20, verbose=0, return_dict=True)
    d0, d1 = (numbers(d) for d in metric.distances(ref, p0, p1))
    assert reported["two_afc"] == pytest.approx(scores.two_afc_score(d0, d1, judge), abs=1e-6)
    probability = keras.ops.sigmoid(model.rank(d0, d1))
    expected = keras.losses.binary_crossentropy(judge[:, None], probability[:, None])
    assert reported["loss"] == pytest.approx(float(np.mean(expected)), rel=1e-4)


def test_differences_are_dropped_in_training_only(triplets):
    (ref, p0, p1), _ = triplets
    model = training.RankingModel(lpips_tf.LPIPS())
    inputs = (ref[:4], p0[:4], p1[:4])
    still = [numbers(model(inputs)["distances"]) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    dropped = [numbers(model(inputs, training=True)["distances"]) for _ in range(2)]
    assert (dropped[0] != dropped[1]).all()


@pytest.mark.slow
def test_tune_trains_the_backbone_too(triplets):
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS(head_weights=None)
    model = training.RankingModel(metric, "tune")
    model.compile(training.optimizer(1e-3))
    before = [numbers(v) for v in metric.backbone.variables]
    history = model.fit(*triplets, batch_size=16, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    after = [numbers(v) for v in metric.backbone.variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    assert heads_of(metric).min() >= 0


def tuned(scope):
    """Weights and history of a model that is tuned within a scope.

    By plain descent, as Adam divides by the size of gradients that are no more than rounding.
    """
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (40, 32, 32, 3), "uint8") for _ in range(3))
    data = tf.data.Dataset.from_tensor_slices((images, rng.uniform(0, 1, 40))).batch(20)
    keras.utils.set_random_seed(0)
    with scope:
        model = training.RankingModel(lpips_tf.LPIPS(head_weights=None, dropout=0), "tune")
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(1e-2))
    history = model.fit(data, epochs=2, verbose=0).history
    assert any(abs(x - y).max() > 1e-4 for x, y in zip(before, model.get_weights(), strict=True))
    return model.get_weights(), history


@pytest.mark.slow
def test_two_devices_train_as_one(two_replicas):
    one, history1 = tuned(contextlib.nullcontext())
    two, history2 = tuned(two_replicas.scope())
    for x, y in zip(one, two, strict=True):
        np.testing.assert_allclose(y, x, atol=1e-5)
    for name in history1:
        np.testing.assert_allclose(history2[name], history1[name], atol=1e-5)


@pytest.mark.slow
def test_heads_are_never_negative_and_convolutions_may_be(triplets):
    """SqueezeNet has 1x1 convolutions of its own, which the constraint must not touch."""
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS("squeeze", backbone_weights=None, head_weights=None)
    model = training.RankingModel(metric, "tune")
    model.compile(training.optimizer(1e-3), run_eagerly=True)  # compiling takes longer
    least = []
    (ref, p0, p1), judge = triplets
    for i in range(0, 48, 12):
        rows = slice(i, i + 12)
        model.train_on_batch((ref[rows], p0[rows], p1[rows]), judge[rows])
        least.append(heads_of(metric).min())
    assert min(least) == 0
    kernels = [v for v in metric.backbone.trainable_variables if v.name == "kernel"]
    assert all(numbers(kernel).min() < 0 for kernel in kernels)


def test_the_learning_rate_is_flat_and_then_falls_to_0():
    rates = [training.learning_rate(epoch) for epoch in range(10)]
    np.testing.assert_allclose(rates, [1e-4] * 6 + [8e-5, 6e-5, 4e-5, 2e-5])
    assert [training.learning_rate(i, start=1, epochs=2, decay_epochs=0) for i in range(2)] == [
        1,
        1,
    ]
    assert [training.learning_rate(i) for i in (10, 11, 50)] == [0, 0, 0]  # and never below


@pytest.mark.slow
def test_a_saved_ranking_model_has_its_weights(triplets, tmp_path):
    model = training.RankingModel(lpips_tf.LPIPS(head_weights=None))
    model.compile(training.optimizer(1e-2))
    model.fit(*triplets, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = tuple(x[:4] for x in triplets[0])
    for name, value in model(inputs).items():
        np.testing.assert_allclose(numbers(loaded(inputs)[name]), numbers(value), atol=1e-6)
    np.testing.assert_array_equal(heads_of(loaded.metric), heads_of(model.metric))


def test_inputs_of_another_number_or_shape_are_refused(triplets):
    ref, p0, _ = triplets[0]
    model = training.RankingModel(lpips_tf.LPIPS())
    with pytest.raises(ValueError, match=r"reference, image0, image1\). Received: \[?\(?\(2, 40"):
        model((ref[:2], p0[:2]))
    cached = training.CachedRankingModel(lpips_tf.LPIPS())
    with pytest.raises(ValueError, match=r"\(N, 2, 2, 1152\). Received: \(2, 2, 1152\)"):
        cached(np.zeros((2, 2, 1152), "float32"))


def test_modes_and_metrics_that_cannot_be_trained_are_refused():
    with pytest.raises(ValueError, match=r"'heads', 'tune', 'scratch'. Received: mode='head'"):
        training.RankingModel(lpips_tf.LPIPS(), "head")
    with pytest.raises(ValueError, match=r"Received: lpips=False, spatial=False"):
        training.RankingModel(lpips_tf.LPIPS(lpips=False))
    with pytest.raises(ValueError, match=r"Received: lpips=True, spatial=True"):
        training.RankingModel(lpips_tf.LPIPS(spatial=True))


@pytest.mark.parametrize("wrong", [5, -0.2, np.nan])
def test_judgements_that_are_no_fractions_are_refused(triplets, wrong):
    inputs, judge = triplets
    model = training.RankingModel(lpips_tf.LPIPS())
    model.compile(training.optimizer())
    bad = np.where(np.arange(len(judge)) == 7, wrong, judge)
    for run in (
        lambda: model.fit(inputs, bad, verbose=0),
        lambda: model.evaluate(inputs, bad, verbose=0),
        lambda: model.fit(inputs, judge, validation_data=(inputs, bad), verbose=0),
    ):
        with pytest.raises(ValueError, match=rf"in \[0, 1\]. Received: .*judge with {wrong}"):
            run()


@pytest.mark.parametrize(
    ("kind", "jit_compile"), [(training.RankingModel, False), (training.CachedRankingModel, True)]
)
def test_judgements_of_data_sets_that_are_no_fractions_make_results_nan(kind, jit_compile):
    model = kind(lpips_tf.LPIPS())
    model.compile(training.optimizer(), jit_compile=jit_compile)
    images = tuple(np.zeros((3, 4, 31, 31, 3), "uint8"))
    inputs = images if kind is training.RankingModel else np.ones((4, 2, 2, 1152), "float32")
    for wrong, ended in ((0.5, np.isfinite), (5, np.isnan), (np.nan, np.isnan)):
        judge = np.float32([1, wrong, 0, 1])
        batches = tf.data.Dataset.from_tensors((inputs, judge))
        reported = model.evaluate(batches, verbose=0, return_dict=True)
        assert ended(reported["loss"]), wrong
        assert ended(reported["two_afc"]), wrong


def test_training_without_judgements_is_refused(triplets):
    model = training.RankingModel(lpips_tf.LPIPS())
    model.compile(training.optimizer())
    with pytest.raises(ValueError, match=r"\(\(ref, p0, p1\), judge\)\. Received: no judge"):
        model.fit(triplets[0], verbose=0)
