"""Correlations of distances with people's opinions."""

import numpy as np
import pytest
from scipy import optimize, stats

from lpips_tf import evaluation
from lpips_tf._judgements import resampling
from lpips_tf._judgements.correlations import resampled_spearman


def columns(distance, opinion, references=5):
    count = len(distance)
    return {
        "distance": np.asarray(distance, float),
        "opinion": np.asarray(opinion, float),
        "reference": np.arange(count) % references,
    }


def made(count, seed=0, references=25, ties=False):
    """Opinions that fall with the distance, by a curve, with noise of references and images."""
    rng = np.random.default_rng(seed)
    distance = rng.gamma(2, 0.15, count)
    which = np.arange(count) % references
    noise = rng.normal(0, 0.4, references)[which] + rng.normal(0, 0.6, count)
    opinion = 1 + 8 / (1 + np.exp(8 * (distance - 0.3))) + noise
    if ties:
        distance, opinion = distance.round(1), opinion.round()
    return columns(distance, opinion, references)


@pytest.mark.parametrize(
    "given", [made(40), made(60, 1, ties=True), made(10_000, 2, ties=True), made(2, 3, 2)],
    ids=["numbers", "ties", "many", "two"],
)  # fmt: skip
def test_correlations_are_those_of_scipy(given):
    found = evaluation.correlations(given)
    x, y = -given["distance"], given["opinion"]
    for received, statistic in (
        (found.spearman, stats.spearmanr),
        (found.kendall, stats.kendalltau),
        (found.pearson, stats.pearsonr),
    ):
        assert received.value == pytest.approx(statistic(x, y).statistic, abs=1e-12)


def test_the_fit_is_the_best_curve_of_its_form():
    given = made(300, 4)
    x, y = -given["distance"], given["opinion"]

    def curve(parameters):
        a, b, c, d = parameters
        return (a - b) / (1 + np.exp(-(x - c) / abs(d))) + b

    best = optimize.minimize(
        lambda p: np.sum((curve(p) - y) ** 2), (9, 1, -0.3, 0.1), method="Nelder-Mead",
        options={"maxiter": 20_000, "xatol": 1e-10, "fatol": 1e-12},
    )  # fmt: skip
    found = evaluation.correlations(given)
    expected = np.corrcoef(curve(best.x), y)[0, 1]
    assert found.fitted_pearson.value == pytest.approx(expected, abs=1e-6)
    assert found.fitted_pearson.value > found.pearson.value


def test_the_sign_says_whether_the_metric_agrees():
    given = made(100, 5)
    found = evaluation.correlations(given)
    assert found.spearman.low > 0.5
    worse = given | {"opinion": -given["opinion"]}
    other = evaluation.correlations(worse, lower_is_better=True)
    assert other.spearman == found.spearman
    against = evaluation.correlations(worse)
    assert against.spearman.value == -found.spearman.value
    assert against.fitted_pearson.value == pytest.approx(-found.fitted_pearson.value)
    assert against.fitted_pearson.low < against.fitted_pearson.value < against.fitted_pearson.high


def test_references_are_resampled_as_wholes():
    """Ten copies of each image say no more than one."""
    one = made(30, 6, references=30)
    ten = {name: np.repeat(values, 10) for name, values in one.items()}
    found = [evaluation.correlations(x).pearson for x in (one, ten)]
    assert found[1].value == pytest.approx(found[0].value)
    widths = [x.high - x.low for x in found]
    assert widths[1] == pytest.approx(widths[0], rel=0.15)


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_of_resamples_are_those_of_repeated_rows(ties, monkeypatch):
    given = made(50, 8, references=12, ties=ties)
    x, y = -given["distance"], given["opinion"]
    monkeypatch.setattr(resampling, "CHUNK", 300)  # parts of six resamples
    groups = resampling.groups_of(given, 50)
    parts = list(resampling.resampled_weights(groups, 40, np.random.default_rng(0)))
    assert [len(part) for part in parts] == [6] * 6 + [4]
    weights = np.concatenate(parts)
    for row in weights:  # whole references, as many as there are
        of_reference = [set(row[groups == i]) for i in range(12)]
        assert all(len(found) == 1 for found in of_reference)
        assert sum(found.pop() for found in of_reference) == 12
    assert len(np.unique(weights, axis=0)) == 40
    for found, statistic in (
        (resampled_spearman(x, y, weights), stats.spearmanr),
        (resampling.weighted_pearson(x, y, weights), stats.pearsonr),
        (resampling.Kendall(x, y, groups)(weights), stats.kendalltau),
    ):
        expected = [statistic(np.repeat(x, w), np.repeat(y, w)).statistic for w in weights]
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    constant = np.where(np.arange(50) == 3, 5, 0)
    assert np.isnan(resampling.weighted_pearson(x, y, constant[None])).all()
    equal = np.where(np.arange(50) < 30, 0.3, x)  # whose sums round
    first = np.where(np.arange(50) < 30, 1, 0)[None]
    assert np.isnan(resampling.weighted_pearson(equal, y, first)).all()
    undefined = resampling.Kendall(np.ones(50), y, groups)(weights)
    assert np.isnan(undefined).all()


def test_a_correlation_does_not_depend_on_the_unit():
    given = made(40)
    found = evaluation.correlations(given | {"opinion": given["opinion"] * 1e-300})
    assert found.pearson == pytest.approx(evaluation.correlations(given).pearson)


def test_what_is_not_defined_is_nan():
    constant = evaluation.correlations(columns([0.5] * 8, range(8)))
    assert np.isnan([value for found in constant for value in found]).all()
    equal = evaluation.correlations(columns(range(8), [3] * 8))
    assert np.isnan([found.value for found in equal]).all()
    alone = evaluation.correlations(columns([0.1, 0.4, 0.2], [3, 1, 2], references=1))
    assert alone.spearman.value == pytest.approx(1)
    assert np.isnan([alone.spearman.low, alone.fitted_pearson.value]).all()
    assert np.isnan(evaluation.correlations(columns([0.1], [3])).spearman.value)


def test_columns_that_do_not_fit_are_refused():
    good = made(10)
    for change, message in (
        ({"opinion": ["good"] * 10}, "as numbers"),
        ({"opinion": good["opinion"][:9]}, "of one length"),
        ({"distance": np.full(10, np.nan)}, "distance with NaN"),
        ({name: [] for name in good}, "of one length"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.correlations(good | change)
    with pytest.raises(ValueError, match="Received: distance, opinion"):
        evaluation.correlations({k: v for k, v in good.items() if k != "reference"})
