"""Scores on made data equal the official implementation's, in every way to compute them."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from benchmarks import official
from benchmarks.synthetic_bapps import write_photographs
from checking import ROOT, numbers

import lpips_tf
import tfds_bapps
from lpips_tf import evaluation, scores
from lpips_tf.baselines import DSSIM, L2
from lpips_tf_cli import main
from tfds_bapps import tree

COUNTS = {
    ("2afc", "val_traditional"): 620,
    ("2afc", "val_cnn"): 33,
    ("jnd", "val_traditional"): 150,
    ("jnd", "val_cnn"): 33,
}
needs_official = pytest.mark.skipif(
    not official.INSTALLED, reason="PyTorch and lpips are not installed"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("bapps")
    for (mode, split), count in COUNTS.items():
        write_photographs(root, mode, split, count)
    return root


def examples(root, mode, split="val_traditional"):
    return tfds_bapps.load_tree(root, mode, split)


def direct(metric, root, mode, split="val_traditional"):
    """The same by calls of the metric on single examples."""
    names = ("ref", "p0", "p1") if mode == "2afc" else ("p0", "p1")
    rows = []
    for example in tfds.as_numpy(examples(root, mode, split)):
        first, *others = (example[name][None] for name in names)
        rows.append([float(numbers(metric(first, other))[0]) for other in others])
    return np.array(rows).T


class OfficialLoader:
    """What the official scores take: batches of 50 by the official loader's steps."""

    def __init__(self, root, mode):
        self.arguments = (root / mode / "val/traditional", *tree.MODES[mode][:2])

    def load_data(self):
        return official.bapps_loader(*self.arguments, batch_size=50, workers=0)


@needs_official
def test_2afc_equals_the_official(root, build):
    import torch

    lpips, theirs = official.import_lpips(), official.pretrained_metric("alex")
    loader = OfficialLoader(root, "2afc")
    with torch.no_grad():
        expected, details = lpips.score_2afc_dataset(loader, theirs)
    received = evaluation.distances(build(), examples(root, "2afc"))
    np.testing.assert_allclose(received["d0"], details["d0s"], atol=2e-6, rtol=1e-5)
    np.testing.assert_allclose(received["d1"], details["d1s"], atol=2e-6, rtol=1e-5)
    np.testing.assert_array_equal(received["judge"], details["gts"])
    assert evaluation.score(received) == pytest.approx(expected, abs=1e-12)
    assert 0.6 < expected < 1  # the data says something


@needs_official
def test_jnd_equals_the_official(root, build):
    import torch

    lpips, theirs = official.import_lpips(), official.pretrained_metric("alex")
    loader = OfficialLoader(root, "jnd")
    with torch.no_grad():
        expected, details = lpips.score_jnd_dataset(loader, lambda *pair: theirs(*pair).flatten())
    received = evaluation.distances(build(), examples(root, "jnd"))
    np.testing.assert_allclose(received["distance"], details["ds"], atol=2e-6, rtol=1e-5)
    assert evaluation.score(received) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mode", list(tree.MODES))
@pytest.mark.parametrize("metric", [L2("RGB"), L2(), DSSIM("RGB"), DSSIM()], ids=lambda m: m.name)
def test_baselines_in_batches_equal_single_calls(metric, mode, root):
    received = evaluation.distances(metric, examples(root, mode, "val_cnn"), batch_size=10)
    names = ("d0", "d1") if mode == "2afc" else ("distance",)
    for name, expected in zip(names, direct(metric, root, mode, "val_cnn"), strict=True):
        np.testing.assert_allclose(received[name], expected, atol=1e-6)


def test_any_metric_is_taken(root):
    def brightness(in0, in1):
        means = (tf.reduce_mean(tf.cast(x, tf.float32), (1, 2, 3)) for x in (in0, in1))
        return tf.abs(tf.subtract(*means))

    received = evaluation.distances(brightness, examples(root, "2afc", "val_cnn"))
    expected = direct(brightness, root, "2afc", "val_cnn")
    np.testing.assert_allclose([received["d0"], received["d1"]], expected, atol=1e-4)


def test_the_order_of_prepared_data_is_that_of_the_tree(root, tmp_path, build):
    builder = tfds.builder("bapps/jnd", data_dir=tmp_path)
    config = tfds.download.DownloadConfig(manual_dir=root)
    builder.download_and_prepare(download_config=config)
    prepared = evaluation.distances(build(), builder.as_dataset(split="val_cnn"))
    read = evaluation.distances(build(), examples(root, "jnd", "val_cnn"), batch_size=7)
    assert list(prepared["id"]) == list(read["id"]) == [f"{i:06}" for i in range(33)]
    np.testing.assert_allclose(prepared["distance"], read["distance"], atol=1e-6)


