"""Interrupted trainings go on where the last whole epoch ended, and refuse other runs."""

import json
import os
import re
import resource
import signal
import subprocess

import keras
import numpy as np
import pytest
from training_runs import (
    COMMAND,
    arguments,
    arrays,
    assert_same_heads,
    assert_same_history,
    history,
)

from lpips_tf_cli.training_runs.run_folder import Run


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(train, trained, tmp_path, root):
    whole, *_ = trained()
    output = tmp_path / "run"
    command = [*COMMAND, *map(str, arguments(root, output, "--resume"))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch 2 of 4"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert len(history(output)) < 4
    code, _, err = train(output, "--resume")
    assert code == 0
    assert len(err.splitlines()) < 4  # some epochs were there
    assert_same_heads(arrays(output / "heads.h5"), arrays(whole / "heads.h5"))
    assert_same_history(history(output), history(whole))


def test_a_finished_run_gets_back_files_that_are_missing(train, finished):
    expected = arrays(finished / "heads.h5")["head0/kernel"]
    (finished / "heads.h5").unlink()
    assert train(finished, "--resume", "--cache-features")[0] == 0
    np.testing.assert_array_equal(arrays(finished / "heads.h5")["head0/kernel"], expected)


@pytest.mark.slow
def test_an_interrupted_training_says_how_to_go_on(train, tmp_path, monkeypatch):
    kept = Run.save_epoch

    def interrupt(run, model, record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt
        kept(run, model, record)

    monkeypatch.setattr(Run, "save_epoch", interrupt)
    code, out, err = train(tmp_path / "run", "--datasets", "train/cnn", "--cache-features")
    assert (code, out) == (130, "")
    last = err.splitlines()[-1]
    assert last == "lpips-tf: stopped after 1 epoch. The same command with --resume continues it"


@pytest.mark.slow
def test_what_killed_processes_left_is_removed(train, finished):
    cache = finished.parent / "home" / "features"
    for path in cache.iterdir():
        path.unlink()
    left = [finished / "checkpoints" / ".last-x_y1.keras", finished / ".history-a.jsonl"]
    others = [finished / ".notes-of-mine", cache / ".old-1.npy", cache / ".new-1.npy"]
    for path in (*left, *others):
        path.touch()
    os.utime(cache / ".old-1.npy", (0, 0))
    assert train(finished, "--cache-features", "--resume")[0] == 0
    assert [path.exists() for path in (*left, *others)] == [False, False, True, False, True]


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_good_checkpoint(train, finished, root):
    cache = finished.parent / "home" / "features"
    options = ("--resume", "--cache-features", "--cache-dir", cache)
    last = finished / "checkpoints" / "last.keras"
    third = keras.saving.load_model(last)  # as if the run had been killed after its third epoch
    third.optimizer.iterations.assign(15)
    third.save(last)
    before = last.read_bytes()
    size = len(before) // 2
    done = subprocess.run(
        [*COMMAND, *map(str, arguments(root, finished, *options))], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    (error,) = done.stderr.splitlines()
    assert re.fullmatch(r"lpips-tf: .*(File too large|last.keras).*", error)
    assert last.read_bytes() == before
    assert list(finished.rglob(".*")) == []
    assert train(finished, *options)[0] == 0
    assert len(history(finished)) == 4


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ((), "with a run. --resume continues it"),
        (("--resume", "--seed", 1), "Received: seed 1 instead of 0"),
        (
            ("--resume", "--datasets", "train/cnn"),
            r'datasets \["train/cnn"\] instead of \["train/tr',
        ),
    ],
)
def test_a_folder_with_another_run_is_left_as_it_is(train, finished, others, message):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    code, out, err = train(finished, "--cache-features", *others)
    assert (code, out) == (1, "")
    assert re.search(message, err), err
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_a_folder_with_other_files_is_refused(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").touch()
    code, _, err = train(tmp_path / "run", "--resume")
    assert (code, err.count("\n")) == (1, 1)
    assert "with other files" in err


def test_data_that_changed_meanwhile_are_refused(train, finished, root):
    path = root / "2afc/train/cnn/p0/000003.png"
    content, status = path.read_bytes(), path.stat()
    path.write_bytes((root / "2afc/train/cnn/p0/000002.png").read_bytes())
    try:
        code, _, err = train(finished, "--cache-features", "--resume")
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (code, err.count("\n")) == (1, 1)
    assert "train/cnn" in err
    assert "names_and_sizes" in err


def test_a_damaged_file_of_a_run_is_named(train, finished, tmp_path):
    lines = (finished / "history.jsonl").read_text().splitlines(keepends=True)
    last = finished / "checkpoints" / "last.keras"
    other = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    for path, content, message in (
        ("history.jsonl", b"", r"each of 4 epochs. Received: .*history.jsonl with 0"),
        ("history.jsonl", "".join(lines[:3]).encode(), "history.jsonl with 3"),
        ("history.jsonl", f"{lines[0]}no\n".encode(), "history.jsonl, line 2: no"),
        ("history.jsonl", b'{"epoch": 1}\n', "history.jsonl, line 1"),
        ("config.json", b"[]", "configuration. Received: .*config.json"),
        ("checkpoints/last.keras", b"no zip", "Cannot read .*last.keras, it is damaged"),
        ("checkpoints/last.keras", last.read_bytes()[:3000], "last.keras, it is damaged"),
        ("checkpoints/last.keras", (tmp_path / "other.keras").read_bytes(),
         "RankingModel in .*last.keras. Received: Sequential"),
    ):  # fmt: skip
        before = (finished / path).read_bytes()
        (finished / path).write_bytes(content)
        code, out, err = train(finished, "--cache-features", "--resume")
        (finished / path).write_bytes(before)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert re.search(message, err), err
    assert train(finished, "--cache-features", "--resume")[0] == 0


@pytest.mark.slow
def test_a_run_without_a_whole_epoch_may_begin_anew_with_other_options(train, tmp_path):
    output, options = tmp_path / "run", ("--cache-features", "--datasets", "train/cnn")
    assert train(output, *options, "--learning-rate", 1e38)[0] == 1
    assert train(output, *options)[0] == 1
    assert train(output, *options, "--resume")[0] == 0
    assert json.loads((output / "config.json").read_text())["options"]["learning_rate"] == 1e-3
