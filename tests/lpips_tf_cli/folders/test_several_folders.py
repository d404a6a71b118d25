"""`lpips-tf dirs` with several folders, subfolders, stems and lists."""

import csv
import io
import itertools
import shutil

import numpy as np
import pytest
import scipy.stats
from checking import numbers
from PIL import Image

from lpips_tf import images, standard_errors


@pytest.fixture
def three(folder):
    """The folders of a reference and of two results, with a third result that is the reference."""
    (folder / "d2").mkdir()
    for i in range(6):
        image = Image.open(folder / f"d0/{i}.png")
        image.resize((32, 32)).resize((64, 64)).save(folder / f"d2/{i}.png")
    return [folder / f"d{i}" for i in range(3)]


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_each_folder_has_a_column_a_mean_and_a_difference(run, three, golden, build, monkeypatch):
    loaded = []
    load = images.load
    monkeypatch.setattr(images, "load", lambda path, srgb: loaded.append(path) or load(path, srgb))
    code, out, err = run("dirs", *three, "-o", "-")
    assert code == 0
    assert len(loaded) == len(set(loaded)) == 18
    rows = table(out)
    assert [row["name"] for row in rows] == [f"{i}.png" for i in range(6)]
    expected = [golden["alex/0.1/lpips/small"]]
    blurred = np.stack([load(three[2] / f"{i}.png") for i in range(6)])
    expected.append(numbers(build()(golden["small0"], blurred)))
    for path, of_folder in zip(three[1:], expected, strict=True):
        found = [float(row[str(path)]) for row in rows]
        np.testing.assert_allclose(found, of_folder, rtol=1e-5, atol=2e-6)
    lines = err.splitlines()
    for line, path, of_folder in zip(lines, three[1:], expected, strict=False):
        error = of_folder.std() / 6**0.5
        assert line == f"mean of {path}: {of_folder.mean():.5f} ± {error:.5f} (6 pairs)"
    differences = expected[0] - expected[1]
    half = scipy.stats.t.ppf(0.975, 5) * scipy.stats.sem(differences)
    low, high = differences.mean() - half, differences.mean() + half
    assert lines[2] == (
        f"mean of {three[1]} - {three[2]}: {differences.mean():.5f}, "
        f"95% interval {low:.5f} to {high:.5f}"
    )


