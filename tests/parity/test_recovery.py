"""Heads that are trained on a metric's noisy answers judge as that metric does.

From cached features, which give the loss and gradients of images (test_feature_cache.py);
scripts/dropout_study.py also trains from images, which takes a minute each time.
"""

import keras
import pytest
from benchmarks import official, simulated_judgements

import lpips_tf
from lpips_tf import feature_cache, scores, training

if not official.INSTALLED:
    pytest.skip("PyTorch and lpips are not installed (the extra `parity`)", allow_module_level=True)

TRAINED, HELD_OUT, EPOCHS, RATE = 1600, 300, 7, 2e-3


@pytest.fixture(scope="module")
def data():
    return simulated_judgements.triplets(TRAINED + HELD_OUT)


@pytest.mark.slow
def test_trained_heads_agree_with_the_metric_that_judged(data, tmp_path):
    known, held_out = data.part(slice(TRAINED)), data.part(slice(TRAINED, None))
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS(head_weights=None)
    _, *before = simulated_judgements.compared(metric, held_out)
    feature_cache.write(tmp_path / "features.npy", metric, known.dataset)
    records = feature_cache.read(tmp_path / "features.npy", metric)
    model = training.CachedRankingModel(metric)
    model.compile(training.optimizer(RATE))
    model.fit(records["differences"], records["judge"], batch_size=50, epochs=EPOCHS, verbose=0)

    _, agrees, correlation = simulated_judgements.compared(metric, held_out)
    teacher = scores.two_afc_score(held_out.d0, held_out.d1, held_out.judge)
    assert 0.8 < teacher < 0.95  # people are noisy
    assert agrees >= 0.95 * teacher
    assert correlation >= 0.95
    # Random heads are not far off; most of what they lack is learnt.
    assert 1 - agrees < 0.5 * (1 - before[0])
    assert 1 - correlation < 0.5 * (1 - before[1])
