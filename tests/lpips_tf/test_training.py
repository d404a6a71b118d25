"""The ranking model computes and trains what the official trainer does."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from benchmarks import official
from checking import ROOT, SQUEEZENET, numbers

import lpips_tf
from lpips_tf import scores, training

needs_official = pytest.mark.skipif(
    not official.INSTALLED, reason="PyTorch and lpips are not installed"
)


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


@needs_official
def test_loss_and_gradients_equal_the_official_ranking_loss():
    lpips, torch = official.import_lpips(), pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = lpips.BCERankingLoss()
    ours = training.RankingModel(lpips_tf.LPIPS())
    dense = [layer for layer in ours.ranking.layers if layer.weights]
    convolutions = [layer for layer in theirs.net.model if hasattr(layer, "weight")]
    for layer, convolution in zip(dense, convolutions, strict=True):
        kernel = convolution.weight.detach().numpy()[:, :, 0, 0].T
        layer.set_weights([kernel, convolution.bias.detach().numpy()])
    rng = np.random.default_rng(0)
    d0, d1 = rng.exponential(size=(2, 200)).astype("float32")
    judge = (rng.integers(0, 6, 200) / 5).astype("float32")

    inputs = [torch.from_numpy(d[:, None, None, None]).requires_grad_(True) for d in (d0, d1)]
    expected = theirs(*inputs, torch.from_numpy(judge[:, None, None, None]) * 2 - 1)
    expected.backward()
    with tf.GradientTape() as tape:
        x = [tf.constant(d0), tf.constant(d1)]
        tape.watch(x)
        loss = ours.compute_loss(y=judge, y_pred={"logit": ours.rank(*x)})
    assert float(loss) == pytest.approx(expected.item(), rel=1e-6)
    gradients = tape.gradient(loss, [*x, *ours.ranking.trainable_variables])
    others = [p for c in convolutions for p in (c.weight, c.bias)]
    for ours_, theirs_ in zip(gradients, [t.grad for t in (*inputs, *others)], strict=True):
        theirs_ = theirs_.numpy().reshape(theirs_.shape[0], -1).T.reshape(ours_.shape)
        np.testing.assert_allclose(ours_.numpy(), theirs_, atol=1e-7, rtol=1e-4)


@needs_official
def test_steps_equal_the_official_optimisers():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = rng.normal(size=50).astype("float32")
    # As small as those of heads, some as small as epsilon.
    gradients = (rng.normal(size=(6, 50)) * 10.0 ** rng.uniform(-9, -4, 50)).astype("float32")
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    steps = torch.optim.Adam([theirs], lr=1e-2, betas=(0.5, 0.999))  # as in lpips.Trainer
    ours, optimizer = keras.Variable(start), training.optimizer(1e-2)
    optimizer.build([ours])
    update = tf.function(lambda gradient: optimizer.apply([gradient], [ours]))
    for gradient in gradients:
        theirs.grad = torch.from_numpy(gradient)
        steps.step()
        update(tf.constant(gradient))
        np.testing.assert_allclose(numbers(ours), theirs.detach().numpy(), atol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert (type(again), again.epsilon, again.beta_1) == (training.Adam, 1e-8, 0.5)


def test_fits_heads_and_leaves_the_backbone(triplets):
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


def test_reports_the_loss_and_the_agreement(triplets, build):
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


def test_drops_differences_in_training_only(triplets):
    (ref, p0, p1), _ = triplets
    model = training.RankingModel(lpips_tf.LPIPS())
    inputs = (ref[:4], p0[:4], p1[:4])
    still = [numbers(model(inputs)["distances"]) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    dropped = [numbers(model(inputs, training=True)["distances"]) for _ in range(2)]
    assert (dropped[0] != dropped[1]).all()


@pytest.mark.parametrize("mode", ["tune", "scratch"])
def test_trains_the_backbone_too(triplets, mode):
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS(
        backbone_weights=None if mode == "scratch" else "imagenet", head_weights=None
    )
    model = training.RankingModel(metric, mode)
    model.compile(training.optimizer(1e-3))
    before = [numbers(v) for v in metric.backbone.variables]
    history = model.fit(*triplets, batch_size=16, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    after = [numbers(v) for v in metric.backbone.variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    assert heads_of(metric).min() >= 0


TWO_DEVICES = """
import contextlib, sys
import keras, numpy as np, tensorflow as tf
import lpips_tf
from lpips_tf import training

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
rng = np.random.default_rng(0)
images = tuple(rng.integers(0, 256, (60, 32, 32, 3), "uint8") for _ in range(3))
data = tf.data.Dataset.from_tensor_slices((images, rng.uniform(0, 1, 60))).batch(20)
# Adam divides by the size of gradients, also where that is no more than rounding.
optimizer = {"heads": training.optimizer, "tune": keras.optimizers.SGD}[sys.argv[1]]