def test_the_confidence_interval_holds_the_score_and_shrinks():
    rng = np.random.default_rng(0)
    widths = []
    for count in (100, 1600):
        d0, d1 = rng.random((2, count))
        judge = np.where(rng.random(count) < 0.7, d1 < d0, d0 < d1)
        columns = {"id": np.arange(count), "d0": d0, "d1": d1, "judge": judge.astype(float)}
        low, high = evaluation.confidence_interval(columns)
        assert low < evaluation.score(columns) < high
        widths.append(high - low)
        # A mean of n coin tosses of probability p deviates by √(p (1 - p) / n).
        assert widths[-1] == pytest.approx(2 * 1.96 * (0.7 * 0.3 / count) ** 0.5, rel=0.2)
    assert widths[1] < widths[0] / 3
    single = {name: column[:1] for name, column in columns.items()}
    assert np.isnan(evaluation.confidence_interval(single)).all()


def test_refuses_other_data(build):
    other = tf.data.Dataset.from_tensors({"image": np.zeros((64, 64, 3), "uint8")})
    with pytest.raises(ValueError, match=r"bapps/2afc or bapps/jnd. Received: .*image"):
        evaluation.distances(build(), other)
    empty = examples_of_nothing()
    with pytest.raises(ValueError, match="Received: an empty data set"):
        evaluation.distances(build(), empty)


def examples_of_nothing():
    image = np.zeros((0, 64, 64, 3), "uint8")
    columns = {"id": np.array([], "S"), "p0": image, "p1": image, "same": np.zeros(0, "f4")}
    return tf.data.Dataset.from_tensor_slices(columns)


@pytest.mark.parametrize("metric", [lambda a, b: tf.zeros(3), lambda a, b: tf.zeros((33, 1))])
def test_refuses_metrics_that_give_something_else(metric, root):
    with pytest.raises(ValueError, match=r"one distance for each of 33 pairs. Received: d0.shape"):
        evaluation.distances(metric, examples(root, "2afc", "val_cnn"))


def test_batches_are_no_larger_than_the_data(root):
    data = examples(root, "jnd", "val_cnn")
    whole = evaluation.distances(L2(), data, batch_size=10**12)
    np.testing.assert_allclose(whole["distance"], evaluation.distances(L2(), data, 5)["distance"])
    with pytest.raises(ValueError, match=r"at least 1. Received: 0"):
        evaluation.distances(L2(), data, batch_size=0)


REPLICAS = """
    import json, sys
    import tensorflow as tf
    import lpips_tf, tfds_bapps
    from lpips_tf import evaluation
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    data = tfds_bapps.load_tree(sys.argv[1], "2afc", "val_cnn")
    with strategy.scope():
        metric = lpips_tf.LPIPS()
        columns = evaluation.distances(metric, data, batch_size=16)  # 16, 16 and 1
    print(json.dumps([columns[name].tolist() for name in ("id", "d0", "d1", "judge")]))
"""


@pytest.mark.slow
def test_two_replicas_give_the_same(root, build):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REPLICAS), str(root)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    received = json.loads(done.stdout.splitlines()[-1])
    expected = evaluation.distances(build(), examples(root, "2afc", "val_cnn"))
    assert received[0] == list(expected["id"])
    for column, name in zip(received[1:], ("d0", "d1", "judge"), strict=True):
        np.testing.assert_allclose(column, expected[name], atol=1e-6)


def run(run_program, *arguments):
    return run_program(main.main, "evaluate", *arguments)


def test_command_prints_a_table(run_program, root):
    code, out, err = run(
        run_program, "--bapps-dir", root, "--datasets", "val/cnn", "val/traditional"
    )
    assert (code, err) == (0, "")
    head, cnn, traditional, mean = out.splitlines()
    assert head.split() == ["dataset", "score", "95%", "interval", "count", "seconds"]
    assert cnn.split()[0] == "val/cnn" and cnn.split()[5] == "33"
    assert traditional.split()[0] == "val/traditional" and traditional.split()[5] == "620"
    first, second, average = (
        float(line.split()[1].rstrip("%")) for line in (cnn, traditional, mean)
    )
    assert average == pytest.approx((first + second) / 2, abs=0.1)


