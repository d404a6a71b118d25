"""Heads that are trained on a metric's noisy answers judge as that metric does."""

import keras
import official
import pytest
import taught

import lpips_tf
from lpips_tf import feature_cache, scores, training

pytestmark = [
    pytest.mark.skipif(not official.INSTALLED, reason="PyTorch and lpips are not installed"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Keras' own, of shuffling
]
TRAINED, HELD_OUT, EPOCHS, RATE = 4000, 600, 5, 2e-3


@pytest.fixture(scope="module")
def data():
    return taught.triplets(TRAINED + HELD_OUT)


@pytest.mark.parametrize("cached", [False, True])
def test_recovers_the_teacher(data, cached, tmp_path):
    known, held_out = data.part(slice(TRAINED)), data.part(slice(TRAINED, None))
    keras.utils.set_random_seed(0)
    metric = lpips_tf.LPIPS(head_weights=None)
    _, *before = taught.compared(metric, held_out)
    kind = training.CachedRankingModel if cached else training.RankingModel
    model = kind(metric)
    model.compile(training.optimizer(RATE))
    model.fit(*inputs(metric, known, cached, tmp_path), batch_size=50, epochs=EPOCHS, verbose=0)

    _, agrees, correlation = taught.compared(metric, held_out)
    teacher = scores.two_afc_score(held_out.d0, held_out.d1, held_out.judge)
    assert 0.8 < teacher < 0.95  # people are noisy
    assert agrees >= 0.95 * teacher
    assert correlation >= 0.95
    # Random heads are not far off; most of what they lack is learnt.
    assert 1 - agrees < 0.5 * (1 - before[0])
    assert 1 - correlation < 0.5 * (1 - before[1])


def inputs(metric, data, cached, folder):
    if not cached:
        return data.images, data.judge
    path = folder / "features.npy"
    list(feature_cache.write(path, metric, data.dataset))
    records = feature_cache.read(path, metric)
    return records["differences"], records["judge"]
