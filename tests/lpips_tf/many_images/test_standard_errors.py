"""Standard errors against their definitions, and against the spread of many draws."""

import numpy as np
import pytest

import lpips_tf
from lpips_tf import pairwise, standard_errors


def squared_distances(points):
    return np.square(points[:, None] - points[None]).sum(axis=-1)


def mean_of(matrix):
    return matrix[np.triu_indices(len(matrix), 1)].mean()


@pytest.mark.parametrize("count", [3, 4, 17])
def test_the_error_of_all_pairs_is_that_of_leaving_out_each_image(count):
    matrix = squared_distances(np.random.default_rng(count).gamma(2, size=(count, 5)))
    left_out = [mean_of(np.delete(np.delete(matrix, i, axis=0), i, axis=1)) for i in range(count)]
    expected = np.sqrt((count - 1) * np.var(left_out))
    assert standard_errors.of_all_pairs(matrix) == pytest.approx(expected, rel=1e-9)


def test_errors_are_the_spread_of_means_over_many_sets():
    """Pairs taken as independent would give less than half for all pairs."""
    rng = np.random.default_rng(0)
    all_means, all_errors, next_means, next_errors = [], [], [], []
    for _ in range(1500):
        points = rng.normal(size=(40, 4)) * rng.gamma(1, size=(40, 1))
        matrix = squared_distances(points)
        neighbours = np.diagonal(matrix, 1)
        all_means.append(mean_of(matrix))
        all_errors.append(standard_errors.of_all_pairs(matrix))
        next_means.append(neighbours.mean())
        next_errors.append(standard_errors.of_consecutive_pairs(neighbours, range(39)))
    for means, errors in ((all_means, all_errors), (next_means, next_errors)):
        assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.1)
    naive = np.mean([np.std(m[np.triu_indices(40, 1)]) for m in (matrix,)]) / 780**0.5
    assert naive < 0.5 * np.std(all_means)


def test_pairs_across_a_gap_share_no_image():
    distances = [1.0, 2.0, 3.0, 5.0]
    apart = standard_errors.of_consecutive_pairs(distances, [0, 2, 4, 6])
    assert apart == pytest.approx(np.std(distances, ddof=1) / 2)
    assert standard_errors.of_consecutive_pairs(distances, [0, 1, 2, 3]) > apart


def test_too_few_images_have_no_error(build):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    assert np.isnan(standard_errors.of_all_pairs(np.zeros((2, 2))))
    assert np.isnan(standard_errors.of_consecutive_pairs([1.0], [0]))
    mean, error = lpips_tf.mean_pairwise_distance(build(), x, return_standard_error=True)
    assert mean > 0
    assert np.isnan(error)


def test_the_mean_of_embeddings_has_the_error_of_the_matrix(build, monkeypatch):
    x = np.random.default_rng(1).uniform(-1, 1, (9, 32, 32, 3)).astype("float32")
    metric = build()
    matrix = lpips_tf.distance_matrix(metric, x)
    found = lpips_tf.mean_pairwise_distance(metric, x, return_standard_error=True)
    assert found[0] == pytest.approx(lpips_tf.mean_pairwise_distance(metric, x), rel=1e-12)
    assert found == pytest.approx((mean_of(matrix), standard_errors.of_all_pairs(matrix)), rel=1e-5)

    monkeypatch.setattr(pairwise, "MOST_GROUPS", 4)  # of images 0, 4 and 8, of 1 and 5, …
    left_out = []
    for group in range(4):
        kept = np.arange(9) % 4 != group
        left_out.append(mean_of(matrix[kept][:, kept]))
    grouped = lpips_tf.mean_pairwise_distance(metric, x, batch_size=2, return_standard_error=True)
    assert grouped[1] == pytest.approx(np.sqrt(3 * np.var(left_out)), rel=1e-4)


def test_an_image_without_a_distance_has_no_error(build):
    x = np.random.default_rng(2).uniform(-1, 1, (5, 32, 32, 3)).astype("float32")
    x[3, 0, 0] = np.nan
    found = lpips_tf.mean_pairwise_distance(build(), x, return_standard_error=True)
    assert np.isnan(found).all()