def test_printed_rows_name_the_folders(run, three):
    code, out, err = run("dirs", *three, "--first", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(f"0.png: {three[1]} 0.")
    assert f"; {three[2]} 0." in lines[0]


def test_a_row_needs_all_folders(run, three):
    """Means of other images would not be comparable."""
    (three[2] / "3.png").unlink()
    (three[1] / "4.png").write_bytes(b"")
    code, out, err = run("dirs", *three, "--skip-errors", "-o", "-")
    assert code == 1
    assert [row["error"] != "" for row in table(out)] == [False, False, False, True, False]
    assert f"in {three[0]}, but not in all folders: 3.png" in err
    assert "(4 pairs, 1 error)" in err
    code, _, err = run("dirs", three[0], three[1], three[2], "--skip-errors", "--first", 2)
    assert (code, "not in all folders: 3.png" in err) == (0, True)
    code, _, err = run("dirs", three[0], three[1], three[1])
    assert (code, "Expected each folder once" in err) == (2, True)
    for folders in (("a", "error"), ("a", "a ssim")):
        code, _, err = run("dirs", "reference", *folders)
        assert (code, f"Received: {folders[1]}" in err) == (2, True)


@pytest.mark.parametrize("count", [2, 3, 4, 9, 30, 400])
def test_the_interval_is_that_of_students_t(count):
    differences = np.random.default_rng(count).normal(0.1, 0.2, count)
    expected = scipy.stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    np.testing.assert_allclose(standard_errors.paired_interval(differences), expected, rtol=1e-9)


def test_the_interval_of_one_difference_or_of_nan_is_nan():
    assert np.isnan(standard_errors.paired_interval([0.1])).all()
    assert np.isnan(standard_errors.paired_interval([0.1, np.nan])).all()


def test_names_may_differ_in_their_suffix(run, folder, golden):
    for i in range(6):
        (folder / f"d1/{i}.png").rename(folder / f"d1/{i}.v2.png")
    for path in (folder / "d1").iterdir():
        Image.open(path).save(path.with_name(path.name.replace(".v2.png", ".bmp")))
        path.unlink()
    code, _, err = run("dirs", folder / "d0", folder / "d1")
    assert (code, "--match stem" in err) == (1, True)
    code, out, _ = run("dirs", folder / "d0", folder / "d1", "--match", "stem", "-o", "-")
    assert code == 0
    found = [float(row["distance"]) for row in table(out)]
    np.testing.assert_allclose(found, golden["alex/0.1/lpips/small"], atol=2e-6)
    (folder / "d1/0.bmp").with_suffix(".png").write_bytes(b"")
    code, out, err = run("dirs", folder / "d0", folder / "d1", "--match", "stem")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "0.bmp and 0.png" in err


def test_images_in_subfolders_have_relative_names(run, folder):
    for side in "01":
        for name in ("deep/er", ".hidden"):
            (folder / f"d{side}" / name).mkdir(parents=True)
        (folder / f"d{side}/5.png").rename(folder / f"d{side}/deep/er/x.png")
        shutil.copy(folder / f"d{side}/0.png", folder / f"d{side}/.hidden")
    (folder / "d0/deep/back").symlink_to(folder / "d0")  # a circle
    code, out, err = run("dirs", folder / "d0", folder / "d1", "--recursive", "-o", "-")
    assert (code, err.count("\n")) == (0, 1)
    assert [row["name"] for row in table(out)] == [*(f"{i}.png" for i in range(5)), "deep/er/x.png"]
    code, out, _ = run("all-pairs", folder / "d0", "--recursive")
    assert (code, "4.png, deep/er/x.png: " in out) == (0, True)


def test_a_list_chooses_images_and_their_order(run, folder, monkeypatch):
    names = folder / "names.txt"
    names.write_text("3.png\n\n0.png\r\n1.png\n")
    code, out, _ = run("dirs", folder / "d0", folder / "d1", "--list", names, "--first", 2)
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["3.png", "0.png", "mean"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(names.read_bytes())))
    code, out, _ = run("all-pairs", folder / "d0", "--list", "-", "--consecutive")
    assert [line.split(":")[0] for line in out.splitlines()[:2]] == ["3.png, 0.png", "0.png, 1.png"]


@pytest.mark.parametrize(
    ("content", "part"),
    [("0.png\n9.png", "1 other: 9.png"), ("", "without any"), ("1.png\n1.png", "1.png again")],
)
def test_a_list_of_other_names_is_refused(run, folder, content, part):
    names, output = folder / "names.txt", folder / "out.csv"
    names.write_text(content)
    for arguments in (("dirs", folder / "d0", folder / "d1"), ("all-pairs", folder / "d0")):
        code, out, err = run(*arguments, "--list", names, "-o", output)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert part in err
        assert not output.exists()
    code, _, err = run("dirs", folder / "d0", folder / "d1", "--list", folder / "none")
    assert (code, err.count("\n")) == (1, 1)
    assert "Cannot read the list" in err


def test_a_list_from_a_closed_standard_input_is_told(run, folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    code, out, err = run("all-pairs", folder / "d0", "--list", "-")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "standard input is closed" in err


def test_each_subfolder_is_a_group(run, folder, build, golden, tmp_path):
    output = tmp_path / "out.csv"
    code, out, err = run("all-pairs", folder, "--groups", "-o", output)
    assert (code, err) == (0, "")
    means = []
    for side, row in zip("01", table(output.read_text()), strict=True):
        pairs = np.array(list(itertools.combinations(range(6), 2)))
        found = numbers(build()(*golden[f"small{side}"][pairs.T]))
        means.append(found.mean())
        assert (row["group"], row["images"], row["pairs"]) == (f"d{side}", "6", "15")
        assert float(row["mean"]) == pytest.approx(found.mean(), rel=1e-5)
    error = np.std(means, ddof=1) / 2**0.5
    assert out == f"mean: {np.mean(means):.5f} ± {error:.5f} (2 groups)\n"


def test_groups_need_subfolders_of_two_images(run, folder):
    code, _, err = run("all-pairs", folder / "d0", "--groups")
    assert code == 1
    assert "in no group" in err
    assert "Expected a folder with subfolders" in err
    for i in range(1, 6):
        (folder / f"d1/{i}.png").unlink()
    code, out, err = run("all-pairs", folder, "--groups")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "d1 with 1 image" in err