def weights(scope):
    keras.utils.set_random_seed(0)
    with scope:
        metric = lpips_tf.LPIPS(head_weights=None, dropout=0)
        model = training.RankingModel(metric, sys.argv[1])
        model.compile(optimizer(1e-2))
    history = model.fit(data, epochs=2, verbose=0).history
    return model.get_weights(), history


(one, history1) = weights(contextlib.nullcontext())
(two, history2) = weights(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())
for x, y in zip(one, two, strict=True):
    np.testing.assert_allclose(y, x, atol=1e-5)
for name in history1:
    np.testing.assert_allclose(history2[name], history1[name], atol=1e-5)
keras.utils.set_random_seed(0)
assert any(abs(x - y).max() > 1e-4 for x, y in zip(
    one, training.RankingModel(lpips_tf.LPIPS(head_weights=None)).get_weights()))
"""


@pytest.mark.parametrize("mode", ["heads", "tune"])
@pytest.mark.slow
def test_two_devices_train_as_one(mode):
    subprocess.run([sys.executable, "-c", TWO_DEVICES, mode], check=True, cwd=ROOT)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
@pytest.mark.slow
def test_heads_are_never_negative(triplets, net):
    """Nor does the constraint touch SqueezeNet's own 1x1 convolutions."""
    if net == "squeeze" and not SQUEEZENET.exists():
        pytest.skip("SqueezeNet's convolutions are not beside the repository")
    keras.utils.set_random_seed(0)
    source = SQUEEZENET if net == "squeeze" else "imagenet"
    metric = lpips_tf.LPIPS(net, backbone_weights=source, head_weights=None)
    model = training.RankingModel(metric, "tune")
    model.compile(training.optimizer(1e-3))
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
    assert [training.learning_rate(i, 1, 2, 0) for i in range(2)] == [1, 1]


def test_is_saved_with_its_weights(triplets, tmp_path):
    model = training.RankingModel(lpips_tf.LPIPS(head_weights=None))
    model.compile(training.optimizer(1e-2))
    model.fit(*triplets, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = tuple(x[:4] for x in triplets[0])
    for name, value in model(inputs).items():
        np.testing.assert_allclose(numbers(loaded(inputs)[name]), numbers(value), atol=1e-6)
    np.testing.assert_array_equal(heads_of(loaded.metric), heads_of(model.metric))


def test_refuses_other_inputs(triplets):
    ref, p0, _ = triplets[0]
    model = training.RankingModel(lpips_tf.LPIPS())
    with pytest.raises(ValueError, match=r"reference, image0, image1\). Received: \[?\(?\(2, 40"):
        model((ref[:2], p0[:2]))
    cached = training.CachedRankingModel(lpips_tf.LPIPS())
    with pytest.raises(ValueError, match=r"\(N, 2, 2, 1152\). Received: \(2, 2, 1152\)"):
        cached(np.zeros((2, 2, 1152), "float32"))


def test_refuses():
    with pytest.raises(ValueError, match=r"'heads', 'tune', 'scratch'. Received: mode='head'"):
        training.RankingModel(lpips_tf.LPIPS(), "head")
    with pytest.raises(ValueError, match=r"Received: lpips=False, spatial=False"):
        training.RankingModel(lpips_tf.LPIPS(lpips=False))
    with pytest.raises(ValueError, match=r"Received: lpips=True, spatial=True"):
        training.RankingModel(lpips_tf.LPIPS(spatial=True))


@pytest.mark.parametrize("wrong", [5, -0.2, np.nan])
def test_judgements_are_fractions(triplets, wrong):
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


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", [training.RankingModel, training.CachedRankingModel])
def test_judgements_of_data_sets_that_are_no_fractions_make_results_nan(kind, jit_compile):
    model = kind(lpips_tf.LPIPS())
    model.compile(training.optimizer(), jit_compile=jit_compile)
    images = tuple(np.zeros((3, 4, 31, 31, 3), "uint8"))
    inputs = images if kind is training.RankingModel else np.ones((4, 2, 2, 1152), "float32")
    for wrong, ended in ((0.5, np.isfinite), (5, np.isnan), (np.nan, np.isnan)):
        judge = np.float32([1, wrong, 0, 1])
        batches = tf.data.Dataset.from_tensors((inputs, judge))
        reported = model.evaluate(batches, verbose=0, return_dict=True)
        assert ended(reported["loss"]) and ended(reported["two_afc"]), (wrong, reported)


def test_answers_are_needed(triplets):
    model = training.RankingModel(lpips_tf.LPIPS())
    model.compile(training.optimizer())
    with pytest.raises(ValueError, match=r"\(\(ref, p0, p1\), judge\)\. Received: no judge"):
        model.fit(triplets[0], verbose=0)
