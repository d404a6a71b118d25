"""Scores and the ranking loss equal those of the official implementation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from benchmarks import official
from benchmarks.synthetic_bapps import write_photographs
from checking import numbers
from judgements import judgements

import lpips_tf
from lpips_tf import evaluation, scores, training
from tfds_bapps import load_tree, tree

if not official.INSTALLED:
    pytest.skip("PyTorch and lpips are not installed (the extra `parity`)", allow_module_level=True)

import torch


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tree with examples for several batches of the official loader."""
    root = tmp_path_factory.mktemp("bapps")
    for mode, count in (("2afc", 210), ("jnd", 150)):
        write_photographs(root, mode, "val_traditional", count)
    return root


class OfficialLoader:
    """What the official scores take: batches of 50 by the official loader's steps."""

    def __init__(self, root, mode):
        self.arguments = (root / mode / "val/traditional", *tree.MODES[mode][:2])

    def load_data(self):
        return official.bapps_loader(*self.arguments, batch_size=50, workers=0)


def test_distances_and_2afc_of_data_equal_the_official_ones(root, build):
    lpips, theirs = official.import_lpips(), official.pretrained_metric("alex")
    loader = OfficialLoader(root, "2afc")
    with torch.no_grad():
        expected, details = lpips.score_2afc_dataset(loader, theirs)
    received = evaluation.distances(build(), load_tree(root, "2afc", "val_traditional"))
    np.testing.assert_allclose(received["d0"], details["d0s"], atol=2e-6, rtol=1e-5)
    np.testing.assert_allclose(received["d1"], details["d1s"], atol=2e-6, rtol=1e-5)
    np.testing.assert_array_equal(received["judge"], details["gts"])
    assert evaluation.score(received) == pytest.approx(expected, abs=1e-12)
    assert 0.6 < expected < 1  # the data says something


def test_distances_and_jnd_of_data_equal_the_official_ones(root, build):
    lpips, theirs = official.import_lpips(), official.pretrained_metric("alex")
    loader = OfficialLoader(root, "jnd")
    with torch.no_grad():
        expected, details = lpips.score_jnd_dataset(loader, lambda *pair: theirs(*pair).flatten())
    received = evaluation.distances(build(), load_tree(root, "jnd", "val_traditional"))
    np.testing.assert_allclose(received["distance"], details["ds"], atol=2e-6, rtol=1e-5)
    assert evaluation.score(received) == pytest.approx(expected, abs=1e-6)


def test_loss_and_gradients_equal_the_official_ranking_loss():
    lpips = official.import_lpips()
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


def test_steps_of_adam_equal_those_of_the_official_trainer():
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


@pytest.mark.parametrize("size", [1, 3, 100, 1000, 10_000])
def test_scores_of_distances_equal_the_official_scores(size):
    lpips = official.import_lpips()
    d0, d1, judge = judgements(size, ties=False)  # where the official order of ties is undefined

    class Loader:
        def load_data(self):
            columns = {"ref": np.zeros(size), "p0": d0, "p1": d1, "judge": judge, "same": judge}
            yield {name: torch.from_numpy(column) for name, column in columns.items()}

    official_two_afc, _ = lpips.score_2afc_dataset(Loader(), lambda ref, image: image)
    assert scores.two_afc_score(d0, d1, judge) == pytest.approx(official_two_afc, abs=1e-12)
    official_jnd, _ = lpips.score_jnd_dataset(Loader(), lambda p0, p1: p0)
    assert scores.jnd_score(d0, judge) == pytest.approx(official_jnd, abs=1e-12)
