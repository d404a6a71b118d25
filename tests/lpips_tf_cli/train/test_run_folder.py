"""What a training leaves in its folder, and what it prints."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from checking import ROOT, numbers
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_runs import arrays, first_triplets, history

import lpips_tf
import tfds_bapps
from lpips_tf_cli.training_runs import learning_curves
from tfds_bapps import tree

VALIDATION = ("--validation", "val/cnn")
WAYS = [
    pytest.param(VALIDATION, id="images"),
    pytest.param((*VALIDATION, "--cache-features"), id="cached features", marks=pytest.mark.slow),
]


@pytest.fixture(params=WAYS)
def run_of_each_way(trained, request):
    """The folder of a run, what it printed, and what it said of its epochs."""
    return trained(*request.param)


def tags(folder):
    """What a TensorBoard log has."""
    return set(EventAccumulator(str(folder), {"tensors": 0}).Reload().Tags()["tensors"])


def assert_reloads(output, root, backbone):
    """The weight files give the distances that the last checkpoint gives."""
    images = first_triplets(root)
    expected = keras.saving.load_model(output / "checkpoints" / "last.keras").metric
    received = lpips_tf.LPIPS(backbone_weights=backbone, head_weights=output / "heads.h5")
    for x, y in zip(received.distances(*images), expected.distances(*images), strict=True):
        np.testing.assert_allclose(numbers(x), numbers(y), atol=1e-6)


def test_heads_are_those_of_the_last_checkpoint_and_never_negative(run_of_each_way, root):
    output, *_ = run_of_each_way
    assert_reloads(output, root, "imagenet")
    metric = lpips_tf.LPIPS(head_weights=output / "heads.h5")
    assert min(numbers(head.kernel).min() for head in metric.heads) >= 0


def test_the_history_has_each_epoch_and_the_loss_falls(run_of_each_way):
    records = history(run_of_each_way[0])
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert [record["learning_rate"] for record in records] == [0.001, 0.001, 0.001, 0.0005]
    assert set(records[0]) == {
        "epoch", "loss", "two_afc", "val_loss", "val_two_afc", "learning_rate", "seconds",
    }  # fmt: skip
    assert records[-1]["loss"] < records[0]["loss"]


def test_the_best_checkpoint_is_one_of_an_epochs_end_and_has_its_heads(run_of_each_way, tmp_path):
    output, *_ = run_of_each_way
    best = keras.saving.load_model(output / "checkpoints" / "best.keras")
    assert int(best.optimizer.iterations) in [5 * record["epoch"] for record in history(output)]
    lpips_tf.weights.write_heads(tmp_path / "best.h5", best.metric)
    heads = lpips_tf.LPIPS(head_weights=tmp_path / "best.h5").heads
    for written, trained in zip(heads, best.metric.heads, strict=True):
        np.testing.assert_array_equal(numbers(written.kernel), numbers(trained.kernel))


def test_the_configuration_names_data_and_versions(run_of_each_way):
    config = json.loads((run_of_each_way[0] / "config.json").read_text())
    counts = {name: about["triplets"] for name, about in config["data"].items()}
    assert counts == {"train/traditional": 33, "train/cnn": 12, "val/cnn": 7}
    assert config["versions"]["keras"] == keras.__version__


def test_curves_and_logs_for_tensorboard_are_written(run_of_each_way):
    output, *_ = run_of_each_way
    assert (output / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    expected = {"triplets", *(f"head{i}" for i in range(5))}
    assert tags(output / "tensorboard" / "heads") == expected
    assert {"epoch_loss", "epoch_two_afc"} <= tags(output / "tensorboard" / "train")


def test_what_is_printed_of_each_epoch_is_what_is_kept(run_of_each_way):
    output, out, err = run_of_each_way
    assert re.fullmatch(rf"{output}/heads.h5: heads of alex 0.1, 2AFC in training \d\d\.\d%\n", out)
    printed = [re.findall(r"[\d.]+(?=%| s|,)", line.split(": ")[1]) for line in err.splitlines()]
    assert len(printed) == 4
    for (loss, agreement, *validation, seconds), kept in zip(printed, history(output), strict=True):
        assert (loss, agreement) == (f"{kept['loss']:.4f}", f"{100 * kept['two_afc']:.1f}")
        assert validation[0] == f"{kept['val_loss']:.4f}"
        assert seconds == f"{kept['seconds']:.1f}"


def test_the_legend_covers_no_curve(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    record = {"loss": 0.6, "two_afc": 0.7}
    records = [{"epoch": i, **record, "val_loss": 0.5, "val_two_afc": 0.6} for i in (1, 2)]
    learning_curves.save_curves(tmp_path / "curve.png", records)
    learning_curves.save_curves(tmp_path / "curve.png", [{"epoch": 1, **record}])
    (legend,) = drawn[0].legends
    drawn[0].canvas.draw()
    for axes in drawn[0].axes:
        assert axes.get_legend() is None
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert drawn[1].legends == []


def test_tensorflow_gives_no_advice_on_tracing():
    assert not tf.get_logger().isEnabledFor(logging.WARNING)


@pytest.mark.slow
def test_a_network_that_is_trained_is_left_and_evaluated(train, run, tmp_path, root):
    output = tmp_path / "run"
    options = ("--datasets", "train/cnn", "--epochs", 2, "--decay-epochs", 0)
    code, out, err = train(output, "--mode", "scratch", *options)
    assert (code, out.count("\n")) == (0, 2), err
    records = history(output)
    assert records[-1]["loss"] < records[0]["loss"]
    assert_reloads(output, root, output / "backbone.h5")
    imagenet = lpips_tf.LPIPS().backbone.get_weights()
    kept = lpips_tf.LPIPS(backbone_weights=output / "backbone.h5").backbone.get_weights()
    assert all((x != y).any() for x, y in zip(imagenet, kept, strict=True))
    code, out, err = run(
        "evaluate", "--bapps-dir", root, "--datasets", "val/cnn", "--json",
        "--head-weights", output / "heads.h5", "--backbone-weights", output / "backbone.h5",
    )  # fmt: skip
    assert (code, err) == (0, "")
    metric = keras.saving.load_model(output / "checkpoints" / "last.keras").metric
    d0, d1 = (numbers(d) for d in metric.distances(*first_triplets(root)))
    examples = tfds.as_numpy(tfds_bapps.load_tree(root, "2afc", "val_cnn"))
    judge = np.array([example["judge"] for example in examples])
    expected = lpips_tf.scores.two_afc_score(d0, d1, judge)
    assert json.loads(out)["mean"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_equal_seeds_give_equal_heads_and_others_give_others(train, trained, tmp_path):
    a, *_ = trained("--cache-features")
    for name, seed in (("b", 0), ("c", 1)):
        assert train(tmp_path / name, "--seed", seed, "--cache-features")[0] == 0
    a, b, c = (
        arrays(output / "heads.h5")["head0/kernel"]
        for output in (a, tmp_path / "b", tmp_path / "c")
    )
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()


@pytest.mark.slow
def test_the_script_trains_and_scores(root, tmp_path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "scripts" / "train_test_metric.sh", "run", f"--bapps-dir={root}", "--epochs", "1",
         "--decay-epochs", "0", "--mode", "scratch"],
        cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "run" / "scores.txt").read_text()
    assert done.stdout.endswith(table)
    named = [line.split()[0] for line in table.splitlines()]
    means = ["distortions", "algorithms", "mean"]
    assert named[1:] == [s.replace("_", "/") for s in tree.splits("2afc")[3:]] + means
    metric = keras.saving.load_model(tmp_path / "run/checkpoints/last.keras").metric
    d0, d1 = (numbers(d) for d in metric.distances(*first_triplets(root)))
    rows = (tmp_path / "run" / "distances.csv").read_text().splitlines()
    of_cnn = [row.split(",")[1:3] for row in rows if row.startswith('"val/cnn')]
    np.testing.assert_allclose(np.array(of_cnn, float), np.stack([d0, d1], 1), atol=1e-6)
