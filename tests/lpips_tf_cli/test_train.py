"""`lpips-tf train`: what a run leaves behind, how it goes on, and what it refuses."""

import json
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from benchmarks.synthetic_bapps import write_photographs
from checking import ROOT, numbers

import lpips_tf
import tfds_bapps
from lpips_tf.weights import weight_files
from lpips_tf_cli import main
from lpips_tf_cli.bapps.sources import open_source
from lpips_tf_cli.training_runs import learning_curves
from lpips_tf_cli.training_runs.epoch_callbacks import Seeds
from lpips_tf_cli.training_runs.epochs import Shuffling, of_differences, of_images
from lpips_tf_cli.training_runs.run_folder import Run
from tfds_bapps import tree

COUNTS = dict.fromkeys(tree.splits("2afc"), 1) | {
    "train_traditional": 33, "train_cnn": 12, "val_cnn": 7
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as outside of tests
COMMAND = [sys.executable, "-c", "from lpips_tf_cli.main import main; main()", "train"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("bapps")
    for seed, (split, count) in enumerate(COUNTS.items()):
        write_photographs(root, "2afc", split, count, seed)
    return root


@pytest.fixture(scope="module")
def prepared(root, tmp_path_factory):
    """What TFDS prepares of it."""
    folder = tmp_path_factory.mktemp("prepared")
    config = tfds.download.DownloadConfig(manual_dir=root)
    tfds.builder("bapps/2afc", data_dir=folder).download_and_prepare(download_config=config)
    return folder


def arguments(root, output, *others):
    if "--datasets" not in others:
        others = ("--datasets", "train/traditional", "train/cnn", *others)
    return [
        "--bapps-dir", root, "--output", output, "--batch-size", 10, "--epochs", 2,
        "--decay-epochs", 2, "--learning-rate", 1e-3, *others,
    ]  # fmt: skip


@pytest.fixture
def train(run_program, root, tmp_path, monkeypatch):
    """`train(output, *options)`: code, output, errors of a training in this process."""
    monkeypatch.setenv("LPIPS_TF_HOME", str(tmp_path / "home"))
    return lambda output, *others: run_program(
        main.main, "train", *arguments(root, output, *others)
    )


def arrays(path):
    return weight_files.read(path).arrays


def first_triplets(root, count=7):
    examples = tfds_bapps.load_tree(root, "2afc", "val_cnn").batch(count)
    batch = next(iter(examples))
    return [batch[name].numpy() for name in ("ref", "p0", "p1")]


def history(output):
    return [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]


def tags(folder):
    """What a TensorBoard log has, by kind."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), {"tensors": 0}).Reload().Tags()["tensors"]


def test_the_legend_covers_no_curve(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    record = {"loss": 0.6, "two_afc": 0.7}
    history = [{"epoch": i, **record, "val_loss": 0.5, "val_two_afc": 0.6} for i in (1, 2)]
    learning_curves.save_curves(tmp_path / "curve.png", history)
    learning_curves.save_curves(tmp_path / "curve.png", [{"epoch": 1, **record}])
    (legend,) = drawn[0].legends
    drawn[0].canvas.draw()
    for axes in drawn[0].axes:
        assert axes.get_legend() is None
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert drawn[1].legends == []


@pytest.mark.parametrize("cache", [(), ("--cache-features",)])
def test_leaves_heads_history_curves_logs_and_checkpoints(train, tmp_path, root, cache):
    output = tmp_path / "run"
    code, out, err = train(output, "--validation", "val/cnn", *cache)
    assert (code, len(err.splitlines())) == (0, 4)
    assert re.fullmatch(rf"{output}/heads.h5: heads of alex 0.1, 2AFC in training \d\d\.\d%\n", out)
    records = history(output)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert [record["learning_rate"] for record in records] == [0.001, 0.001, 0.001, 0.0005]
    assert set(records[0]) == {
        "epoch", "loss", "two_afc", "val_loss", "val_two_afc", "learning_rate", "seconds",
    }  # fmt: skip
    assert records[-1]["loss"] < records[0]["loss"]
    config = json.loads((output / "config.json").read_text())
    counts = {name: about["triplets"] for name, about in config["data"].items()}
    assert counts == {"train/traditional": 33, "train/cnn": 12, "val/cnn": 7}
    assert config["versions"]["keras"] == keras.__version__
    assert (output / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert set(tags(output / "tensorboard" / "heads")) == {
        "triplets",
        *(f"head{i}" for i in range(5)),
    }
    assert {"epoch_loss", "epoch_two_afc"} <= set(tags(output / "tensorboard" / "train"))

    best = keras.saving.load_model(output / "checkpoints" / "best.keras")
    assert int(best.optimizer.iterations) in [5 * record["epoch"] for record in records]
    assert_reloads(output, root, "imagenet")
    metric = lpips_tf.LPIPS(head_weights=output / "heads.h5")
    assert min(numbers(head.kernel).min() for head in metric.heads) >= 0


def assert_reloads(output, root, backbone):
    """The weight files give the distances that the last checkpoint gives."""
    images = first_triplets(root)
    expected = keras.saving.load_model(output / "checkpoints" / "last.keras").metric
    received = lpips_tf.LPIPS(backbone_weights=backbone, head_weights=output / "heads.h5")
    for x, y in zip(received.distances(*images), expected.distances(*images), strict=True):
        np.testing.assert_allclose(numbers(x), numbers(y), atol=1e-6)


@pytest.mark.parametrize("mode", ["tune", "scratch"])
@pytest.mark.slow
def test_trains_the_network(train, run_program, tmp_path, root, mode):
    output = tmp_path / "run"
    code, out, err = train(output, "--mode", mode)
    assert (code, out.count("\n")) == (0, 2), err
    records = history(output)
    assert records[-1]["loss"] < records[0]["loss"]
    assert_reloads(output, root, output / "backbone.h5")
    imagenet = lpips_tf.LPIPS().backbone.get_weights()
    kept = lpips_tf.LPIPS(backbone_weights=output / "backbone.h5").backbone.get_weights()
    assert all((x != y).any() for x, y in zip(imagenet, kept, strict=True))
    code, out, err = run_program(
        main.main, "evaluate", "--bapps-dir", root, "--datasets", "val/cnn", "--json",
        "--head-weights", output / "heads.h5", "--backbone-weights", output / "backbone.h5",
    )  # fmt: skip
    assert (code, err) == (0, "")
    metric = keras.saving.load_model(output / "checkpoints" / "last.keras").metric
    d0, d1 = (numbers(d) for d in metric.distances(*first_triplets(root)))
    judge = [example["judge"] for example in tfds.as_numpy(
        tfds_bapps.load_tree(root, "2afc", "val_cnn"))]  # fmt: skip
    assert json.loads(out)["mean"] == pytest.approx(
        lpips_tf.scores.two_afc_score(d0, d1, np.array(judge)), abs=1e-6
    )


@pytest.mark.parametrize(("cache", "kills"), [((), (0, 2)), (("--cache-features",), (2,))])
@pytest.mark.slow
def test_goes_on_after_kills_to_the_same_weights(train, tmp_path, root, cache, kills):
    assert train(tmp_path / "whole", *cache)[0] == 0
    output = tmp_path / "killed"
    command = [*COMMAND, *map(str, arguments(root, output, "--resume", *cache))]
    for epochs in kills:  # at that time these are finished
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if line.startswith(f"epoch {epochs} of 4") or (epochs == 0 and output.exists()):
                break
            if epochs == 0:
                time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        assert len(history(output) if (output / "history.jsonl").exists() else []) < 4
    code, _, err = train(output, "--resume", *cache)
    assert code == 0
    assert len(err.splitlines()) < 4  # some epochs were there
    whole, killed = arrays(tmp_path / "whole/heads.h5"), arrays(output / "heads.h5")
    for name, array in whole.items():
        np.testing.assert_array_equal(killed[name], array)
    lines = [{k: v for k, v in record.items() if k != "seconds"} for record in history(output)]
    assert lines == [
        {k: v for k, v in record.items() if k != "seconds"}
        for record in history(tmp_path / "whole")
    ]
    # A finished run is left as it is, but for files that are missing.
    (output / "heads.h5").unlink()
    assert train(output, "--resume", *cache)[0] == 0
    np.testing.assert_array_equal(
        arrays(output / "heads.h5")["head0/kernel"], whole["head0/kernel"]
    )


def test_an_interrupted_one_says_how_to_go_on(train, tmp_path, monkeypatch):
    kept = Run.save

    def interrupt(run, model, record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt
        kept(run, model, record)

    monkeypatch.setattr(Run, "save", interrupt)
    code, out, err = train(tmp_path / "run")
    assert (code, out) == (130, "")
    last = err.splitlines()[-1]
    assert last == "lpips-tf: stopped after 1 epoch. The same command with --resume goes on"


def test_what_is_printed_is_what_is_kept(train, tmp_path):
    code, _, err = train(tmp_path / "run", "--validation", "val/cnn")
    printed = [re.findall(r"[\d.]+(?=%| s|,)", line.split(": ")[1]) for line in err.splitlines()]
    assert code == 0 and len(printed) == 4
    for (loss, agreement, *validation, seconds), kept in zip(
        printed, history(tmp_path / "run"), strict=True
    ):
        assert (loss, agreement) == (f"{kept['loss']:.4f}", f"{100 * kept['two_afc']:.1f}")
        assert validation[0] == f"{kept['val_loss']:.4f}"
        assert seconds == f"{kept['seconds']:.1f}"


def test_warns_of_training_on_validation_data(train, tmp_path):
    options = ("--datasets", "train/cnn", "val/cnn", "--epochs", 1, "--decay-epochs", 0)
    code, _, err = train(tmp_path / "a", *options)
    assert code == 0
    assert "lpips-tf: warning: val/cnn of --datasets is for validation. After training on" in err
    options = ("--datasets", "train/cnn", "--validation", "train/cnn", *options[3:])
    code, _, err = train(tmp_path / "b", *options)
    assert "warning: train/cnn of --datasets is for validation" in err


def test_tensorflow_gives_no_advice():
    assert not tf.get_logger().isEnabledFor(logging.WARNING)  # such as on tracing


def test_what_killed_processes_left_is_removed(train, tmp_path):
    output, cache = tmp_path / "run", tmp_path / "home" / "features"
    assert train(output, "--cache-features")[0] == 0
    for path in cache.iterdir():
        path.unlink()
    left = [output / "checkpoints" / ".last-x_y1.keras", output / ".history-a.jsonl"]
    others = [output / ".notes-of-mine", cache / ".old-1.npy", cache / ".new-1.npy"]
    for path in (*left, *others):
        path.touch()
    os.utime(cache / ".old-1.npy", (0, 0))
    assert train(output, "--cache-features", "--resume")[0] == 0
    assert [path.exists() for path in (*left, *others)] == [False, False, True, False, True]


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
    assert named[1:] == [s.replace("_", "/") for s in tree.splits("2afc")[3:]] + ["mean"]
    metric = keras.saving.load_model(tmp_path / "run/checkpoints/last.keras").metric
    d0, d1 = (numbers(d) for d in metric.distances(*first_triplets(root)))
    rows = (tmp_path / "run" / "distances.csv").read_text().splitlines()
    of_cnn = [row.split(",")[1:3] for row in rows if row.startswith('"val/cnn')]
    np.testing.assert_allclose(np.array(of_cnn, float), np.stack([d0, d1], 1), atol=1e-6)


@pytest.mark.slow
def test_seeds_differ(train, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert train(tmp_path / name, "--seed", seed, "--cache-features")[0] == 0
    a, b, c = (arrays(tmp_path / name / "heads.h5")["head0/kernel"] for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()


def limited_to(size):
    """A file-size limit, as a full disk would be."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_good_checkpoint(train, tmp_path, root):
    output, options = tmp_path / "run", ("--cache-features", "--cache-dir", tmp_path / "cache")
    assert train(output, *options)[0] == 0
    lines = history(output)
    last = output / "checkpoints" / "last.keras"
    third = keras.saving.load_model(last)  # as if the run had been killed after its third epoch
    third.optimizer.iterations.assign(15)
    third.save(last)
    before = last.read_bytes()
    command = [*COMMAND, *map(str, arguments(root, output, "--resume", *options))]
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=limited_to(len(before) // 2)
    )
    assert (done.returncode, done.stdout) == (1, "")
    (error,) = done.stderr.splitlines()
    assert re.fullmatch(r"lpips-tf: .*(File too large|last.keras).*", error)
    assert last.read_bytes() == before
    assert int(keras.saving.load_model(last).optimizer.iterations) == 15
    assert list(output.rglob(".*")) == []
    assert train(output, "--resume", *options)[0] == 0
    assert len(history(output)) == len(lines)


def test_a_full_disk_leaves_no_cache(tmp_path, root):
    cache = ("--cache-features", "--cache-dir", tmp_path / "cache")
    command = [*COMMAND, *map(str, arguments(root, tmp_path / "run", *cache))]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited_to(100_000))
    assert (done.returncode, done.stdout) == (1, "")
    (error,) = done.stderr.splitlines()
    assert "File too large" in error
    assert list((tmp_path / "cache").iterdir()) == []


def test_changed_data_is_not_taken_from_the_cache(train, root, tmp_path, monkeypatch):
    assert train(tmp_path / "a", "--cache-features")[0] == 0
    cache = tmp_path / "home" / "features"
    assert len(list(cache.iterdir())) == 2
    path = root / "2afc/train/cnn/p0/000003.png"
    try:
        path.touch()
        assert train(tmp_path / "b", "--cache-features")[0] == 0
        assert len(list(cache.iterdir())) == 3
    finally:
        os.utime(path, (0, 0))


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


@pytest.mark.slow
def test_several_hosts_train_the_same_heads(train, tmp_path, root):
    """Two processes of one machine as hosts, each with half of a batch."""
    options = ("--dropout", 0, "--validation", "val/cnn", "--batch-size", 6, "--datasets",
               "train/cnn")  # fmt: skip
    assert train(tmp_path / "one", *options)[0] == 0
    ports = free_ports(2)
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    command = [*COMMAND, *map(str, arguments(root, tmp_path / "two", *options))]
    processes = []
    for i in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": i}}
        environment = os.environ | {"TF_CONFIG": json.dumps(task)}
        processes.append(subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ))  # fmt: skip
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [out.count("\n") for out, _ in outputs] == [1, 0]  # the first writes
    one, two = (arrays(tmp_path / name / "heads.h5") for name in ("one", "two"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, atol=1e-5)
    for x, y in zip(history(tmp_path / "one"), history(tmp_path / "two"), strict=True):
        for name in ("loss", "two_afc", "val_loss", "val_two_afc"):
            assert y[name] == pytest.approx(x[name], abs=1e-5)


@pytest.mark.parametrize("fault", ["options", "refusal"])
@pytest.mark.slow
def test_several_hosts_say_what_stops_them(tmp_path, root, fault):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    if fault == "refusal":
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "file").touch()
    processes = []
    for i in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": i}}
        others = ("--seed", i) if fault == "options" else ()
        processes.append(subprocess.Popen(
            [*COMMAND, *map(str, arguments(root, tmp_path / "run", *others))],
            env=os.environ | {"TF_CONFIG": json.dumps(task)}, stderr=subprocess.PIPE, text=True,
        ))  # fmt: skip
    errors = [process.communicate(timeout=120)[1].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    if fault == "options":
        assert all("same options and data on all hosts" in error for error in errors), errors
    else:
        assert "with other files" in errors[0]
        assert "Another host stopped. It says why" in errors[1]


def free_ports(count):
    import contextlib
    import socket

    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]


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
def test_refuses(train, tmp_path, others, code, message):
    found, out, err = train(tmp_path / "run", *others)
    assert (found, out) == (code, "")
    (line,) = err.splitlines()
    assert re.search(message, line), line
    assert not (tmp_path / "run").exists()


