"""Whether one metric agrees better with people than another."""

import itertools

import numpy as np
import pytest
from scipy import stats

from lpips_tf import evaluation, scores


def triplets(count, seed=0, right=0.7):
    """Columns of a metric on triplets; two seeds share the judgements but not the distances."""
    judge = np.random.default_rng(99).integers(0, 6, count) / 5
    rng = np.random.default_rng(seed)
    people = judge > 0.5
    choice = np.where(rng.random(count) < right, people, ~people)
    d0, d1 = rng.random((2, count))
    low, high = np.minimum(d0, d1), np.maximum(d0, d1)
    ids = np.array([f"{i:04}" for i in range(count)])
    return {
        "id": ids, "d0": np.where(choice, high, low), "d1": np.where(choice, low, high),
        "judge": judge,
    }  # fmt: skip


def pairs(count, seed=0, noise=0.5):
    same = np.random.default_rng(99).integers(0, 4, count) / 3
    distance = 1 - same + np.random.default_rng(seed).normal(0, noise, count)
    return {"id": np.array([f"{i:04}" for i in range(count)]), "distance": distance, "same": same}


def opinions(count, seed=0, noise=0.5):
    """Columns of opinions of five images of each reference."""
    said = np.random.default_rng(99)
    opinion = said.normal(size=count)
    references = np.char.mod("r%03d", np.arange(count) // 5)
    distance = -opinion + np.random.default_rng(seed).normal(0, noise, count)
    ids = np.array([f"{i:04}" for i in range(count)])
    return {"id": ids, "distance": distance, "opinion": opinion, "reference": references}


def score(columns):
    if "opinion" in columns:
        return stats.spearmanr(-columns["distance"], columns["opinion"]).statistic
    return evaluation.score(columns)


@pytest.mark.parametrize("made", [triplets, pairs, opinions])
def test_scores_and_their_difference_are_those_of_each_metric(made):
    a, b = made(300, 1), made(300, 2)
    found = evaluation.compare(a, b)
    assert found.score_a == pytest.approx(score(a), abs=1e-12)
    assert found.score_b == pytest.approx(score(b), abs=1e-12)
    assert found.difference == pytest.approx(score(a) - score(b), abs=1e-12)
    assert found.low < found.difference < found.high
    other = evaluation.compare(b, a)
    assert other.difference == pytest.approx(-found.difference, abs=1e-12)
    assert other.p_value == pytest.approx(found.p_value, abs=0.03)


@pytest.mark.parametrize("made", [triplets, pairs])
def test_the_interval_is_the_paired_bootstrap_of_scipy(made):
    a, b = made(200, 1), made(200, 2)
    names = [name for name in a if name not in ("id", "judge", "same")]
    answer = "judge" if "judge" in a else "same"

    def difference(rows):
        parts = [{name: x[name][rows] for name in [*names, answer]} for x in (a, b)]
        return score(parts[0]) - score(parts[1])

    expected = stats.bootstrap(
        (np.arange(200),), difference, vectorized=False, n_resamples=2000, method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    found = evaluation.compare(a, b)
    np.testing.assert_allclose(found[3:5], expected, atol=0.012)


def test_the_p_value_is_that_of_all_sign_flips():
    a, b = triplets(12, 1), triplets(12, 2, right=0.3)
    agreement = [
        np.array([score({k: v[i : i + 1] for k, v in x.items()}) for i in range(12)])
        for x in (a, b)
    ]
    differences = agreement[0] - agreement[1]
    all_flips = np.array(list(itertools.product([-1, 1], repeat=12))) @ differences / 12
    expected = np.mean(np.abs(all_flips) >= abs(differences.mean()) - 1e-12)
    assert evaluation.compare(a, b).p_value == pytest.approx(expected, abs=0.02)


def shared(count, seed=0, **kwargs):
    """Triplets of which five have one reference."""
    references = np.char.mod("r%03d", np.arange(count)[::-1] // 5)
    return triplets(count, seed, **kwargs) | {"reference": references}


def test_references_of_triplets_are_resampled():
    a, b = shared(200, 1), shared(200, 2)
    rows = np.arange(200).reshape(40, 5)

    def resampled(statistic):
        return stats.bootstrap(
            (np.arange(40),), statistic, vectorized=False, n_resamples=4000, method="percentile",
            confidence_level=expanded, rng=np.random.default_rng(5),
        ).confidence_interval  # fmt: skip

    # The interval is of Student's t: Hesterberg 2015, section 3.3.
    expanded = 1 - 2 * stats.norm.cdf(-stats.t.ppf(0.975, 39) * np.sqrt(40 / 39))

    def part(columns, references):
        return score({k: v[rows[references].ravel()] for k, v in columns.items()})

    expected = resampled(lambda references: part(a, references) - part(b, references))
    np.testing.assert_allclose(evaluation.compare(a, b)[3:5], expected, atol=0.012)
    expected = resampled(lambda references: part(a, references))
    np.testing.assert_allclose(evaluation.confidence_interval(a), expected, atol=0.012)
    alone = {name: column for name, column in a.items() if name != "reference"}
    single = alone | {"reference": alone["id"]}  # a reference for each triplet
    assert evaluation.confidence_interval(single) == evaluation.confidence_interval(alone)
    assert np.isnan(evaluation.confidence_interval(a | {"reference": np.full(200, "r")})).all()


def test_the_p_value_of_triplets_swaps_whole_references():
    a, b = shared(50, 1), shared(50, 2, right=0.4)
    agreements = [scores.agreement(x["d0"], x["d1"], x["judge"]) for x in (a, b)]
    differences = np.subtract(*agreements).reshape(10, 5).sum(axis=1)
    flipped = np.array(list(itertools.product([-1, 1], repeat=10))) @ differences
    expected = np.mean(np.abs(flipped) >= abs(differences.sum()) - 1e-12)
    assert evaluation.compare(a, b).p_value == pytest.approx(expected, abs=0.02)


def test_data_sets_that_share_references_are_resampled_together():
    """As one: copies of the same triplets say no more than the triplets."""
    a, b = shared(100, 1), shared(100, 2, right=0.5)
    alone = evaluation.compare(a, b)
    copies = evaluation.compare([a] * 6, [b] * 6)
    assert copies == pytest.approx(alone, abs=1e-12)
    other = [x | {"reference": np.char.add("other ", x["reference"])} for x in (a, b)]
    apart = evaluation.compare([a, other[0]], [b, other[1]])
    assert apart.difference == pytest.approx(alone.difference)
    assert apart.high - apart.low == pytest.approx((alone.high - alone.low) / 2**0.5, rel=0.1)
    assert apart.p_value < alone.p_value
    # Two data sets that share references only with a third are resampled with it.
    first, last = ({k: v[part] for k, v in a.items()} for part in (slice(60), slice(40, None)))
    chain = evaluation.compare([first, last, a], [{k: b[k] for k in b} for b in (first, last, a)])
    assert chain == (chain.score_a, chain.score_a, 0, 0, 0, 1)
    said = opinions(50, 1), opinions(50, 2)
    with pytest.raises(ValueError, match="without common references, or one of all"):
        evaluation.compare([said[0]] * 2, [said[1]] * 2)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (np.full(9, "r"), r"of one length|for each of 10 examples. Received: shape \(9,\)"),
        ([None, *"abcdefghi"], "of one type, such as names. Received: None"),
        ([float("nan"), *range(9)], "Received: nan"),
        (np.array([1, "a"] * 5, object), "Received: several types"),
    ],
)
def test_references_that_name_none_are_refused(references, message):
    a = triplets(10) | {"reference": references}
    for call in (lambda: evaluation.compare(a, a), lambda: evaluation.confidence_interval(a)):
        with pytest.raises(ValueError, match=message):
            call()


def test_references_are_resampled_for_opinions():
    a, b = opinions(200, 1), opinions(200, 2)
    images = np.arange(200).reshape(40, 5)

    def difference(references):
        rows = images[references].ravel()
        return np.subtract(*(score({k: v[rows] for k, v in x.items()}) for x in (a, b)))

    expected = stats.bootstrap(
        (np.arange(40),), difference, vectorized=False, n_resamples=2000, method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose(evaluation.compare(a, b)[3:5], expected, atol=0.012)


def test_the_p_value_of_opinions_swaps_the_ranks_of_whole_references():
    a, b = opinions(50, 1), opinions(50, 2, noise=1)
    ranks = [stats.rankdata(-x["distance"]) for x in (a, b)]
    people = stats.rankdata(a["opinion"])

    def difference(swaps):
        swapped = np.repeat(swaps, 5)
        mixed = np.where(swapped, *ranks), np.where(swapped, *ranks[::-1])
        return np.subtract(*(np.corrcoef(x, people)[0, 1] for x in mixed))

    found = evaluation.compare(a, b)
    assert difference([True] * 10) == pytest.approx(found.difference, abs=1e-12)
    flipped = [difference(swaps) for swaps in itertools.product([False, True], repeat=10)]
    expected = np.mean(np.abs(flipped) >= abs(found.difference) - 1e-12)
    assert found.p_value == pytest.approx(expected, abs=0.02)


def test_opinions_may_be_lower_for_better_images():
    a, b = (x | {"opinion": -x["opinion"]} for x in (opinions(100, 1), opinions(100, 2)))
    found = evaluation.compare(a, b, lower_is_better=True)
    assert found[:2] == pytest.approx([-score(a), -score(b)])
    with pytest.raises(ValueError, match="lower_is_better with opinions only"):
        evaluation.compare(triplets(9), triplets(9), lower_is_better=True)


@pytest.mark.parametrize("made", [triplets, pairs, opinions])
def test_a_metric_is_not_better_than_itself(made):
    columns = made(50)
    found = evaluation.compare(columns, columns)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_a_clear_difference_is_found():
    a, b = triplets(400, 1, right=0.9), triplets(400, 2, right=0.6)
    found = evaluation.compare(a, b)
    assert found.low > 0
    assert found.p_value < 0.001


def test_several_data_sets_count_the_same():
    sets_a = [triplets(30, 1), triplets(300, 2, right=0.9)]
    sets_b = [triplets(30, 3), triplets(300, 4, right=0.6)]
    found = evaluation.compare(sets_a, sets_b)
    assert found.score_a == pytest.approx(np.mean([score(x) for x in sets_a]))
    assert found.score_b == pytest.approx(np.mean([score(x) for x in sets_b]))


def test_examples_may_come_in_another_order():
    a, b = triplets(60, 1), triplets(60, 2)
    order = np.random.default_rng(0).permutation(60)
    assert evaluation.compare(a, {k: v[order] for k, v in b.items()}) == evaluation.compare(a, b)


def test_the_best_score_follows_from_what_people_said():
    judge = triplets(200)["judge"]
    best = scores.best_two_afc_score(judge)
    assert best == pytest.approx(np.mean(np.maximum(judge, 1 - judge)))
    assert scores.two_afc_score(1 - judge, judge * 0, judge) <= best
    assert scores.two_afc_score(judge, 1 - judge, judge) == pytest.approx(best)


def test_a_single_example_has_no_interval():
    found = evaluation.compare(triplets(1), triplets(1, 2))
    assert np.isnan(found[3:]).all()
    found = evaluation.compare(opinions(5), opinions(5, 2))  # of a single reference
    assert np.isnan(found[3:]).all()
    assert np.isfinite(found[:3]).all()


def test_a_score_that_is_not_defined_has_no_p_value():
    a, b = (pairs(20, seed) | {"same": np.zeros(20)} for seed in (1, 2))
    assert np.isnan(evaluation.compare(a, b)).all()
    a, b = (opinions(20, seed) | {"opinion": np.ones(20)} for seed in (1, 2))
    assert np.isnan(evaluation.compare(a, b)).all()


def test_columns_that_do_not_fit_are_refused():
    a = triplets(20)
    changed = {
        "only one": {k: v[:19] for k, v in a.items()},
        "an id twice": a | {"id": np.array(["0000"] * 20)},
        "different ones": a | {"judge": 1 - a["judge"]},
        "one kind": pairs(20),
        "Received: id, d0, judge": {k: v for k, v in a.items() if k != "d1"},
        "NaN": a | {"d0": np.full(20, np.nan)},
        "Received: 3": 3,
    }
    for message, b in changed.items():
        with pytest.raises(ValueError, match=message):
            evaluation.compare(a, b)
    with pytest.raises(ValueError, match="same data sets of both"):
        evaluation.compare([a, a], [a])
