"""Epochs of several data sets: every triplet once, in an order of its own."""

import numpy as np
import pytest
import tensorflow as tf

from lpips_tf_cli.judgements.sources import open_source
from lpips_tf_cli.training_runs.input_pipeline import Shuffling, of_differences, of_images


def epochs_of(batches, steps):
    """What identifies each triplet, by epoch."""
    found = [x[0][0].numpy().reshape(len(x[1]), -1)[:, :40].sum(1) * 1000 + x[1].numpy()
             if isinstance(x[0], tuple) else x[1].numpy() for x in batches]  # fmt: skip
    return [np.concatenate(found[i : i + steps]) for i in range(0, len(found), steps)]


@pytest.mark.parametrize("place", ["tree", "tfds", "cache"])
def test_an_epoch_has_every_triplet_once_in_an_order_of_its_own(root, prepared, place):
    def build(seed=0, replicas=1):
        tf.random.set_seed(1)
        shuffling = Shuffling(batch_size=10, seed=seed, replicas=replicas)
        if place == "cache":
            kind = [("differences", "f4", (2, 2, 3)), ("judge", "f4")]
            parts = [np.zeros(n, kind) for n in (33, 12)]
            for i, part in enumerate(parts):
                part["judge"] = 100 * i + np.arange(len(part))
            return of_differences(parts, [], shuffling)
        names = ("train/traditional", "train/cnn")
        where = (root, None) if place == "tree" else (None, prepared)
        return of_images([open_source("2afc", n, *where) for n in names], [], shuffling)

    data = build()
    assert data.steps == 5
    first, second, third = epochs_of(data.epochs.between(0, 3), data.steps)
    assert len(first) == 45
    for epoch in (second, third):
        np.testing.assert_array_equal(np.sort(epoch), np.sort(first))
        assert (epoch != first).any()
    assert (np.sort(first[:33]) != np.sort(second[:33])).any()  # the sets are mixed
    (again,) = epochs_of(build().epochs.between(2, 3), data.steps)
    np.testing.assert_array_equal(again, third)
    (other,) = epochs_of(build(seed=1).epochs.between(2, 3), data.steps)
    assert (other != third).any()
    data = build(replicas=2)
    assert (data.steps, [len(x[1]) for x in data.epochs.between(0, 1)]) == (4, [10] * 4)
