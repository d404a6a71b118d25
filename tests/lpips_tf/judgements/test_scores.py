"""2AFC and JND scores equal a transcription of their definitions, whole and by batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from judgements import judgements

from lpips_tf import scores

SIZES = [1, 2, 10, 100, 1000]


def two_afc_by_definition(d0, d1, judge):
    """A loop over triplets: the share of people on the metric's side."""
    total = 0.0
    for a, b, chose_second in zip(d0, d1, judge, strict=True):
        total += 1 - chose_second if a < b else chose_second if b < a else 0.5
    return total / len(judge)


def jnd_by_definition(distances, same):
    """A loop over thresholds: pairs up to each distance are taken for the same, and the area below
    the best precision at no less recall is summed.
    """
    points = [(0.0, 0.0)]
    for threshold in np.unique(distances):
        taken = same[distances <= threshold]
        points.append((taken.sum() / same.sum(), taken.mean()))
    recalls, precisions = np.array(points).T
    return sum((recalls[i] - recalls[i - 1]) * precisions[i:].max() for i in range(1, len(points)))


@pytest.mark.parametrize("size", SIZES)
def test_scores_equal_their_definitions(size):
    d0, d1, judge = judgements(size)
    expected = two_afc_by_definition(d0, d1, judge)
    assert scores.two_afc_score(d0, d1, judge) == pytest.approx(expected, abs=1e-12)
    expected = jnd_by_definition(d0, judge)
    assert scores.jnd_score(d0, judge) == pytest.approx(expected, abs=1e-12)


def test_jnd_equals_the_definition_for_10000_pairs():
    distances, _, same = judgements(10_000)
    distances = np.round(distances, 2)  # some 700 thresholds
    expected = jnd_by_definition(distances, same)
    assert scores.jnd_score(distances, same) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        float,
        st.tuples(st.integers(1, 30), st.just(2)),
        elements=st.sampled_from([0, 1 / 3, 2 / 3, 1]),
    )
)
def test_jnd_equals_the_definition_where_most_distances_tie(rows):
    distances, same = rows.T
    if same.sum() == 0:
        assert np.isnan(scores.jnd_score(distances, same))
    else:
        expected = jnd_by_definition(distances, same)
        assert scores.jnd_score(distances, same) == pytest.approx(expected, abs=1e-12)


def test_scores_do_not_depend_on_the_order():
    d0, d1, judge = judgements(500)
    shuffled = np.random.default_rng(1).permutation(500)
    assert scores.jnd_score(d0, judge) == pytest.approx(
        scores.jnd_score(d0[shuffled], judge[shuffled]), abs=1e-12
    )
    assert scores.two_afc_score(d0, d1, judge) == pytest.approx(
        scores.two_afc_score(d0[shuffled], d1[shuffled], judge[shuffled]), abs=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], []), "Received: 0 of d0, 0 of d1, 0 of judge"),
        (([1], [1, 2], [1, 1]), "Received: 1 of d0, 2 of d1, 2 of judge"),
        (([1, np.nan], [1, 2], [1, 1]), "Received: d0 with 1 NaN"),
        (([1, 2], [1, 2], [1, 1.2]), "in \\[0, 1\\]. Received: judge with 1.2"),
        (([1, 2], [1, 2], [1, np.nan]), "Received: judge with nan"),
    ],
)
def test_columns_that_have_no_score_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        scores.two_afc_score(*arguments)
    with pytest.raises(ValueError, match=message.replace("judge", "same").split("d0")[0]):
        scores.jnd_score(arguments[0], arguments[2])


@pytest.mark.parametrize(("size", "batch"), [(1, 50), (100, 1), (1000, 50), (10_000, 10_000)])
def test_metrics_equal_the_functions(size, batch):
    d0, d1, judge = judgements(size)
    two_afc, jnd = scores.TwoAFC(), scores.JND()
    for first in range(0, size, batch):
        part = slice(first, first + batch)
        two_afc.update_state(judge[part], (d0[part], d1[part]))
        jnd.update_state(judge[part], d0[part])
    expected = scores.two_afc_score(d0, d1, judge)
    assert float(two_afc.result()) == pytest.approx(expected, abs=1e-6)
    assert float(jnd.result()) == pytest.approx(scores.jnd_score(d0, judge), abs=1e-6)


def test_metrics_start_anew_after_a_reset():
    d0, d1, judge = judgements(20)
    two_afc, jnd = scores.TwoAFC(), scores.JND()
    for _ in range(2):
        two_afc.reset_state(), jnd.reset_state()
        two_afc.update_state(judge, np.stack([d0, d1], axis=1))
        jnd.update_state(judge, d0)
        assert float(two_afc.result()) == pytest.approx(scores.two_afc_score(d0, d1, judge))
        assert float(jnd.result()) == pytest.approx(scores.jnd_score(d0, judge))