def test_command_scores_what_is_there_and_names_the_rest(run_program, root):
    code, out, err = run(run_program, "--bapps-dir", root, "--model", "l2")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "val/traditional", "val/cnn", "mean"
    ]  # fmt: skip
    assert err == (
        f"lpips-tf: warning: {root} lacks val/superres, val/deblur, val/color, "
        "val/frameinterp. Only the others count\n"
    )


def test_command_prints_json_and_writes_distances(run_program, root, tmp_path, build):
    path = tmp_path / "distances.csv"
    code, out, err = run(
        run_program, "--mode", "jnd", "--bapps-dir", root, "--json", "--save-distances", path
    )
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert {k: report[k] for k in ("mode", "model", "net", "version")} == {
        "mode": "jnd", "model": "lpips", "net": "alex", "version": "0.1"
    }  # fmt: skip
    rows = list(csv.DictReader(path.open()))
    assert [row["id"] for row in rows[:2]] == ["val/traditional/000000", "val/traditional/000001"]
    for name, part in (("traditional", rows[:150]), ("cnn", rows[150:])):
        expected = evaluation.distances(build(), examples(root, "jnd", f"val_{name}"))
        written = {key: np.array([row[key] for row in part], "f4") for key in ("distance", "same")}
        np.testing.assert_allclose(written["distance"], expected["distance"], atol=1e-6)
        np.testing.assert_array_equal(written["same"], expected["same"])
        (entry,) = (e for e in report["datasets"] if e["dataset"] == f"val/{name}")
        assert entry["score"] == pytest.approx(evaluation.score(expected), abs=1e-6)
        assert entry["low"] <= entry["score"] <= entry["high"]
        assert entry["count"] == len(part) and entry["seconds"] > 0
    assert report["mean"] == pytest.approx(np.mean([e["score"] for e in report["datasets"]]))


@pytest.mark.parametrize(
    "options, metric",
    [
        (["--model", "baseline", "--net", "vgg"], lambda: lpips_tf.LPIPS("vgg", lpips=False)),
        (["--version", "0.0"], lambda: lpips_tf.LPIPS(version="0.0")),
        (["--model", "l2"], L2),
        (["--model", "dssim", "--colorspace", "RGB", "--batch-size", "7"], lambda: DSSIM("RGB")),
    ],
)
def test_command_scores_every_model(run_program, root, options, metric):
    code, out, _ = run(
        run_program, "--bapps-dir", root, "--datasets", "val/cnn", "--json", *options
    )
    assert code == 0
    columns = evaluation.distances(metric(), examples(root, "2afc", "val_cnn"))
    assert json.loads(out)["mean"] == pytest.approx(evaluation.score(columns), abs=1e-6)


def test_command_takes_trained_heads(run_program, root, tmp_path):
    import torch_files

    from lpips_tf.weights.torch_checkpoints import HEAD_CHANNELS

    rng = np.random.default_rng(0)
    heads = {
        f"lin{i}.model.1.weight": rng.random((1, c, 1, 1)).astype("f4")
        for i, c in enumerate(HEAD_CHANNELS["alex"])
    }
    path = torch_files.save(tmp_path / "heads.pth", heads)
    code, out, _ = run(
        run_program, "--bapps-dir", root, "--datasets", "val/cnn", "--json", "--head-weights", path
    )
    assert code == 0
    metric = lpips_tf.LPIPS(head_weights=path)
    columns = evaluation.distances(metric, examples(root, "2afc", "val_cnn"))
    assert json.loads(out)["mean"] == pytest.approx(scores.two_afc_score(
        columns["d0"], columns["d1"], columns["judge"]), abs=1e-6)  # fmt: skip


