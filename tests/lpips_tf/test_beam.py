"""Apache Beam: the same distances, a row for each row, whatever breaks on the way."""

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

import apache_beam as beam
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from apache_beam.testing.util import assert_that
from checking import ROOT, numbers
from PIL import Image

import lpips_tf
from lpips_tf import beam as transforms
from lpips_tf import images
from lpips_tf.beam import ScorePairs
from lpips_tf_cli import main
from lpips_tf_cli.pipelines import score_pairs

WORKER = "apache_beam.runners.worker.sdk_worker_main"
PROCESSES = ["--direct_num_workers", "1", "--direct_running_mode", "multi_processing"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """40 pairs of two sizes, and one of each thing that can be wrong with a pair."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)

    def write(name, height, width):
        pixels = rng.integers(0, 256, (height // 8, width // 8, 3), "uint8")
        Image.fromarray(pixels).resize((width, height), Image.BICUBIC).save(folder / name)
        return str(folder / name)

    rows = []
    for i in range(40):
        size = (64, 64) if i % 3 else (48, 72)
        rows.append([write(f"{i}a.png", *size), write(f"{i}b.jpg", *size)])
    broken = folder / "broken.png"
    broken.write_bytes((folder / "1a.png").read_bytes()[:100])
    small = write("small.png", 24, 24)
    rows += [[rows[0][0], rows[1][0]], [rows[0][0], str(broken)], [small, small]]
    rows += [[str(folder / "none.png"), rows[0][0]], ["", rows[0][0]], [str(folder), rows[0][0]]]
    return [
        {"id": str(i), "reference": a, "image": b, "note": 'a "quoted",\nline'}
        for i, (a, b) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def expected(rows):
    metric = lpips_tf.LPIPS()
    pairs = [[images.load(row[field])[None] for field in ("reference", "image")]
             for row in rows[:40]]  # fmt: skip
    return [float(numbers(metric(*pair))[0]) for pair in pairs]


WRONG = ["one size. Received: .*0a.png of 72x48 and .*1a.png of 64x64", "broken.png", "31x31",
         "none.png", "path as reference. Received: ''", "pairs0"]  # fmt: skip


def run(elements, transform, check):
    with beam.Pipeline() as pipeline:
        found = pipeline | beam.Create(elements) | beam.Reshuffle() | transform
        assert_that(found, check)


def assert_scored(found, rows, expected):
    found = sorted(found, key=lambda row: int(row["id"]))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    for row, before in zip(found, rows, strict=True):
        assert {name: row[name] for name in before} == before
    for row, distance in zip(found, expected, strict=False):
        assert row["distance"] == pytest.approx(distance, abs=2e-6)
        assert row["error"] is None
    for row, words in zip(found[40:], WRONG, strict=True):
        assert row["distance"] is None
        assert row["error"]
        assert re.search(words, row["error"]), row["error"]


def test_scores(rows, expected):
    run(rows, ScorePairs(), lambda found: assert_scored(found, rows, expected))


def test_options_and_layers(rows):
    options = {"net": "vgg", "version": "0.0", "lpips": False}
    metric = lpips_tf.LPIPS(**options)
    pair = [images.load(rows[1][field])[None] for field in ("reference", "image")]
    distance, layers = metric(*pair, return_per_layer=True)

    def check(found):
        good, bad = sorted(found, key=lambda row: row["error"] is not None)
        assert good["distance"] == pytest.approx(float(numbers(distance)[0]), rel=1e-5)
        assert good["layers"] == pytest.approx([float(numbers(x)[0]) for x in layers], rel=1e-5)
        assert (bad["distance"], bad["layers"]) == (None, None)

    run([rows[1], rows[41]], ScorePairs(per_layer=True, **options), check)


def test_low_precision_on_request(rows):
    def check(found):
        full, low = (row["distance"] for row in sorted(found, key=lambda row: row["id"]))
        assert low == pytest.approx(full, rel=0.02) and low != full

    def transform(elements):
        scored = elements | ScorePairs()
        named = elements | beam.Map(lambda row: {**row, "id": "low"})
        return (scored, named | "Low" >> ScorePairs(dtype="mixed_bfloat16")) | beam.Flatten()

    run([rows[1]], beam.ptransform_fn(transform)(), check)


def test_counts(rows):
    pipeline = beam.Pipeline()
    pipeline | beam.Create(rows) | ScorePairs()
    counters = pipeline.run().metrics().query()["counters"]
    found = {c.key.metric.name: c.committed for c in counters
             if c.key.metric.namespace == "lpips_tf"}  # fmt: skip
    assert (found["pairs"], found["errors"]) == (40, 6)
    assert {"megapixels", "seconds"} <= found.keys()


def test_distances_that_are_not_finite_are_errors(rows):
    broken = lpips_tf.LPIPS()
    broken.heads[0].kernel.assign(broken.heads[0].kernel * float("nan"))
    metric = lpips_tf.LPIPS()
    pair = [images.load(rows[1][field]) for field in ("reference", "image")]
    for transform, pictures, names in (
        (ScorePairs(per_layer=True), pair, ("distance", "layers")),
        (transforms.Embed(), pair[:1], ("embedding",)),
    ):
        batch = [transforms._Task({"id": "1"}, pictures)]
        (row,) = transform._handler.run_inference(batch, broken)
        assert {name: row[name] for name in names} == dict.fromkeys(names)
        assert row["id"] == "1"
        assert f"finite {names[0]}. Received: NaN or infinity" in row["error"]
        (row,) = transform._handler.run_inference(batch, metric)
        assert row["error"] is None and row[names[0]] is not None


def test_embeds(rows):
    def check(found):
        by_path = {row["image"]: row for row in found}
        for path in (rows[1]["image"], rows[0]["image"]):
            expected = lpips_tf.LPIPS().embed(images.load(path)[None])
            np.testing.assert_allclose(by_path[path]["embedding"], numbers(expected)[0], atol=1e-6)
        assert by_path[rows[41]["image"]]["embedding"] is None
        assert "broken.png" in by_path[rows[41]["image"]]["error"]

    run([{"image": rows[i]["image"]} for i in (0, 1, 41)], transforms.Embed(), check)


def test_mean_over_all_pairs(rows):
    paths = [row["reference"] for row in rows[:40] if int(row["id"]) % 3]
    expected = lpips_tf.mean_pairwise_distance(
        lpips_tf.LPIPS(), np.stack([images.load(path) for path in paths])
    )

    def check(found):
        assert found == [pytest.approx(expected, rel=1e-6)]

    run([{"image": path} for path in paths], transforms.MeanPairwiseDistance(), check)


def test_means_of_two_thousand_pictures_merge_in_any_order():
    metric = lpips_tf.LPIPS()
    pictures = np.random.default_rng(0).integers(0, 256, (2000, 4, 4, 3), "uint8")
    pictures = pictures.repeat(8, axis=1).repeat(8, axis=2)
    matrix = lpips_tf.distance_matrix(metric, pictures)
    exact = matrix[np.triu_indices(2000, 1)].mean(dtype=np.float64)
    embeddings = np.concatenate([metric.embed(x).numpy() for x in np.split(pictures, 40)])
    combine = transforms.MeanOfPairs()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        parts = np.array_split(rng.permutation(embeddings), rng.integers(1, 3000))
        accumulators = []
        for part in parts:
            accumulator = combine.create_accumulator()
            for embedding in part:
                accumulator = combine.add_input(accumulator, embedding)
            accumulators.append(accumulator)
        merged = combine.merge_accumulators(accumulators[i] for i in rng.permutation(len(parts)))
        assert combine.extract_output(merged) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("which", "message"), [([1, 0], "one size"), ([1, 41], "broken.png"), ([1], "at least two")]
)
def test_a_mean_of_others_is_refused(rows, which, message):
    elements = [{"image": rows[i]["image"]} for i in which]
    with pytest.raises(Exception, match=message):
        run(elements, transforms.MeanPairwiseDistance(), lambda found: None)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"net": "foo"}, ValueError), ({"version": "9"}, ValueError), ({"x": 1}, TypeError),
        ({"spatial": True}, ValueError), ({"batch_size": 0}, ValueError),
    ],
)  # fmt: skip
def test_transforms_refuse_at_once(options, error):
    for transform in (ScorePairs, transforms.Embed, transforms.MeanPairwiseDistance):
        with pytest.raises(error):
            transform(**options)


def test_paths_of_any_kind(rows, expected):
    element = {name: Path(rows[1][name]) for name in ("reference", "image")}

    def check(found):
        assert found[0]["distance"] == pytest.approx(expected[1], abs=2e-6)

    run([element], ScorePairs(), check)


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_command(run_program, rows, expected, tmp_path, tmp_path_factory, monkeypatch, kind):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    manifest, output = tmp_path / f"manifest.{kind}", tmp_path / "out.parquet"
    if kind == "csv":
        write_csv(manifest, rows)
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), manifest)
    code, out, err = run_program(main.main, "score", manifest, "-o", output, "--per-layer")
    assert (code, err) == (0, "")
    assert out == f"{output}: 40 distances, 6 errors\n"
    found = pyarrow.parquet.read_table(output).to_pylist()
    assert_scored(found, rows, expected)
    for row in found:
        if row["error"] is None:
            assert sum(row["layers"]) == pytest.approx(row["distance"], rel=1e-5)
    assert list(Path(tempfile.tempdir).iterdir()) == []
    assert sorted(tmp_path.iterdir()) == sorted([manifest, output])


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(rows, expected, tmp_path):
    manifest, output = tmp_path / "manifest.csv", tmp_path / "out.parquet"
    write_csv(manifest, rows)
    command = [sys.executable, "-m", "lpips_tf_cli", "score", manifest, "-o", output, *PROCESSES]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed = threading.Thread(target=kill_a_worker, args=(process.pid,))
    killed.start()
    out, err = process.communicate(timeout=300)
    killed.join()
    assert process.returncode == 0, err
    assert err == "lpips-tf: warning: a worker process ended; starting again\n"
    assert out == f"{output}: 40 distances, 6 errors\n"
    assert_scored(pyarrow.parquet.read_table(output).to_pylist(), rows, expected)
    assert sorted(tmp_path.iterdir()) == sorted([manifest, output])


@pytest.mark.slow
def test_interrupted(rows, tmp_path):
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
        ("reference,picture\na,b\n", "columns reference and image. Received: m.csv with reference"),
        ("reference,image\n", "at least one pair. Received: m.csv without rows"),
        ("", "columns reference and image. Received: m.csv with"),
        ("reference,image\na,b\nc\n", "2 fields in each row. Received: m.csv with 1 in line 3"),
        ("reference,image,distance\na,b,1\n", "Expected no column distance"),
        ("reference,image,x,x\na,b,c,d\n", "Expected different columns"),
        ('reference,image\na,"b\n', "Cannot read m.csv: unexpected end of data"),
        (b"reference,image\n\xff,b\n", "Cannot read m.csv"),
    ],
)
def test_manifests_that_are_refused(run_program, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = run_program(main.main, "score", "m.csv", "-o", "out.parquet")
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
def test_refuses(run_program, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_text("reference,image\na,b\n")
    Path("text.parquet").write_text("Cats.")
    before = sorted(tmp_path.iterdir())
    found, out, err = run_program(main.main, "score", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("module", ["apache_beam", "pyarrow"])
def test_names_the_extra(run_program, tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    for name in ("score_pairs", "manifests"):  # as in a process that has not loaded them
        monkeypatch.delitem(sys.modules, f"lpips_tf_cli.pipelines.{name}", raising=False)
        monkeypatch.delattr(f"lpips_tf_cli.pipelines.{name}", raising=False)
    code, _, err = run_program(main.main, "score", "m.csv", "-o", "out.parquet")
    assert (code, err.count("\n")) == (1, 1)
    assert f'score needs {module}, which is not installed: pip install "lpips-tf[beam]"' in err


def test_the_options_for_clusters_are_known(monkeypatch):
    """As the documentation has them; no cluster is here to run them."""
    (block,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/beam.md").read_text(), re.DOTALL)
    commands = [shlex.split(line) for line in block.replace("\\\n", "").splitlines()
                if not line.startswith("#")]  # fmt: skip
    assert len(commands) == 4
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    for program, name, _, _, _, *arguments in commands:
        assert (program, name) == ("lpips-tf", "score")
        given = score_pairs._checked_options(arguments).get_all_options(drop_default=True)
        assert {word[2:] for word in arguments if word.startswith("--")} <= {*given}
