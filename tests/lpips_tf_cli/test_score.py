"""`lpips-tf score` in a pipeline of Apache Beam."""

import contextlib
import csv
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from beam_pairs import assert_scored, distances, write_pairs
from checking import ROOT

from lpips_tf_cli.pipelines import score_pairs

WORKER = "apache_beam.runners.worker.sdk_worker_main"
PROCESSES = ["--direct_num_workers", "1", "--direct_running_mode", "multi_processing"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def expected(rows):
    return distances(rows)


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_each_row_of_a_manifest_gets_its_distance_or_its_error(
    run, rows, expected, tmp_path, tmp_path_factory, monkeypatch, kind
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    manifest, output = tmp_path / f"manifest.{kind}", tmp_path / "out.parquet"
    if kind == "csv":
        write_csv(manifest, rows)
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), manifest)
    code, out, err = run("score", manifest, "-o", output, "--per-layer")
    assert (code, err) == (1, "")
    assert out == f"{output}: 40 distances, 6 errors\n"
    found = pyarrow.parquet.read_table(output).to_pylist()
    assert_scored(found, rows, expected)
    for row in found:
        if row["error"] is None:
            assert sum(row["layers"]) == pytest.approx(row["distance"], rel=1e-5)
    assert list(Path(tempfile.tempdir).iterdir()) == []
    assert sorted(tmp_path.iterdir()) == sorted([manifest, output])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_paths_are_relative_to_the_manifest(run, rows, expected, tmp_path, monkeypatch, kind):
    """As in the tables of `evaluate`; the working directory does not matter."""
    names = ("reference", "image")
    given = [
        row | {name: row[name] and os.path.relpath(row[name], tmp_path) for name in names}
        for row in rows
    ]
    manifest, output = tmp_path / f"manifest.{kind}", tmp_path / "out.parquet"
    if kind == "csv":
        write_csv(manifest, given)
        manifest.write_text(manifest.read_text().replace("reference,image", "reference, image"))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(given), manifest)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("score", "../" + manifest.name, "-o", output)[0] == 1
    assert_scored(pyarrow.parquet.read_table(output).to_pylist(), given, expected)


@pytest.mark.slow
def test_a_killed_worker_changes_no_result(rows, expected, tmp_path):
    manifest, output = tmp_path / "manifest.csv", tmp_path / "out.parquet"
    write_csv(manifest, rows)
    command = [sys.executable, "-m", "lpips_tf_cli", "score", manifest, "-o", output, *PROCESSES]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed = threading.Thread(target=kill_a_worker, args=(process.pid,))
    killed.start()
    out, err = process.communicate(timeout=300)
    killed.join()
    assert process.returncode == 1, err  # of the pairs that cannot be compared
    assert err == "lpips-tf: warning: a worker process ended; starting again\n"
    assert out == f"{output}: 40 distances, 6 errors\n"
    assert_scored(pyarrow.parquet.read_table(output).to_pylist(), rows, expected)
    assert sorted(tmp_path.iterdir()) == sorted([manifest, output])


@pytest.mark.slow
def test_an_interrupted_pipeline_leaves_nothing(rows, tmp_path):
    manifest, output = tmp_path / "manifest.csv", tmp_path / "out.parquet"
    write_csv(manifest, rows * 100)
    command = [sys.executable, "-m", "lpips_tf_cli", "score", manifest, "-o", output]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".score-*")):
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    assert list(tmp_path.iterdir()) == [manifest]


def kill_a_worker(parent):
    """Kills the first worker process of a command once it computes."""
    while True:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_text().split("\0")
                loaded = "tensorflow" in (folder / "maps").read_text()
                if WORKER in words and loaded:
                    os.kill(int(folder.name), signal.SIGKILL)
                    return
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("reference,photo\na,b\n", "columns reference and image. Received: m.csv with reference"),
        ("reference,image\n", "at least one pair. Received: m.csv without rows"),
        ("", "columns reference and image. Received: m.csv with"),
        ("reference,image\na,b\nc\n", "2 fields in each row. Received: m.csv with 1 in line 3"),
        ("reference,image,distance\na,b,1\n", "Expected no column distance"),
        ("reference,image,x,x\na,b,c,d\n", "Expected different columns"),
        ('reference,image\na,"b\n', "Cannot read m.csv: unexpected end of data"),
        (b"reference,image\n\xff,b\n", "Cannot read m.csv"),
    ],
)
def test_a_wrong_manifest_is_told_in_one_line(run, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = run("score", "m.csv", "-o", "out.parquet")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.csv", "-o", "out.parquet"], 1, "Cannot read none.csv"),
        (["m.txt", "-o", "out.parquet"], 2, "ends in .csv or .parquet. Received: m.txt"),
        (["text.parquet", "-o", "out.parquet"], 1, "Cannot read text.parquet"),
        (["text.parquet", "-o", "text.parquet"], 2, "not read as well. Received: text.parquet"),
        (["m.csv", "-o", "out.csv"], 2, "ends in .parquet. Received: out.csv"),
        (["m.csv", "-o", "no/out.parquet"], 1, "Cannot write no/out.parquet"),
        (["m.csv", "-o", "out.parquet", "--ruhner", "x"], 2, "options of Beam. Received: --ruhner"),
        (["m.csv", "-o", "out.parquet", "--direct_num_workers", "x"], 2, "invalid int value"),
        (["m.csv", "-o", "out.parquet", "--runner", "x"], 1, "x"),
        (["m.csv", "-o", "out.parquet", "--dtype", "float15"], 1, "float15"),
        (["m.csv", "-o", "out.parquet", "--head-weights", "no.h5"], 1, "no.h5"),
    ],
)
def test_wrong_options_of_score_are_one_line(run, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_text("reference,image\na,b\n")
    Path("text.parquet").write_text("Cats.")
    before = sorted(tmp_path.iterdir())
    found, out, err = run("score", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("module", ["apache_beam", "pyarrow"])
def test_score_names_its_extra_where_a_library_is_missing(run, tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    for name in ("score_pairs", "manifests"):  # as in a process that has not loaded them
        monkeypatch.delitem(sys.modules, f"lpips_tf_cli.pipelines.{name}", raising=False)
        monkeypatch.delattr(f"lpips_tf_cli.pipelines.{name}", raising=False)
    code, _, err = run("score", "m.csv", "-o", "out.parquet")
    assert (code, err.count("\n")) == (1, 1)
    assert f'score needs {module}, which is not installed: pip install "lpips-tf[beam]"' in err


def test_options_for_clusters_in_the_documentation_are_known_to_beam(monkeypatch):
    (block,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/beam.md").read_text(), re.DOTALL)
    commands = [shlex.split(line) for line in block.replace("\\\n", "").splitlines()
                if not line.startswith("#")]  # fmt: skip
    assert len(commands) == 4
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    for program, name, _, _, _, *arguments in commands:
        assert (program, name) == ("lpips-tf", "score")
        given = score_pairs._checked_options(arguments).get_all_options(drop_default=True)
        assert {word[2:] for word in arguments if word.startswith("--")} <= {*given}
