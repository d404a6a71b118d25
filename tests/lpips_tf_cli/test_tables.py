"""`lpips-tf evaluate --judgements`: tables of one's own, as a person calls it."""

import csv
import functools
import json
import os
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds
from benchmarks.synthetic_bapps import write_photographs
from checking import numbers
from PIL import Image
from scipy import stats

import tfds_bapps
from lpips_tf import evaluation
from lpips_tf._judgements import correlations, paired_scores
from lpips_tf.baselines import DSSIM, L2

TRIPLETS = ("reference", "image0", "image1", "judge")
OPINIONS = ("reference", "image", "opinion")
SETS = {"val/traditional": 21, "val/cnn": 13}


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """The intervals are tested elsewhere."""
    monkeypatch.setattr(correlations, "RESAMPLES", 50)
    monkeypatch.setattr(paired_scores.Opinions, "resamples", 50)


@pytest.fixture
def evaluate(run):
    """`evaluate(*arguments)`: exit code, standard output and standard error."""
    return functools.partial(run, "evaluate")


@pytest.fixture(scope="module")
def bapps(tmp_path_factory):
    """A tree of 2AFC, and a table of the same triplets with their data sets."""
    root = tmp_path_factory.mktemp("bapps")
    rows = []
    for name, count in SETS.items():
        split = name.replace("/", "_")
        write_photographs(root, "2afc", split, count, seed=count)
        for example in tfds.as_numpy(tfds_bapps.load_paths(root, "2afc", split)):
            paths = (os.path.relpath(os.fsdecode(example[n]), root) for n in ("ref", "p0", "p1"))
            rows.append([*paths, float(example["judge"]), name])
    return root, write(root / "table.csv", (*TRIPLETS, "set"), rows)


