"""What `lpips-tf train` refuses: wrong options, unreadable data, results that are not finite."""

import re
import shutil
import sys

import numpy as np
import pytest

from lpips_tf_cli.training_runs.epoch_callbacks import Seeds


@pytest.mark.parametrize(
    ("datasets", "validation", "named"),
    [(["train/cnn", "val/cnn"], [], "val/cnn"), (["train/cnn"], ["train/cnn"], "train/cnn")],
)
def test_training_on_validation_data_is_told(train, tmp_path, datasets, validation, named):
    """Before the data are read."""
    options = ["--datasets", *datasets, "--bapps-dir", tmp_path]
    if validation:
        options += ["--validation", *validation]
    code, _, err = train(tmp_path / "run", *options)
    told, _ = err.splitlines()
    assert code == 1  # no data are there
    assert told.startswith(f"lpips-tf: warning: {named} is for validation. After")


@pytest.mark.parametrize(
    ("others", "code", "message"),
    [
        (["--datasets", "train/none"], 2, "train/frameinterp|data sets of train/traditional"),
        (["--learning-rate", "0"], 2, "number above 0. Received: 0.0"),
        (["--dropout", "1"], 2, "share from 0 to below 1. Received: 1.0"),
        (["--epochs", "0", "--decay-epochs", "0"], 2, "an epoch or more. Received: 0"),
        (["--mode", "tune", "--cache-features"], 2, "--mode heads with it. Received: tune"),
        (["--cache-dir", "x"], 2, "--cache-features with it"),
        (["--data-dir", "x"], 2, "one of --bapps-dir and --data-dir. Received: both"),
        (["--bapps-dir", "nowhere"], 1, "Received: nowhere without 2afc/train/traditional"),
        (["--output", "/proc/run"], 1, "Cannot write /proc/run"),
        (["--net", "none"], 2, "'none' is not one of 'alex', 'vgg', 'squeeze'"),
    ],
)
def test_wrong_usage_is_one_line_and_begins_no_run(train, tmp_path, others, code, message):
    found, out, err = train(tmp_path / "run", *others)
    assert (found, out) == (code, "")
    (line,) = err.splitlines()
    assert re.search(message, line), line
    assert not (tmp_path / "run").exists()


def test_data_without_judgements_begin_no_run(train, root, tmp_path):
    judge = root / "2afc/train/cnn/judge"
    judge.rename(tmp_path / "judge")
    try:
        code, out, err = train(tmp_path / "run")
    finally:
        (tmp_path / "judge").rename(judge)
    assert (code, out) == (1, "")
    assert err == f"lpips-tf: Expected a folder of .npy files. Missing: {judge}\n"
    assert not (tmp_path / "run").exists()


def test_a_damaged_image_is_named(train, root, tmp_path):
    path = root / "2afc/train/cnn/p1/000004.png"
    content = path.read_bytes()
    path.write_bytes(content[:100])
    try:
        code, out, err = train(tmp_path / "run")
    finally:
        path.write_bytes(content)
    assert (code, out) == (1, "")
    assert str(path) in err.splitlines()[-1]


def test_damaged_records_of_tfds_are_named(run, prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.glob("bapps/2afc/*/*train_cnn.tfrecord*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    code, out, err = run(
        "train", "--data-dir", tmp_path, "--datasets", "train/cnn",
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"lpips-tf: Cannot read train/cnn: corrupted record at \d+", err.splitlines()[-1]
    )


@pytest.mark.slow
def test_an_epoch_whose_loss_is_not_finite_is_not_kept(train, tmp_path):
    code, out, err = train(tmp_path / "run", "--learning-rate", 1e38, "--cache-features")
    assert (code, out) == (1, "")
    assert re.search(r"finite loss. Received: (nan|inf) in epoch 1. Try a lower", err)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
def test_an_epoch_whose_weights_are_not_finite_is_not_kept(train, tmp_path, monkeypatch):
    """They may become so in the last step, after the loss is computed."""
    monkeypatch.setattr(Seeds, "on_epoch_end", lambda self, epoch, logs=None: (
        self.model.metric.heads[2].kernel.assign(np.full(384, np.nan))))  # fmt: skip
    code, out, err = train(tmp_path / "run", "--cache-features")
    assert (code, out) == (1, "")
    assert re.search(r"finite weights. Received: head2/kernel with NaN .* after epoch 1.", err)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_train_names_its_extra_where_tensorboard_is_missing(train, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    code, _, err = train(tmp_path / "run")
    assert code == 1
    assert 'train needs tensorboard, which is not installed: pip install "lpips-tf[train]"' in err
