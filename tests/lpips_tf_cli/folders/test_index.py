"""`lpips-tf index`, `search` and `duplicates`, as a person calls them."""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.synthetic_bapps import distorted
from checking import numbers
from PIL import Image
from programs import exit_code

from lpips_tf.neighbors import Index
from lpips_tf_cli import main
from lpips_tf_cli.reading.image_files import ImageFiles
from lpips_tf_cli.reports import contact_sheets


@pytest.fixture(scope="module")
def crops():
    """Ten crops of photographs."""
    references, *_ = distorted(np.random.default_rng(0), 10)
    return np.stack(references)


@pytest.fixture
def folder(crops, tmp_path, monkeypatch):
    """The crops and enlarged copies of two in `photos`, and a query beside them."""
    (tmp_path / "photos").mkdir()
    for i, crop in enumerate(crops):
        Image.fromarray(crop).save(tmp_path / "photos" / f"{i}.png")
    for i in (3, 6):
        copy = Image.fromarray(crops[i]).resize((128, 128), Image.Resampling.BICUBIC)
        copy.save(tmp_path / "photos" / f"{i} copy.jpg", quality=97)
    Image.fromarray(crops[3]).save(tmp_path / "query.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_search_finds_the_query_and_its_copy_in_an_index(run, folder):
    code, out, err = run("index", "photos", "-o", "photos.h5")
    assert (code, out, err) == (0, "photos.h5: 12 images\n", "")
    code, out, err = run("search", "photos.h5", "query.png", "-k", 2, "--json")
    found = json.loads(out)
    assert [row["image"] for row in found] == ["3.png", "3 copy.jpg"]
    assert found[0]["distance"] < 1e-9 < found[1]["distance"] < 0.05


def test_duplicates_are_printed_written_and_drawn(run, folder, crops):
    code, out, err = run(
        "duplicates", "photos", "--threshold", 0.05, "--sheet", "sheet.png", "-o", "pairs.csv"
    )
    assert (code, err) == (0, "")
    assert out == "3 copy.jpg, 3.png\n6 copy.jpg, 6.png\n2 groups of 4 images, 2 pairs\n"
    assert len(Path("pairs.csv").read_text().splitlines()) == 3
    sheet = np.asarray(Image.open("sheet.png"))
    drawn = Image.fromarray(crops[3]).resize((160, 160), Image.Resampling.BICUBIC)
    assert sheet[12:28, :100].min() < 50  # the group's number and size
    np.testing.assert_array_equal(sheet[28:188, 184:344], drawn)  # the second of the first row
    for line in (188, 204):
        assert sheet[line : line + 16, 184:344].min() < 50  # its name and size


def test_a_contact_sheet_replaces_no_image_that_is_read(run, folder):
    before = (folder / "photos" / "3.png").read_bytes()
    code, out, err = run("duplicates", "photos", "--sheet", "photos/3.png")
    assert (code, out) == (2, "")
    assert "Expected a file that is not read as well. Received: photos/3.png" in err
    assert (folder / "photos" / "3.png").read_bytes() == before


def test_a_full_disk_leaves_no_index(run, folder):
    before = sorted(folder.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        code, out, err = run("index", "photos", "-o", "photos.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (1, "")
    assert err == "lpips-tf: Cannot write photos.h5: File too large\n"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_a_contact_sheet_says_what_is_left_out(tmp_path, monkeypatch, count):
    monkeypatch.setattr(contact_sheets, "MOST_ROWS", 3)
    Image.new("RGB", (300, 40), "red").save(tmp_path / "a name of more than 24 letters.png")
    row = ["a name of more than 24 letters.png"] * (contact_sheets.MOST_IN_A_ROW + 3)
    contact_sheets.write_contact_sheet(
        tmp_path / "sheet.webp", tmp_path, [row] * count, ImageFiles()
    )
    sheet = np.asarray(Image.open(tmp_path / "sheet.webp"))
    assert (sheet[-28:, :160].min() < 50) == (count in (0, 5))
    if count:
        red = np.all(np.abs(sheet[176].astype(int) - (255, 0, 0)) < 30, axis=-1)
        assert red.sum() == pytest.approx(160 * contact_sheets.MOST_IN_A_ROW, abs=30)
        assert sheet[:40, -172:].min() < 50  # and 3 more


@pytest.mark.parametrize("command", [["index", "-o", "i.h5"], ["duplicates"]])
def test_index_and_duplicates_tell_of_transparent_images(run, folder, command):
    Image.new("RGBA", (64, 64), (9, 9, 9, 99)).save("photos/glass.png")
    code, _, err = run(command[0], "photos", *command[1:])
    assert (code, err.count("\n")) == (0, 1), err
    assert "warning: photos/glass.png is transparent in places" in err


def test_faiss_writes_nothing_of_its_own(folder, capfd):
    """Of 12 images for 4 lists FAISS' C++ says that these are few."""
    exit_code(main.main, "index", "photos", "-o", "i.h5", "--factory", "IVF4,Flat")
    assert capfd.readouterr() == ("i.h5: 12 images\n", "")


@pytest.mark.slow
def test_search_computes_as_the_index_was_built(run, folder, build, crops):
    run("index", "photos", "-o", "i.h5", "--net", "vgg", "--baseline")
    code, out, _ = run("search", "i.h5", "photos/6.png", "-k", 3)
    distances = [float(line.split(": ")[1]) for line in out.splitlines()]
    assert code == 0
    assert distances == sorted(distances)
    assert distances[0] == 0
    metric = build("vgg", lpips=False)
    second = out.splitlines()[-1].split(", ")[1].split(":")[0]
    expected = numbers(metric(crops[6:7], crops[int(second[0])][None]))[0]
    assert distances[-1] == pytest.approx(float(expected), abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["index", "none", "-o", "i.h5"], 1, "There is none at none"),
        (["index", "photos", "-o", "i.npz"], 2, "ends in .h5. Received: i.npz"),
        (["index", "photos", "-o", "i.h5", "--size", "16"], 1, "--size of at least 31"),
        (["index", "photos", "-o", "i.h5", "--factory", "x"], 1, "FAISS refuses factory='x'"),
        (["index", "photos", "-o", "no/i.h5"], 1, "Cannot write no/i.h5"),
        (["search", "none.h5", "query.png"], 1, "There is none at none.h5"),
        (["search", "query.png", "query.png"], 1, "Cannot read the index query.png"),
        (["search", "photos.h5", "none.png"], 1, "There is none at none.png"),
        (["search", "photos.h5", "query.png", "--net", "vgg"], 1, "Expected an index of net=vgg"),
        (["search", "photos.h5", "query.png", "-k", "0"], 2, "number of at least 1. Received: 0."),
        (["search", "photos.h5", "query.png", "-k", "x"], 2, "'-k': Expected a whole number. Rec"),
        (["duplicates", "photos", "--threshold", "-1"], 2, "of at least 0. Received: -1."),
        (["duplicates", "photos", "--threshold", "x"], 2, "Expected a number. Received: x."),
        (["duplicates", "photos", "--threshold", "nan"], 2, "--threshold"),
        (["index", "photos", "-o", "i.h5", "--factory", "HNSW0"], 1, "FAISS refuses"),
        (["duplicates", "photos", "--sheet", "x.gif"], 2, "ends in .png or .jpg or .webp"),
    ],
)
def test_wrong_options_of_index_search_and_duplicates_are_one_line(
    run, folder, build, crops, arguments, code, message
):
    Index.build(build(), crops).save("photos.h5")
    before = sorted(folder.rglob("*"))
    found, out, err = run(*arguments)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert message in err
    assert sorted(folder.rglob("*")) == before


def test_index_names_its_extra_where_faiss_is_missing(run, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for name in ("lpips_tf_cli.distances.image_index", "lpips_tf.neighbors"):  # as in a new process
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr(name, raising=False)
    code, _, err = run("index", "photos", "-o", "i.h5")
    assert (code, err.count("\n")) == (1, 1)
    assert 'needs faiss, which is not installed: pip install "lpips-tf[neighbors]"' in err