def test_command_reads_prepared_data(run_program, root, tmp_path, capsys):
    config = tfds.download.DownloadConfig(manual_dir=root)
    builder = tfds.builder("bapps/jnd", data_dir=tmp_path)
    builder.download_and_prepare(download_config=config)
    capsys.readouterr()  # what TFDS prints
    arguments = ("--mode", "jnd", "--json", "--datasets", "val/cnn")
    results = [
        json.loads(run(run_program, *arguments, option, folder)[1])["mean"]
        for option, folder in (("--data-dir", tmp_path), ("--bapps-dir", root))
    ]
    assert results[0] == pytest.approx(results[1], abs=1e-6)


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--datasets", "val/cnm"], 2, "val/frameinterp. Received: val/cnm"),
        (["--mode", "jnd", "--datasets", "val/cnn", "val/color"], 2, "Received: val/color"),
        (["--datasets"], 2, "--datasets"),
        (["--model", "l2", "--head-weights", "x"], 2, "Expected --model lpips with it"),
        (["--model", "l2", "--net", "vgg"], 2, "--net: Expected --model lpips or baseline"),
        (["--colorspace", "RGB"], 2, "--colorspace: Expected --model l2 or dssim with it"),
        (["--bapps-dir", "x", "--data-dir", "y"], 2, "one of --bapps-dir and --data-dir"),
        (["--save-distances", "x.txt"], 2, "ends in .csv. Received: x.txt"),
        (["--batch-size", "0"], 2, "--batch-size"),
        (["--bapps-dir", "nowhere"], 1, "Received: nowhere without 2afc/val/traditional"),
        (["--data-dir", "nowhere"], 1, r"prepared.*nowhere.* without. .* docs/bapps.md says"),
        (["--bapps-dir", "here", "--head-weights", "none.h5"], 1, "none.h5"),
        (["--bapps-dir", "here", "--save-distances", "no/x.csv"], 1, "Cannot write no/x.csv"),
    ],
)
def test_command_refuses(run_program, root, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").symlink_to(root)
    if "here" in arguments:
        arguments = [*arguments, "--datasets", "val/cnn"]
    received, out, err = run(run_program, *arguments)
    assert (received, out) == (code, "")
    assert err.startswith("lpips-tf: ") and err.count("\n") == 1
    assert re.search(message, err), err


def test_command_names_the_image_that_is_damaged(run_program, tmp_path):
    write_photographs(tmp_path, "jnd", "val_cnn", 5)
    (tmp_path / "jnd/val/cnn/p1/000003.png").write_text("no image")
    path = tmp_path / "distances.csv"
    code, out, err = run(
        run_program, "--mode", "jnd", "--bapps-dir", tmp_path, "--datasets", "val/cnn",
        "--save-distances", path,
    )  # fmt: skip
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "Expected a PNG image. Received:" in err and "p1/000003.png" in err
    assert not path.exists()


def test_command_scores_a_single_example_once(run_program, tmp_path):
    write_photographs(tmp_path, "jnd", "val_cnn", 1)
    arguments = ("--mode", "jnd", "--bapps-dir", tmp_path, "--datasets", "val/cnn", "val/cnn")
    code, out, _ = run(run_program, *arguments, "--json")
    (entry,) = json.loads(out, parse_constant=pytest.fail)["datasets"]
    assert (code, entry["low"], entry["high"], entry["count"]) == (0, None, None, 1)
    assert "nan" not in run(run_program, *arguments)[1]


@pytest.mark.filterwarnings("ignore:label")  # protobuf's, of TFDS
def test_command_says_that_prepared_data_is_damaged(run_program, root, tmp_path, capsys):
    builder = tfds.builder("bapps/jnd", data_dir=tmp_path)
    config = tfds.download.DownloadConfig(manual_dir=root)
    builder.download_and_prepare(download_config=config)
    capsys.readouterr()
    (record,) = tmp_path.glob("bapps/jnd/*/*val_cnn.tfrecord*")
    record.write_bytes(record.read_bytes()[:-10000])
    code, out, err = run(
        run_program, "--mode", "jnd", "--data-dir", tmp_path, "--datasets", "val/cnn"
    )
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert (
        re.search(r"Cannot read val/cnn: .*truncated record", err) and "IteratorGetNext" not in err
    )


def test_terminated_leaves_nothing(root, tmp_path):
    command = [sys.executable, "-c", "from lpips_tf_cli.main import main; main()", "evaluate",
               "--bapps-dir", str(root), "--save-distances", "x.csv"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    deadline = time.monotonic() + 20
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_command_names_the_missing_extra(run_program, root, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    code, out, err = run(run_program, "--bapps-dir", root)
    assert (code, out) == (1, "")
    assert 'evaluate needs scipy, which is not installed: pip install "lpips-tf[bapps]"' in err


def test_other_backends_are_refused(root, build, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"TensorFlow backend. Received: KERAS_BACKEND=jax"):
        evaluation.distances(L2, None)


def test_command_says_that_other_hosts_have_no_part(run_program, root, monkeypatch):
    cluster = {"worker": ["localhost:1", "localhost:2"]}
    task = {"type": "worker", "index": 0}
    arguments = ["evaluate", "--bapps-dir", root, "--datasets", "val/cnn", "--json"]
    code, alone, _ = run_program(main.main, *arguments)
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    code, out, err = run_program(main.main, *arguments)
    assert code == 0
    assert "warning: TF_CONFIG names 2 hosts, but this command computes all of its work on" in err
    assert json.loads(out)["mean"] == json.loads(alone)["mean"]
