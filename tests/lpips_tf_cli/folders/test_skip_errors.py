"""Commands over folders, with images among the others that cannot be read."""

import csv
import itertools
import json

import numpy as np
import pytest
from checking import numbers
from PIL import Image


@pytest.fixture
def folder(tmp_path, golden):
    """Two folders of six images, of which 1.png is truncated, 3.png of another size and 4.png empty
    in the second.
    """
    for side in "01":
        (tmp_path / f"d{side}").mkdir()
        for i, image in enumerate(golden[f"small{side}"]):
            Image.fromarray(image).save(tmp_path / f"d{side}" / f"{i}.png")
    (tmp_path / "d1/1.png").write_bytes((tmp_path / "d1/1.png").read_bytes()[:1000])
    Image.fromarray(golden["small1"][3, :-1]).save(tmp_path / "d1/3.png")
    (tmp_path / "d1/4.png").write_bytes(b"")
    return tmp_path


BAD = (1, 3, 4)
GOOD = [0, 2, 5]
COMMANDS = {
    "dirs": ["dirs", "d0", "d1"],
    "all-pairs": ["all-pairs", "d1"],
    "mean": ["all-pairs", "d1", "--mean"],
    "consecutive": ["all-pairs", "d1", "--consecutive"],
    "index": ["index", "d1", "-o", "out.h5"],
    "duplicates": ["duplicates", "d1"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_the_first_error_says_how_to_go_on(run, folder, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.endswith(". To go on without it, use --skip-errors\n")
    assert not (folder / "out.h5").exists()


def skipping(run, folder, *arguments):
    output = folder / "out.csv"
    code, out, err = run(*arguments, "-o", output, "--skip-errors")
    skipped = [line for line in err.splitlines() if line.startswith("lpips-tf: skipped: ")]
    assert (code, err.splitlines()) == (1, skipped)
    for name in ("1.png", "3.png", "4.png"):
        assert sum(name in line for line in skipped) == 1
    with output.open() as file:
        return out, list(csv.DictReader(file))


def test_dirs_skips_pairs_with_an_error_and_says_so_in_rows_and_report(run, folder, golden):
    report = folder / "report.html"
    out, rows = skipping(run, folder, "dirs", folder / "d0", folder / "d1", "--report", report)
    distances = golden["alex/0.1/lpips/small"]
    assert [row["name"] for row in rows] == [f"{i}.png" for i in range(6)]
    for i, row in enumerate(rows):
        if i in BAD:
            assert row["distance"] == ""
            assert f"{i}.png" in row["error"]
        else:
            assert float(row["distance"]) == pytest.approx(distances[i], rel=1e-5)
            assert row["error"] == ""
    good = distances[GOOD]
    assert out == f"mean: {good.mean():.5f} ± {good.std() / 3**0.5:.5f} (3 pairs, 3 errors)\n"
    page = report.read_text()
    assert page.count("Skipped: ") == 3
    assert ">0.png<" in page
    assert ">1.png<" not in page


def test_all_pairs_skips_pairs_of_images_with_an_error(run, folder, build, golden):
    out, rows = skipping(run, folder, "all-pairs", folder / "d1")
    pairs = list(itertools.combinations(range(6), 2))
    assert [(row["image0"], row["image1"]) for row in rows] == [
        (f"{i}.png", f"{j}.png") for i, j in pairs
    ]
    for (i, j), row in zip(pairs, rows, strict=True):
        assert bool(row["error"]) == (i in BAD or j in BAD) == (row["distance"] == "")
    images = golden["small1"]
    expected = numbers(build()(images[[0, 0, 2]], images[[2, 5, 5]]))
    found = [float(row["distance"]) for row in rows if row["distance"]]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert out.endswith("(3 pairs, 3 errors)\n")
    code, mean, _ = run("all-pairs", folder / "d1", "--mean", "--skip-errors")
    assert (code, mean) == (1, out)


def test_no_consecutive_pair_spans_an_image_that_is_skipped(run, folder, build, golden):
    out, rows = skipping(run, folder, "all-pairs", folder / "d1", "--consecutive")
    assert len(rows) == 5
    assert out == "mean: none (0 pairs, 3 errors)\n"
    assert not any(row["distance"] for row in rows)


def test_an_index_has_the_images_that_can_be_read(run, folder):
    """Images are resized for it, so that they may have any size."""
    code, out, err = run("index", folder / "d1", "-o", folder / "out.h5", "--skip-errors")
    assert (code, err.count("skipped: ")) == (1, 2)
    assert out == f"{folder}/out.h5: 4 images, 2 errors\n"
    code, out, _ = run("search", folder / "out.h5", folder / "d1/0.png", "-k", 1)
    assert (code, out.count(": 0.000")) == (0, 1)


def test_duplicates_are_found_among_the_images_that_can_be_read(run, folder):
    Image.open(folder / "d1/0.png").save(folder / "d1/9.png")
    output = folder / "out.json"
    code, out, _ = run("duplicates", folder / "d1", "-o", output, "--skip-errors")
    assert (code, out) == (1, "0.png, 9.png\n1 group of 2 images, 1 pair, 2 errors\n")
    pair, *errors = json.loads(output.read_text())
    assert (pair["image0"], pair["image1"], pair["error"]) == ("0.png", "9.png", None)
    assert [row["image0"] for row in errors] == ["1.png", "4.png"]
    assert all(row["error"] and row["distance"] is None for row in errors)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_images_of_which_none_can_be_read_are_an_error(run, folder, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    for path in (folder / "d1").iterdir():
        path.write_text("no image")
    code, out, err = run(*arguments, "--skip-errors")
    assert (code, out, err.count("skipped: ")) == (1, "", 6)
    assert err.splitlines()[-1] == (
        "lpips-tf: Expected images that can be read. Received: 6 errors"
    )
    assert not (folder / "out.h5").exists()


def test_without_errors_skipping_them_exits_with_0(run, folder):
    code, out, err = run("dirs", folder / "d0", folder / "d0", "--skip-errors")
    assert (code, err) == (0, "")
    assert out.endswith("(6 pairs)\n")


def test_a_pair_alone_has_no_standard_error(run, folder):
    for name in "12345":
        (folder / f"d1/{name}.png").unlink()
    code, out, _ = run("dirs", folder / "d0", folder / "d1")
    assert code == 0
    assert out.splitlines()[-1] == f"mean: {out.split()[-3]} (1 pair)"