def test_refuses_data_without_judgements(train, root, tmp_path):
    judge = root / "2afc/train/cnn/judge"
    judge.rename(tmp_path / "judge")
    try:
        code, out, err = train(tmp_path / "run")
    finally:
        (tmp_path / "judge").rename(judge)
    assert (code, out) == (1, "")
    assert err == f"lpips-tf: Expected a folder of .npy files. Missing: {judge}\n"
    assert not (tmp_path / "run").exists()


def test_refuses_a_damaged_image_by_name(train, root, tmp_path):
    path = root / "2afc/train/cnn/p1/000004.png"
    content = path.read_bytes()
    path.write_bytes(content[:100])
    try:
        code, out, err = train(tmp_path / "run")
    finally:
        path.write_bytes(content)
    assert (code, out) == (1, "")
    assert str(path) in err.splitlines()[-1]


def test_refuses_damaged_records_of_tfds(run_program, prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.glob("bapps/2afc/*/*train_cnn.tfrecord*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    code, out, err = run_program(
        main.main, "train", "--data-dir", tmp_path, "--datasets", "train/cnn",
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"lpips-tf: Cannot read train/cnn: corrupted record at \d+", err.splitlines()[-1]
    )


def test_refuses_another_run(train, tmp_path):
    output = tmp_path / "run"
    assert train(output, "--cache-features")[0] == 0
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    for others, message in (
        ((), "with a run. --resume goes on with it"),
        (("--resume", "--seed", 1), r"Received: seed 1 instead of 0"),
        (
            ("--resume", "--datasets", "train/cnn"),
            r'datasets \["train/cnn"\] instead of \["train/tr',
        ),
    ):
        code, out, err = train(output, "--cache-features", *others)
        assert (code, out) == (1, "")
        assert re.search(message, err), err
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    code, _, err = train(tmp_path / "other", "--resume")
    assert (code, err.count("\n")) == (1, 1)
    assert "with other files" in err


def test_refuses_to_keep_a_loss_that_is_not_finite(train, tmp_path):
    code, out, err = train(tmp_path / "run", "--learning-rate", 1e38)
    assert (code, out) == (1, "")
    assert re.search(r"finite loss. Received: (nan|inf) in epoch 1. Try a lower", err)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_refuses_to_keep_weights_that_are_not_finite(train, tmp_path, monkeypatch):
    """They may become so in the last step, after the loss is computed."""
    monkeypatch.setattr(Seeds, "on_epoch_end", lambda self, epoch, logs=None: (
        self.model.metric.heads[2].kernel.assign(np.full(384, np.nan))))  # fmt: skip
    code, out, err = train(tmp_path / "run", "--cache-features")
    assert (code, out) == (1, "")
    assert re.search(r"finite weights. Received: head2/kernel with NaN .* after epoch 1.", err)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_refuses_a_damaged_run_and_names_the_file(train, tmp_path):
    output = tmp_path / "run"
    assert train(output, "--cache-features")[0] == 0
    whole = (output / "history.jsonl").read_text()
    lines = whole.splitlines(keepends=True)
    last = output / "checkpoints" / "last.keras"
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
        before = (output / path).read_bytes()
        (output / path).write_bytes(content)
        code, out, err = train(output, "--cache-features", "--resume")
        (output / path).write_bytes(before)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert re.search(message, err), err
    assert train(output, "--cache-features", "--resume")[0] == 0


def test_refuses_other_data_on_the_way(train, root, tmp_path):
    assert train(tmp_path / "run", "--cache-features")[0] == 0
    path = root / "2afc/train/cnn/p0/000003.png"
    content = path.read_bytes()
    path.write_bytes((root / "2afc/train/cnn/p0/000002.png").read_bytes())
    try:
        code, _, err = train(tmp_path / "run", "--cache-features", "--resume")
    finally:
        path.write_bytes(content)
    assert (code, err.count("\n")) == (1, 1)
    assert "train/cnn" in err and "names_and_sizes" in err


def test_a_run_without_a_whole_epoch_may_begin_anew_with_other_options(train, tmp_path):
    output = tmp_path / "run"
    assert train(output, "--cache-features", "--learning-rate", 1e38)[0] == 1
    assert train(output, "--cache-features")[0] == 1
    assert train(output, "--cache-features", "--resume")[0] == 0
    assert json.loads((output / "config.json").read_text())["options"]["learning_rate"] == 1e-3


def test_refuses_a_cache_with_too_few_triplets(train, tmp_path):
    assert train(tmp_path / "a", "--cache-features")[0] == 0
    for path in (tmp_path / "home" / "features").iterdir():
        np.save(path, np.load(path)[:5])
    code, _, err = train(tmp_path / "b", "--cache-features")
    assert (code, err.count("\n")) == (1, 1)
    assert re.search(r"cache of 33 triplets. Received: .*\.npy with 5.", err)


def test_names_the_extra(train, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    code, _, err = train(tmp_path / "run")
    assert code == 1
    assert 'train needs tensorboard, which is not installed: pip install "lpips-tf[train]"' in err