@pytest.fixture(scope="module")
def study(tmp_path_factory, golden):
    """Opinions of two distortions at two strengths of ten references, of two sizes."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(10):
        image = np.roll(golden["small0"][i % 4], 7 * i, axis=1)
        reference = image if i % 2 else image[:40, :56]
        Image.fromarray(reference).save(folder / f"r{i}.png")
        for kind in ("noise", "dark"):
            for strength in range(2):
                change = rng.normal(0, 20, reference.shape) if kind == "noise" else -25.0
                change *= strength + rng.random()
                image = np.clip(reference + change, 0, 255).astype("uint8")
                name = f"{kind}{i}{strength}.png"
                Image.fromarray(image).save(folder / name)
                opinion = round(5 - np.abs(change).mean() / 8 + rng.normal(0, 0.3), 2)
                rows.append([f"r{i}.png", name, opinion, kind])
    return write(folder / "opinions.csv", (*OPINIONS, "kind"), rows)


@pytest.mark.parametrize("options", [[], ["--model", "dssim"], ["--model", "baseline"]])
def test_a_table_has_the_scores_of_the_tree(evaluate, bapps, tmp_path, options):
    root, table = bapps
    found = []
    for i, where in enumerate((["--judgements", table, "--group", "set"], ["--bapps-dir", root])):
        if i:
            where += ["--datasets", *SETS]
        saved = tmp_path / f"{i}.csv"
        code, out, err = evaluate(*where, *options, "--json", "--save-distances", saved)
        assert (code, err) == (0, "")
        found.append((json.loads(out), read(saved)))
    (ours, our_rows), (tree, tree_rows) = found
    for x, y in zip(ours["datasets"], tree["datasets"], strict=True):
        for name in ("dataset", "score", "low", "high", "best_score", "count"):
            assert x[name] == y[name]
    assert ours["mean"] == tree["mean"]
    assert (ours["mode"], ours["judgements"], ours["errors"]) == ("2afc", str(table), 0)
    for x, y in zip(our_rows, tree_rows, strict=True):
        assert x["id"].rpartition("/")[0] == y["id"].rpartition("/")[0]
        assert [x[n] for n in ("d0", "d1", "judge")] == [y[n] for n in ("d0", "d1", "judge")]
    assert our_rows[0]["id"] == "val/traditional/01"


def test_opinions_have_the_correlations_of_scipy(evaluate, study, tmp_path, build):
    saved = tmp_path / "distances.csv"
    code, out, err = evaluate("--judgements", study, "--json", "--save-distances", saved)
    assert (code, err) == (0, "")
    (found,) = json.loads(out)["datasets"]
    rows = read(saved)
    for row, given in zip(rows, read(study), strict=True):
        pair = (np.asarray(Image.open(study.parent / given[n]))[None] for n in OPINIONS[:2])
        assert float(row["distance"]) == pytest.approx(numbers(build()(*pair))[0], abs=2e-6)
        assert (row["reference"], row["opinion"]) == (given["reference"], given["opinion"])
    x, y = (np.array([float(row[name]) for row in rows]) for name in ("distance", "opinion"))
    for name, function in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau),
                           ("pearson", stats.pearsonr)):  # fmt: skip
        assert found[name]["value"] == pytest.approx(function(-x, y).statistic, abs=1e-7)
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["fitted_pearson"]["value"] >= found["pearson"]["value"]
    assert (found["dataset"], found["count"], found["references"]) == ("opinions", 40, 10)


def test_groups_of_opinions_are_scored_alone_and_together(evaluate, study):
    options = ("--judgements", study, "--model", "l2", "--group", "kind")
    code, out, err = evaluate(*options)
    assert (code, err) == (0, "")
    head, *lines = (re.split("  +", line.strip()) for line in out.splitlines())
    assert head == [
        "dataset", "Spearman", "95% interval", "Kendall", "Pearson", "fitted", "count", "seconds"
    ]  # fmt: skip
    assert [line[0] for line in lines] == ["noise", "dark", "all"]
    groups = json.loads(evaluate(*options, "--json")[1])["datasets"]
    (alone,) = json.loads(evaluate(*options[:4], "--json")[1])["datasets"]
    for name in ("spearman", "kendall", "pearson", "fitted_pearson"):
        assert groups[-1][name] == pytest.approx(alone[name], abs=1e-6)
    assert [group["count"] for group in groups] == [20, 20, 40]


def test_names_of_groups_are_text(evaluate, bapps):
    """Without markup, whole, and each in a line of its own."""
    root, table = bapps
    names = ["[red]a/b[/red]", ":smile:", "a, b", "x\ny", "../up", "a long name " * 9]
    rows = [[*list(row.values())[:4], names[i % 6]] for i, row in enumerate(read(table))]
    named = write(root / "names.csv", (*TRIPLETS, "kind"), rows)
    code, out, err = evaluate("--judgements", named, "--group", "kind", "--model", "l2")
    assert (code, err.count("\n")) == (0, 1)
    assert "none: [red]a/b[/red] has 6, and 5 other data sets" in err
    found = [line.split("  ")[0] for line in out.splitlines()[1:]]
    assert found == [*names[:3], "x\\ny", "../up", names[5].strip(), "mean"]
    rows[2][-1] = "mean"
    write(named, (*TRIPLETS, "kind"), rows)
    code, out, err = evaluate("--judgements", named, "--group", "kind", "--model", "l2")
    assert (code, out) == (1, "")
    assert "a group other than mean in kind" in err


def test_opinions_that_are_lower_for_better_images(evaluate, study):
    rows = read(study)
    table = study.parent / "dmos.csv"
    write(table, OPINIONS, [[r["reference"], r["image"], -float(r["opinion"])] for r in rows])
    options = ("--model", "l2", "--json")
    (expected,) = json.loads(evaluate("--judgements", study, *options)[1])["datasets"]
    code, out, err = evaluate("--judgements", table, "--lower-is-better", *options)
    assert (code, err) == (0, "")
    assert json.loads(out)["datasets"][0]["spearman"] == expected["spearman"]
    code, _, err = evaluate("--judgements", table, *options)
    assert (code, err.count("\n")) == (0, 1)
    assert "If lower opinions are better, run evaluate with --lower-is-better" in err


def test_judgements_of_the_other_image_are_told(evaluate, bapps):
    root, table = bapps
    rows = [[r["reference"], r["image1"], r["image0"], float(r["judge"])] for r in read(table)]
    swapped = write(root / "swapped.csv", TRIPLETS, rows)
    code, _, err = evaluate("--judgements", swapped, "--model", "dssim")
    assert (code, err.count("\n")) == (0, 1)
    assert "Is judge the share of people who found image1 nearer, and not image0?" in err


def test_images_are_resized_to_one_size(evaluate, study, tmp_path):
    folder = study.parent
    images = [row["image"] for row in read(study)[:3]]
    for name in images:
        small = Image.open(folder / name).resize((32, 23), Image.Resampling.BOX)
        small.save(folder / f"small-{name}")
    rows = [["r0.png", f"small-{name}", -i] for i, name in enumerate(images)]
    table = write(folder / "small.csv", OPINIONS, rows)
    options = ("--judgements", table, "--model", "l2")
    code, out, err = evaluate(*options)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "56x40 pixels" in err
    assert "use --resize" in err
    saved = tmp_path / "distances.csv"
    code, _, err = evaluate(*options, "--resize", "reference", "--save-distances", saved)
    assert (code, "distorts" in err) == (0, False)
    small = Image.open(folder / "small-noise00.png").resize((56, 40), Image.Resampling.LANCZOS)
    pair = (np.asarray(x)[None] for x in (Image.open(folder / "r0.png"), small))
    assert float(read(saved)[0]["distance"]) == pytest.approx(numbers(L2()(*pair))[0], rel=1e-5)


def test_errors_are_skipped_named_and_counted(evaluate, study, tmp_path):
    rows = [[r["reference"], r["image"], r["opinion"]] for r in read(study)]
    rows[4][1] = "missing.png"
    table = write(study.parent / "damaged.csv", OPINIONS, rows)
    saved = tmp_path / "distances.csv"
    options = ("--judgements", table, "--model", "l2", "--save-distances", saved)
    code, out, err = evaluate(*options)
    assert (code, out, err.count("\n"), saved.exists()) == (1, "", 1, False)
    assert re.search(r"none at .*missing\.png\. To go on without it, use --skip-errors", err)
    page = tmp_path / "report.html"
    code, out, err = evaluate(*options, "--skip-errors", "--json", "--report", page)
    assert (code, err.count("\n")) == (1, 1)
    assert re.match("lpips-tf: skipped: .*missing.png", err)
    assert (json.loads(out)["errors"], json.loads(out)["datasets"][0]["count"]) == (1, 39)
    assert page.exists()
    written = read(saved)
    (skipped,) = (row for row in written if row["error"])
    assert (skipped["id"], skipped["distance"]) == ("damaged/05", "")
    assert skipped["opinion"] == rows[4][2]
    assert len(written) == 40
    code, out, _ = evaluate("--compare", saved, saved, "--json")
    assert (code, json.loads(out)["datasets"][0]["difference"]) == (0, 0)
    write(table, OPINIONS, [["none.png", "none.png", i] for i in range(2)])
    code, out, err = evaluate(*options[:4], "--skip-errors")
    assert (code, out) == (1, "")
    assert "Expected images that can be read. Received: errors in all rows" in err


def test_a_group_without_readable_images_is_left_out(evaluate, study, tmp_path):
    rows = [list(row.values()) for row in read(study)]
    rows += [["r0.png", "none.png", 1, "gone"], ["none.png", "none.png", 2, "gone"]]
    table = write(study.parent / "gone.csv", (*OPINIONS, "kind"), rows)
    saved, page = tmp_path / "l2.csv", tmp_path / "page.html"
    code, out, err = evaluate(
        "--judgements", table, "--group", "kind", "--model", "l2", "--skip-errors",
        "--save-distances", saved, "--report", page, "--json",
    )  # fmt: skip
    assert code == 1
    found = json.loads(out)
    assert [part["dataset"] for part in found["datasets"]] == ["noise", "dark", "all"]
    assert (found["errors"], found["left_out"]) == (2, ["gone"])
    assert "left out" in page.read_text()
    assert "gone: no image can be read" in err
    assert [row["id"] for row in read(saved)][-2:] == ["gone/41", "gone/42"]
    assert evaluate("--compare", saved, saved)[0] == 0


@pytest.mark.slow
def test_two_metrics_are_compared_on_opinions(evaluate, study, tmp_path):
    files = []
    for model in ("l2", "dssim"):
        files.append(tmp_path / f"{model}.csv")
        options = ("--model", model, "--group", "kind", "--save-distances", files[-1])
        assert evaluate("--judgements", study, *options)[0] == 0
    code, out, err = evaluate("--compare", *files, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)["datasets"]
    assert [part["dataset"] for part in found] == ["noise", "dark", "all"]
    columns = []
    for metric in (L2(), DSSIM()):
        dataset = tfds_bapps.load_manifest(study)
        columns.append(evaluation.distances(metric, dataset))
    expected = evaluation.compare(*columns)
    assert found[-1]["score_a"] == pytest.approx(expected.score_a, abs=1e-6)
    assert found[-1]["low"] == pytest.approx(expected.low, abs=1e-6)
    code, out, _ = evaluate("--compare", *files)
    assert re.search(r"^all +0\.\d{3} +0\.\d{3} +[+-]0\.\d{3} ", out, re.MULTILINE)


@pytest.mark.slow
def test_the_file_of_distances_knows_that_lower_opinions_are_better(evaluate, study, tmp_path):
    """So that a comparison needs no option, and cannot be the wrong way round."""
    rows = [{**row, "opinion": -float(row["opinion"])} for row in read(study)]
    worse = write(study.parent / "dmos.csv", rows[0], [row.values() for row in rows])
    found = {}
    for table, options in ((study, []), (worse, ["--lower-is-better"]), (worse, [])):
        files = [tmp_path / f"{model}.csv" for model in ("l2", "dssim")]
        for model, file in zip(("l2", "dssim"), files, strict=True):
            evaluate("--judgements", table, "--model", model, *options, "--save-distances", file)
        code, out, err = evaluate("--compare", *files, "--json")
        assert code == 0
        found[table, bool(options)] = json.loads(out)["datasets"][0], err
    right, lower, wrong = found.values()
    assert lower[0]["dataset"] == "dmos"
    assert {**lower[0], "dataset": "opinions"} == pytest.approx(right[0], abs=1e-12)
    assert right[1] == lower[1] == ""
    assert wrong[0]["score_a"] == pytest.approx(-right[0]["score_a"])
    assert "A and B would agree better with the opposite of what people said" in wrong[1]
    assert "run evaluate with --lower-is-better" in wrong[1]
    evaluate(
        "--judgements", worse, "--model", "l2", "--lower-is-better", "--save-distances", files[0]
    )
    code, out, err = evaluate("--compare", *files)
    assert (code, out) == (1, "")
    assert "l2.csv alone with it" in err


def test_triplets_of_one_reference_are_not_independent(evaluate, bapps, tmp_path):
    """References are resampled, however their paths are spelled; few of them are too few."""
    root, table = bapps
    rows = [list(row.values()) for row in read(table)]
    for i, row in enumerate(rows):
        row[0] = ("./" if i % 2 else "") + rows[i // 2 * 2][0]
    shared = write(root / "shared.csv", (*TRIPLETS, "set"), rows)
    saved = tmp_path / "l2.csv"
    code, out, err = evaluate(
        "--judgements", shared, "--model", "l2", "--json", "--save-distances", saved
    )
    assert (code, err) == (0, "")
    (found,) = json.loads(out)["datasets"]
    assert found["references"] == 17
    columns = {name: np.array([row[name] for row in read(saved)]) for name in read(saved)[0]}
    numeric = ("d0", "d1", "judge")
    columns = {k: v.astype("f4") if k in numeric else v for k, v in columns.items()}
    expected = evaluation.confidence_interval(columns)
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=1e-6)
    assert evaluate("--compare", saved, saved)[0] == 0
    for row in rows:
        row[0] = rows[0][0]
    few = write(root / "few.csv", (*TRIPLETS, "set"), rows)
    code, out, err = evaluate("--judgements", few, "--model", "l2")
    assert "with fewer than 10 references" in err
    assert "few has 1" in err


@pytest.mark.parametrize("kind", ["triplets", "opinions"])
def test_the_report_shows_where_metric_and_people_disagree(evaluate, bapps, study, kind, tmp_path):
    table, group = (bapps[1], "set") if kind == "triplets" else (study, "kind")
    page = tmp_path / "report.html"
    code, _, err = evaluate("--judgements", table, "--group", group, "--report", page)
    assert (code, err) == (0, "")
    text = page.read_text()
    count, images = (34, 5) if kind == "triplets" else (40, 3)
    assert text.count("<img ") == count * images
    assert ("2AFC on table.csv" if kind == "triplets" else "Opinions on opinions.csv") in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["r0.png", "noise00.png", 3]], "small: correlations are not defined of a single image"),
        (
            [["r0.png", f"{x}0{i}.png", 3] for x in ("noise", "dark") for i in range(2)],
            "not defined as all 4 opinions are",
        ),
        ([["r0.png", "r0.png", i] for i in range(3)], "not defined as all 3 distances are equal"),
    ],
)
def test_what_is_not_defined_is_said(evaluate, study, rows, message):
    table = write(study.parent / "small.csv", OPINIONS, rows)
    code, out, err = evaluate("--judgements", table, "--model", "l2")
    assert (code, err.count("\n")) == (0, 1)
    assert message in err
    assert out.splitlines()[1].split()[1:4] == ["–", "–", "–"]
    found = json.loads(evaluate("--judgements", table, "--model", "l2", "--json")[1])
    assert found["datasets"][0]["spearman"] == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--judgements", "none.csv"], 1, "Cannot read none.csv: No such file"),
        (["--judgements", "bad.csv"], 1, "Expected the columns reference, image0, image1, judge"),
        (["--judgements", "text.csv"], 1, "opinion as a number. Received: text.csv, row 1: 'good'"),
        (["--judgements", "empty.csv"], 1, "rows. Received: empty.csv without any"),
        (["--judgements", "away.csv"], 1, r"within the folder of the table.*row 1: \.\./a\.png"),
        (["--judgements", "latin.csv"], 1, "Expected a table in UTF-8"),
        (["--judgements", "good.csv", "--group", "sort"], 1, "Expected sort among the columns of"),
        (["--judgements", "good.csv", "--group", "blank"], 1, "group in blank. .*row 1: ''"),
        (["--judgements", "good.csv", "--mode", "2afc"], 2, "--mode: Expected no --judgements"),
        (["--judgements", "good.csv", "--datasets", "val/cnn"], 2, "Expected no --judgements"),
        (["--judgements", "good.csv", "--resize", "big"], 2, "Expected reference, WIDTHxHEIGHT"),
        (["--judgements", "pairs.csv", "--lower-is-better"], 2, "table of opinions with it"),
        (
            ["--judgements", "good.csv", "--save-distances", "good.csv"],
            2,
            "that is not read as well",
        ),
        (["--group", "kind"], 2, "--group: Expected --judgements with it"),
        (["--skip-errors"], 2, "--skip-errors: Expected --judgements with it"),
    ],
)
def test_wrong_tables_and_options_are_one_line(
    evaluate, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    tables = {
        "good": b"reference,image,opinion,blank\na.png,a.png,3,",
        "pairs": b"reference,image0,image1,judge\na.png,a.png,a.png,1",
        "bad": b"reference,image\na.png,a.png",
        "text": b"reference,image,opinion\na.png,a.png,good",
        "empty": b"reference,image,opinion\n",
        "away": b"reference,image,opinion\n../a.png,a.png,3",
        "latin": b"reference,image,opinion\n\xe4.png,a.png,3",
    }
    for name, content in tables.items():
        (tmp_path / f"{name}.csv").write_bytes(content)
    received, out, err = evaluate(*arguments)
    assert (received, out, err.count("\n")) == (code, "", 1)
    assert re.search(message, err), err