def test_metrics_weigh_samples():
    d0, d1, judge = judgements(20)
    weights = np.arange(20) % 3
    repeated = [np.repeat(x, weights) for x in (d0, d1, judge)]
    two_afc, jnd = scores.TwoAFC(), scores.JND()
    two_afc.update_state(judge, (d0, d1), sample_weight=weights)
    jnd.update_state(judge, d0, sample_weight=weights)
    assert float(two_afc.result()) == pytest.approx(scores.two_afc_score(*repeated))
    assert float(jnd.result()) == pytest.approx(scores.jnd_score(repeated[0], repeated[2]))


def test_metrics_are_nan_for_nan_and_beyond_the_capacity():
    two_afc, jnd, full = scores.TwoAFC(), scores.JND(), scores.JND(capacity=4)
    two_afc.update_state([0.0, 1], ([0.0, np.nan], [1.0, 1]))
    jnd.update_state([0.0, 1], [np.nan, 1.0])
    for metric in (two_afc, jnd):
        assert np.isnan(float(metric.result()))
    full.update_state([0.0, 1, 1, 0], [3.0, 1, 2, 0])
    assert float(full.result()) == pytest.approx(scores.jnd_score([3, 1, 2, 0], [0, 1, 1, 0]))
    full.update_state([1.0], [1.0])
    assert np.isnan(float(full.result()))


@pytest.mark.parametrize("wrong", [5, -0.2, np.nan])
def test_metrics_are_nan_where_a_judgement_is_no_fraction(wrong):
    two_afc, jnd = scores.TwoAFC(), scores.JND()
    two_afc.update_state([1.0, wrong], ([0.0, 2.0], [1.0, 1]))
    jnd.update_state([1.0, wrong], [2.0, 1.0])
    for metric in (two_afc, jnd):
        assert np.isnan(float(metric.result()))


@pytest.mark.parametrize("capacity", [0, -3, 1.5, True])
def test_a_capacity_is_a_whole_number_of_at_least_1(capacity):
    with pytest.raises(ValueError, match=f"Expected capacity .*Received: .*{capacity}"):
        scores.JND(capacity=capacity)


class _Distances(keras.layers.Layer):
    """Passes the data on as a metric's distances would be."""

    def call(self, inputs):
        return inputs


def _mean(y_true, y_pred):
    return keras.ops.mean(y_pred)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_metrics_run_in_a_compiled_evaluation(jit_compile):
    d0, d1, judge = judgements(100)
    for metric, x, expected in (
        (scores.TwoAFC(), np.stack([d0, d1], 1), scores.two_afc_score(d0, d1, judge)),
        (scores.JND(), d0[:, None], scores.jnd_score(d0, judge)),
    ):
        model = keras.Sequential([_Distances()])
        model.compile(loss=_mean, metrics=[metric], jit_compile=jit_compile)
        result = model.evaluate(x, judge, batch_size=16, verbose=0, return_dict=True)
        assert result[metric.name] == pytest.approx(expected, abs=1e-6)


def test_metrics_are_saved_with_their_arguments():
    jnd = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(scores.JND(capacity=10, name="noticed"))
    )
    assert (jnd.capacity, jnd.name, numbers(jnd.table).shape) == (10, "noticed", (10, 3))


@pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 10),
    reason="Keras before 3.10 has no metric variables of each replica",
)
@pytest.mark.slow
def test_metrics_of_two_replicas_are_those_of_one(two_replicas):
    d0, d1, judge = judgements(211)  # the last batch of 16 has 3, of two replicas 2 and 1
    for kind, x, expected in (
        (scores.TwoAFC, np.stack([d0, d1], 1), scores.two_afc_score(d0, d1, judge)),
        (scores.JND, d0[:, None], scores.jnd_score(d0, judge)),
    ):
        with two_replicas.scope():
            model = keras.Sequential([keras.layers.Identity()])
            model.compile(loss=_mean, metrics=[metric := kind()])
        result = model.evaluate(x, judge, batch_size=16, verbose=0, return_dict=True)
        assert result[metric.name] == pytest.approx(expected, abs=1e-6)


def test_metrics_update_in_a_graph():
    d0, d1, judge = judgements(30)
    metric = scores.TwoAFC()
    update = tf.function(lambda judge, pair: metric.update_state(judge, pair))
    update(judge[:20], np.stack([d0, d1], 1)[:20])
    update(judge[20:], np.stack([d0, d1], 1)[20:])
    assert float(metric.result()) == pytest.approx(scores.two_afc_score(d0, d1, judge), abs=1e-6)
