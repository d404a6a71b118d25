"""scripts/evaluate_paper.sh gives Table 5's rows beside the published numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bapps_files
import paper_table
import pytest
from checking import ROOT, SQUEEZENET

import weights_conversion.__main__ as conversion
from tfds_bapps import tree

COUNT = 4


def test_published_means_are_the_papers_last_column():
    """Which the table has beside the six data sets, rounded from more digits than they are."""
    means = {"Human": 73.9, "L2": 63.2, "SSIM": 63.1, "SqueezeNet": 68.6, "AlexNet": 68.9,
             "VGG": 67.0, "Squeeze – lin": 70.0, "Alex – lin": 69.8, "VGG – lin": 69.2}  # fmt: skip
    rows = paper_table.published()
    assert set(rows) == set(means)
    for name, scores in rows.items():
        assert sum(scores.values()) / 6 == pytest.approx(means[name], abs=0.1)


@pytest.mark.slow
def test_the_script_scores_every_model_and_goes_on_after_an_interruption(tmp_path, run_program):
    bapps_files.write_tree(
        tmp_path / "bapps", "2afc", {s: COUNT for s in tree.splits("2afc") if "val" in s}
    )
    home = tmp_path / "home"
    if SQUEEZENET.exists():
        arguments = ("backbone", SQUEEZENET, "-o", home / "squeeze_imagenet.h5", "--source", "x")
        home.mkdir()
        assert run_program(conversion.main, *arguments)[0] == 0
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LPIPS_TF_HOME": str(home),
        "https_proxy": "http://127.0.0.1:9",  # no download
    }
    # What an earlier run left is kept as it is.
    out = tmp_path / "out"
    out.mkdir()
    run = {"lpips-alex-0.1", "lpips-squeeze-0.0"}
    models = [f"{m}-{n}-{v}" for m in ("baseline", "lpips")
              for n in ("alex", "vgg", "squeeze") for v in ("0.1", "0.0")]  # fmt: skip
    for name in {"l2", "dssim", *models} - run:
        kept = [{"dataset": d, "score": 0.123} for d in paper_table.published()["VGG"]]
        (out / f"{name}.json").write_text(json.dumps({"datasets": kept}))
    command = [str(ROOT / "scripts/evaluate_paper.sh"), str(out), "--bapps-dir"]
    done = subprocess.run(
        [*command, str(tmp_path / "bapps")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (out / "table5.md").read_text() == done.stdout
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    rows = {tuple(line[:2]): line[2:] for line in lines[2:]}
    assert rows["Alex – lin", "paper"] == ["73.9", "83.4", "71.5", "61.2", "65.3", "63.2", "69.8"]
    assert rows["VGG", "lpips_tf 0.1"] == ["12.3"] * 7
    report = json.loads((out / "lpips-alex-0.1.json").read_text())
    assert rows["Alex – lin", "lpips_tf 0.1"] == [
        f"{100 * x:.1f}" for x in (*(e["score"] for e in report["datasets"]), report["mean"])
    ]
    assert (rows["Squeeze – lin", "lpips_tf 0.0"] == ["–"] * 7) == (not SQUEEZENET.exists())
    assert len(rows) == 8 + 2 + 6 * 2


def test_the_script_does_not_mix_two_data_sets(tmp_path):
    (tmp_path / "arguments.txt").write_text("--bapps-dir one\n")
    command = [ROOT / "scripts/evaluate_paper.sh", tmp_path, "--bapps-dir", "two"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "with --bapps-dir two. Received:" in done.stderr
    assert "with --bapps-dir one" in done.stderr


def test_the_script_says_how_to_use_it():
    done = subprocess.run([ROOT / "scripts/evaluate_paper.sh"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "evaluate_paper.sh OUT --bapps-dir DIR" in done.stderr
