"""`lpips-tf evaluate`, as a person calls it."""

import csv
import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
import torch_files
from benchmarks.synthetic_bapps import write_photographs
from checking import ROOT

import lpips_tf
from lpips_tf import evaluation, scores
from lpips_tf.baselines import DSSIM, L2
from tfds_bapps import load_tree, tree


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tree with two of the data sets of each mode."""
    root = tmp_path_factory.mktemp("bapps")
    for mode in tree.MODES:
        write_photographs(root, mode, "val_traditional", 40)
        write_photographs(root, mode, "val_cnn", 33)
    return root


@pytest.fixture(scope="module")
def prepared(root, tmp_path_factory):
    """What TFDS prepares of its pairs."""
    folder = tmp_path_factory.mktemp("prepared")
    config = tfds.download.DownloadConfig(manual_dir=root)
    tfds.builder("bapps/jnd", data_dir=folder).download_and_prepare(download_config=config)
    return folder


@pytest.fixture
def evaluate(run):
    """`evaluate(*arguments)`: exit code, standard output and standard error."""
    return functools.partial(run, "evaluate")


def score(metric, root):
    """The score of val/cnn."""
    return evaluation.score(evaluation.distances(metric, load_tree(root, "2afc", "val_cnn")))


def test_evaluate_prints_a_table_of_scores_and_their_mean(evaluate, root):
    code, out, err = evaluate("--bapps-dir", root, "--datasets", "val/cnn", "val/traditional")
    assert (code, err) == (0, "")
    head, cnn, traditional, mean = out.splitlines()
    assert re.split("  +", head) == [
        "dataset",
        "score",
        "95% interval",
        "of best",
        "count",
        "seconds",
    ]
    assert (cnn.split()[0], cnn.split()[6]) == ("val/cnn", "33")
    assert (traditional.split()[0], traditional.split()[6]) == ("val/traditional", "40")
    judge = [e["judge"] for e in tfds.as_numpy(load_tree(root, "2afc", "val_cnn"))]
    best = 100 * score(DSSIM(), root) / scores.best_two_afc_score(judge)
    _, table, _ = evaluate("--bapps-dir", root, "--datasets", "val/cnn", "--model", "dssim")
    assert float(table.splitlines()[1].split()[5].rstrip("%")) == pytest.approx(best, abs=0.06)
    first, second, average = (
        float(line.split()[1].rstrip("%")) for line in (cnn, traditional, mean)
    )
    assert average == pytest.approx((first + second) / 2, abs=0.1)


def test_only_data_sets_that_are_there_count_and_the_others_are_named(evaluate, root):
    code, out, err = evaluate("--bapps-dir", root, "--model", "l2")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "val/traditional", "val/cnn", "mean"
    ]  # fmt: skip
    assert err == (
        f"lpips-tf: warning: {root} lacks val/superres, val/deblur, val/color, "
        "val/frameinterp. Only the others count\n"
    )


def test_json_has_scores_and_the_csv_file_the_distances(evaluate, root, tmp_path, build):
    path = tmp_path / "distances.csv"
    code, out, err = evaluate(
        "--mode", "jnd", "--bapps-dir", root, "--json", "--save-distances", path
    )
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert {k: report[k] for k in ("mode", "model", "net", "version")} == {
        "mode": "jnd", "model": "lpips", "net": "alex", "version": "0.1"
    }  # fmt: skip
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["id"] for row in rows[:2]] == ["val/traditional/000000", "val/traditional/000001"]
    for name, part in (("traditional", rows[:40]), ("cnn", rows[40:])):
        expected = evaluation.distances(build(), load_tree(root, "jnd", f"val_{name}"))
        written = {key: np.array([row[key] for row in part], "f4") for key in ("distance", "same")}
        np.testing.assert_allclose(written["distance"], expected["distance"], atol=1e-6)
        np.testing.assert_array_equal(written["same"], expected["same"])
        (entry,) = (e for e in report["datasets"] if e["dataset"] == f"val/{name}")
        assert entry["score"] == pytest.approx(evaluation.score(expected), abs=1e-6)
        assert entry["low"] <= entry["score"] <= entry["high"]
        assert entry["count"] == len(part)
        assert entry["seconds"] > 0
    assert report["mean"] == pytest.approx(np.mean([e["score"] for e in report["datasets"]]))


@pytest.mark.parametrize(
    ("options", "metric"),
    [
        pytest.param(
            ["--model", "baseline", "--net", "vgg"],
            lambda: lpips_tf.LPIPS("vgg", lpips=False),
            marks=pytest.mark.slow,
        ),
        (["--version", "0.0"], lambda: lpips_tf.LPIPS(version="0.0")),
        (["--model", "l2"], L2),
        (["--model", "dssim", "--colorspace", "RGB", "--batch-size", "7"], lambda: DSSIM("RGB")),
    ],
)
def test_each_model_is_scored_with_its_options(evaluate, root, options, metric):
    code, out, _ = evaluate("--bapps-dir", root, "--datasets", "val/cnn", "--json", *options)
    assert code == 0
    assert json.loads(out)["mean"] == pytest.approx(score(metric(), root), abs=1e-6)


def test_trained_heads_are_scored(evaluate, root, tmp_path):
    path = torch_files.save(tmp_path / "heads.pth", torch_files.head_tensors("alex"))
    code, out, _ = evaluate(
        "--bapps-dir", root, "--datasets", "val/cnn", "--json", "--head-weights", path
    )
    assert code == 0
    expected = score(lpips_tf.LPIPS(head_weights=path), root)
    assert json.loads(out)["mean"] == pytest.approx(expected, abs=1e-6)


def test_prepared_data_have_the_score_of_the_tree(evaluate, root, prepared):
    arguments = ("--mode", "jnd", "--json", "--datasets", "val/cnn")
    results = [
        json.loads(evaluate(*arguments, option, folder)[1])["mean"]
        for option, folder in (("--data-dir", prepared), ("--bapps-dir", root))
    ]
    assert results[0] == pytest.approx(results[1], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
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
def test_wrong_options_of_evaluate_are_one_line(
    evaluate, root, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").symlink_to(root)
    if "here" in arguments:
        arguments = [*arguments, "--datasets", "val/cnn"]
    received, out, err = evaluate(*arguments)
    assert (received, out) == (code, "")
    assert err.startswith("lpips-tf: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_the_image_that_is_damaged_is_named_and_nothing_written(evaluate, tmp_path):
    write_photographs(tmp_path, "jnd", "val_cnn", 5)
    (tmp_path / "jnd/val/cnn/p1/000003.png").write_text("no image")
    path = tmp_path / "distances.csv"
    code, out, err = evaluate("--mode", "jnd", "--bapps-dir", tmp_path, "--datasets", "val/cnn",
        "--save-distances", path,
    )  # fmt: skip
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "Expected a PNG image. Received:" in err
    assert "p1/000003.png" in err
    assert not path.exists()


def test_a_single_example_has_no_interval(evaluate, tmp_path):
    write_photographs(tmp_path, "jnd", "val_cnn", 1)
    arguments = ("--mode", "jnd", "--bapps-dir", tmp_path, "--datasets", "val/cnn", "val/cnn")
    code, out, _ = evaluate(*arguments, "--json")
    (entry,) = json.loads(out, parse_constant=pytest.fail)["datasets"]
    assert (code, entry["low"], entry["high"], entry["count"]) == (0, None, None, 1)
    assert "nan" not in evaluate(*arguments)[1]


def test_prepared_data_that_are_damaged_are_told_in_one_line(evaluate, prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    (record,) = tmp_path.glob("bapps/jnd/*/*val_cnn.tfrecord*")
    record.write_bytes(record.read_bytes()[:-10000])
    code, out, err = evaluate("--mode", "jnd", "--data-dir", tmp_path, "--datasets", "val/cnn")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search(r"Cannot read val/cnn: .*truncated record", err)
    assert "IteratorGetNext" not in err


@pytest.mark.slow
def test_an_evaluation_that_is_terminated_leaves_nothing(root, tmp_path):
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


def test_evaluate_names_its_extra_where_scipy_is_missing(evaluate, root, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    code, out, err = evaluate("--bapps-dir", root)
    assert (code, out) == (1, "")
    assert 'evaluate needs scipy, which is not installed: pip install "lpips-tf[bapps]"' in err


@pytest.mark.slow
def test_other_hosts_of_a_cluster_are_told_to_have_no_part(evaluate, root, monkeypatch):
    cluster = {"worker": ["localhost:1", "localhost:2"]}
    task = {"type": "worker", "index": 0}
    arguments = ["--bapps-dir", root, "--datasets", "val/cnn", "--json"]
    code, alone, _ = evaluate(*arguments)
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    code, out, err = evaluate(*arguments)
    assert code == 0
    assert "warning: TF_CONFIG names 2 hosts, but this command computes all of its work on" in err
    assert json.loads(out)["mean"] == json.loads(alone)["mean"]


@pytest.mark.slow
def test_families_of_data_sets_have_the_means_of_the_paper(evaluate, tmp_path):
    for seed, split in enumerate(s for s in tree.splits("2afc") if s.startswith("val")):
        write_photographs(tmp_path, "2afc", split, 8, seed)
    options = ("--bapps-dir", tmp_path, "--model", "l2")
    answer = json.loads(evaluate(*options, "--json")[1])
    found = {entry["dataset"].removeprefix("val/"): entry["score"] for entry in answer["datasets"]}
    means = {
        "distortions": (found["traditional"] + found["cnn"]) / 2,
        "algorithms": sum(found[n] for n in ("superres", "deblur", "color", "frameinterp")) / 4,
    }
    assert answer["families"] == pytest.approx(means)
    assert answer["mean"] == pytest.approx(np.mean(list(found.values())))
    names = [line.split()[0] for line in evaluate(*options)[1].splitlines()]
    assert names[-3:] == ["distortions", "algorithms", "mean"]


@pytest.fixture(scope="module")
def saved(root, tmp_path_factory):
    """Files of distances of two metrics, of each mode."""
    folder = tmp_path_factory.mktemp("distances")
    for mode, model in itertools.product(tree.MODES, (L2("RGB"), DSSIM("RGB"))):
        rows = []
        for split in ("val_traditional", "val_cnn"):
            columns = evaluation.distances(model, load_tree(root, mode, split))
            ids = [f"{split.replace('_', '/')}/{name}" for name in columns.pop("id")]
            rows += zip(ids, *columns.values(), strict=True)
        with (folder / f"{mode}-{model.name}.csv").open("w") as file:
            csv.writer(file).writerows([["id", *columns], *rows])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(tree.MODES))
def test_two_files_of_distances_are_compared(evaluate, saved, root, mode):
    a, b = saved / f"{mode}-l2.csv", saved / f"{mode}-dssim.csv"
    code, out, err = evaluate("--compare", a, b, "--json")
    assert (code, err) == (0, "")
    *parts, mean = json.loads(out)["datasets"]
    assert [part["dataset"] for part in (*parts, mean)] == ["val/traditional", "val/cnn", "mean"]
    models = (L2("RGB"), DSSIM("RGB"))
    columns = [evaluation.distances(m, load_tree(root, mode, "val_cnn")) for m in models]
    expected = evaluation.compare(*columns)._asdict()
    assert {k: v for k, v in parts[1].items() if k != "dataset"} == pytest.approx(
        expected, abs=1e-6
    )
    assert mean["difference"] == pytest.approx(np.mean([p["difference"] for p in parts]))
    code, out, _ = evaluate("--compare", a, b)
    assert code == 0
    assert re.split("  +", out.splitlines()[0]) == [
        "dataset",
        "A",
        "B",
        "A - B",
        "95% interval",
        "p",
    ]
    assert len(out.splitlines()) == 4


@pytest.mark.slow
def test_files_that_are_not_of_the_same_examples_are_refused(evaluate, saved, tmp_path):
    good = saved / "2afc-l2.csv"
    lines = good.read_text().splitlines(keepends=True)
    contents = {
        "val/cnn in": lines[:41],
        "same examples": lines[:-1],
        "judge and 0 rows": lines[:1],
        "with distance and": ["distance\n", "0.5\n"],
        "line 2": [lines[0], "val/cnn/0,1,text,0.5\n"],
        "without a line": [],
    }
    for part, content in contents.items():
        bad = tmp_path / "bad.csv"
        bad.write_text("".join(content))
        code, out, err = evaluate("--compare", good, bad)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert part in err
    for other in (saved / "jnd-l2.csv", tmp_path / "none.csv"):
        code, out, err = evaluate("--compare", good, other)
        assert (code, out, err.count("\n")) == (1, "", 1)
    (tmp_path / "bad.csv").write_bytes(b"id,d0\xff")
    assert evaluate("--compare", good, tmp_path / "bad.csv")[0] == 1
    code, _, err = evaluate("--compare", good, good, "--net", "vgg")
    assert (code, "--net" in err) == (2, True)
