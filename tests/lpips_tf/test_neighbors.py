"""Nearest neighbours and near-duplicates by LPIPS."""

import json
import resource
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from benchmarks.synthetic_bapps import distorted
from checking import numbers
from PIL import Image

import lpips_tf
from lpips_tf.neighbors import Index, Sketch, groups
from lpips_tf_cli import main
from lpips_tf_cli.distances.image_files import ImageFiles
from lpips_tf_cli.reports import contact_sheets

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy's, of Keras


@pytest.fixture(scope="module")
def pictures():
    """300 crops of pictures and, at 300 and after, distorted copies of the first 20."""
    references, copies, *_ = distorted(np.random.default_rng(0), 300)
    return np.stack([*references, *copies[:20]])


@pytest.fixture(scope="module")
def matrix(build, pictures):
    """All distances, by a product of whole embeddings."""
    return lpips_tf.distance_matrix(build(), pictures)


@pytest.fixture(scope="module")
def index(build, pictures):
    return Index.build(build(), pictures[:300])


def test_finds_the_nearest(index, pictures, matrix):
    found = index.search(pictures[300:], k=5)
    expected = np.sort(matrix[300:, :300], axis=1)[:, :5]
    np.testing.assert_allclose(found.distances, expected, atol=2e-6)
    rows = np.arange(300, 320)[:, None]
    np.testing.assert_allclose(matrix[rows, found.indices], expected, atol=2e-6)


def test_a_picture_is_nearest_to_itself(index, pictures):
    found = index.search(pictures[7:9], k=1)
    assert found.indices[:, 0].tolist() == [7, 8]
    np.testing.assert_allclose(found.distances, 0, atol=1e-9)


@pytest.mark.parametrize("factory", ["PCA32,Flat", "SQ8", "PCA32,PQ8x4", "IVF4,Flat"])
def test_candidates_make_up_for_short_codes(build, pictures, matrix, factory):
    index = Index.build(build(), pictures[:300], factory=factory)
    found = index.search(pictures[300:], k=10, candidates=100)
    true = np.argsort(matrix[300:, :300], axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.indices, true, strict=True)])
    assert recall > (0.6 if factory.startswith("IVF") else 0.9)


def test_finds_as_many_as_asked_for_though_ivf_searches_few_lists(build, pictures, matrix):
    index = Index.build(build(), pictures[:60], factory="IVF30,Flat")
    found = index.search(pictures[:3], k=20)
    assert found.indices.shape == (3, 20)
    np.testing.assert_allclose(
        found.distances, matrix[np.arange(3)[:, None], found.indices], atol=2e-6
    )
    every = index.search(pictures[:3], k=60)
    np.testing.assert_allclose(every.distances, np.sort(matrix[:3, :60]), atol=2e-6)
    assert index.index.nprobe == 1  # as it was


def test_only_some_kinds_give_pairs(build, pictures):
    index = Index.build(build(), pictures[:60], factory="PQ8x4fs")
    with pytest.raises(ValueError, match=r"factory='Flat'\. Received: IndexPQFastScan"):
        list(index.pairs(0.1))
    with pytest.raises(ValueError, match=r"threshold of at least 0\. Received: nan"):
        list(index.pairs(float("nan")))


def test_refuses_a_metric_whose_weights_are_not_finite(index, pictures):
    broken = lpips_tf.LPIPS()
    broken.heads[2].kernel.assign(broken.heads[2].kernel * float("nan"))
    with pytest.raises(ValueError, match="finite embeddings"):
        Index.build(broken, pictures[:5])
    other = Index(broken, index.pictures, index.names, index.sketch, index.index)
    with pytest.raises(ValueError, match="finite embeddings"):
        other.search(pictures[:1])
    with pytest.raises(ValueError, match="finite embeddings"):
        list(other.pairs(0.1))


def test_sketches_keep_distances():
    a, b = np.random.default_rng(0).normal(0, 1, (2, 200, 31872)).astype("float32")
    sketch = Sketch(31872, 1024, seed=3)
    ratios = np.square(sketch(a) - sketch(b)).sum(1) / np.square(a - b).sum(1)
    assert sketch(a).shape == (200, 1024)
    assert ratios.mean() == pytest.approx(1, abs=0.02)
    assert ratios.min() > 0.8 and ratios.max() < 1.2
    np.testing.assert_array_equal(sketch(a), Sketch(31872, 1024, seed=3)(a))
    assert (sketch(a) != Sketch(31872, 1024, seed=4)(a)).any()
    np.testing.assert_array_equal(Sketch(500, 1024, seed=0)(a[:, :500]), a[:, :500])


def test_saved_and_loaded(index, pictures, tmp_path):
    index.save(tmp_path / "index.h5")
    loaded = Index.load(tmp_path / "index.h5")
    assert loaded.names == index.names
    for found, expected in zip(loaded.search(pictures[300:]), index.search(pictures[300:]),
                               strict=True):  # fmt: skip
        np.testing.assert_array_equal(found, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["index.h5"]


def test_pairs_are_all_that_are_near(build, pictures, matrix):
    index = Index.build(build(), pictures)
    threshold = 0.1
    found = {(i, j): d for i, j, d in index.pairs(threshold)}
    rows, columns = np.nonzero(np.triu(matrix <= threshold, 1))
    assert set(found) == set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(found) > 5
    for place, distance in found.items():
        assert distance == pytest.approx(matrix[place], abs=2e-6)


def test_equal_pictures(build, pictures):
    index = Index.build(build(), np.concatenate([pictures[:40], pictures[:10], pictures[:10]]))
    for threshold in (0, 1e-6):
        found = list(index.pairs(threshold))
        assert len(found) == 30 and {d for *_, d in found} == {0}
    assert (index.search(pictures[:7], k=3).distances[:, :3] == 0).all()


def test_groups():
    assert groups([(1, 2), (5, 9), (2, 7), (3, 4), (7, 1)]) == [[1, 2, 7], [3, 4], [5, 9]]
    assert groups([]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pictures": np.zeros((2, 64, 64, 3))}, "dtype uint8. Received: .*float64"),
        ({"pictures": np.zeros((64, 64, 3), "u1")}, r"\(N, H, W, 3\)"),
        ({"metric": lpips_tf.LPIPS(spatial=True)}, "spatial=True"),
        ({"names": ["a"]}, "of its own for each of 60 pictures. Received: 1 names"),
        ({"names": ["a"] * 60}, "Received: 60 names, 1 different"),
        ({"factory": "Flatt"}, "FAISS refuses factory='Flatt': could not parse"),
        ({"factory": "PCA64,PQ16"}, "FAISS refuses .* cannot output 64 dimensions"),
        ({"factory": "IVF0,Flat"}, "FAISS refuses factory='IVF0,Flat'"),
        ({"factory": "IVF256,Flat"}, r"points \(60\) should be at least as large .* \(256\)"),
        ({"factory": "HNSW0"}, "FAISS refuses factory='HNSW0': its process ends with SIG"),
        ({"factory": "RR0,Flat"}, "FAISS refuses factory='RR0,Flat': its process ends with SIG"),
        ({"factory": "PQ16x24"}, "FAISS refuses factory='PQ16x24': std::bad_alloc"),
    ],
)
def test_refuses_to_build(build, pictures, change, message):
    with pytest.raises(ValueError, match=message):
        Index.build(**({"metric": build(), "pictures": pictures[:60]} | change))


def test_refuses_queries(index, pictures):
    for queries in (pictures[:1, :40], pictures[0], pictures[:0], pictures[:1] / 255):
        with pytest.raises(ValueError, match=r"queries of shape \(Q, 64, 64, 3\) and dtype uint8"):
            index.search(queries)
    with pytest.raises(ValueError, match="k of at least 1"):
        index.search(pictures[:1], k=0)


def test_refuses_an_index_of_another_metric(index, tmp_path, build):
    index.save(tmp_path / "index.h5")
    with pytest.raises(ValueError, match=r"built with: version='0.1', received '0.0'"):
        Index.load(tmp_path / "index.h5", build(version="0.0"))


@pytest.mark.parametrize("damage", ["cut", "text", "index", "missing", "other"])
def test_refuses_what_is_damaged(index, tmp_path, damage):
    path = tmp_path / "index.h5"
    index.save(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "text":
        path.write_text("Cats.")
    elif damage == "other":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    else:
        with h5py.File(path, "r+") as file:
            if damage == "index":
                file["index"][500] += 1
            else:
                del file["pictures"]
    with pytest.raises(OSError, match=r"index\.h5"):
        Index.load(path)


@pytest.fixture
def folder(pictures, tmp_path, monkeypatch):
    """Ten pictures and enlarged copies of two, and a query beside them."""
    (tmp_path / "photos").mkdir()
    for i in range(0, 300, 30):
        Image.fromarray(pictures[i]).save(tmp_path / "photos" / f"{i:03}.png")
    for i in (30, 60):
        copy = Image.fromarray(pictures[i]).resize((128, 128), Image.Resampling.BICUBIC)
        copy.save(tmp_path / "photos" / f"{i:03} copy.jpg", quality=97)
    Image.fromarray(pictures[30]).save(tmp_path / "query.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands(run_program, folder, pictures):
    code, out, err = run_program(main.main, "index", "photos", "-o", "photos.h5")
    assert (code, out, err) == (0, "photos.h5: 12 images\n", "")
    code, out, err = run_program(main.main, "search", "photos.h5", "query.png", "-k", 2, "--json")
    found = json.loads(out)
    assert [row["image"] for row in found] == ["030.png", "030 copy.jpg"]
    assert found[0]["distance"] < 1e-9 < found[1]["distance"] < 0.05
    code, out, err = run_program(
        main.main, "duplicates", "photos", "--threshold", 0.05, "--sheet", "sheet.png",
        "-o", "pairs.csv",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out == "030 copy.jpg, 030.png\n060 copy.jpg, 060.png\n2 groups of 4 images, 2 pairs\n"
    assert len(Path("pairs.csv").read_text().splitlines()) == 3
    sheet = np.asarray(Image.open("sheet.png"))
    drawn = Image.fromarray(pictures[30]).resize((160, 160), Image.Resampling.BICUBIC)
    assert sheet[12:28, :100].min() < 50  # the group's number and size
    np.testing.assert_array_equal(sheet[28:188, 184:344], drawn)  # the second of the first row
    for line in (188, 204):
        assert sheet[line : line + 16, 184:344].min() < 50  # its name and size


def test_a_full_disk(run_program, folder):
    before = sorted(folder.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        code, out, err = run_program(main.main, "index", "photos", "-o", "photos.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (1, "")
    assert err == "lpips-tf: Cannot write photos.h5: File too large\n"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("count", [0, 1, contact_sheets.MOST_ROWS, contact_sheets.MOST_ROWS + 5])
def test_sheets_say_what_is_left_out(tmp_path, count):
    Image.new("RGB", (300, 40), "red").save(tmp_path / "a name of more than 24 letters.png")
    row = ["a name of more than 24 letters.png"] * (contact_sheets.MOST_IN_A_ROW + 3)
    contact_sheets.draw(tmp_path / "sheet.webp", tmp_path, [row] * count, ImageFiles())
    sheet = np.asarray(Image.open(tmp_path / "sheet.webp"))
    assert (sheet[-28:, :160].min() < 50) == (count in (0, contact_sheets.MOST_ROWS + 5))
    if count:
        red = np.all(np.abs(sheet[176].astype(int) - (255, 0, 0)) < 30, axis=-1)
        assert red.sum() == pytest.approx(160 * contact_sheets.MOST_IN_A_ROW, abs=30)
        assert sheet[:40, -172:].min() < 50  # and 3 more


@pytest.mark.parametrize("command", [["index", "-o", "i.h5"], ["duplicates"]])
def test_commands_warn(run_program, folder, command):
    Image.new("RGBA", (64, 64), (9, 9, 9, 99)).save("photos/glass.png")
    code, _, err = run_program(main.main, command[0], "photos", *command[1:])
    assert (code, err.count("\n")) == (0, 1), err
    assert "warning: photos/glass.png is transparent in places" in err


def test_faiss_writes_nothing_of_its_own(folder, capfd, monkeypatch):
    """Of 12 pictures for 4 lists FAISS' C++ says that these are few."""
    monkeypatch.setattr(
        sys, "argv", ["program", *["index", "photos", "-o", "i.h5", "--factory", "IVF4,Flat"]]
    )
    with pytest.raises(SystemExit):
        main.main()
    assert capfd.readouterr() == ("i.h5: 12 images\n", "")


def test_options_of_commands(run_program, folder, build, pictures):
    run_program(main.main, "index", "photos", "-o", "i.h5", "--net", "vgg", "--baseline")
    code, out, _ = run_program(main.main, "search", "i.h5", "photos/060.png", "-k", 3)
    distances = [float(line.split(": ")[1]) for line in out.splitlines()]
    assert code == 0 and distances == sorted(distances) and distances[0] == 0
    metric = build("vgg", lpips=False)
    second = out.splitlines()[-1].split(", ")[1].split(":")[0]
    expected = numbers(metric(pictures[60:61], pictures[int(second[:3])][None]))[0]
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
def test_commands_refuse(run_program, folder, index, arguments, code, message):
    index.save("photos.h5")
    before = sorted(folder.rglob("*"))
    found, out, err = run_program(main.main, *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert message in err
    assert sorted(folder.rglob("*")) == before


def test_names_the_extra(run_program, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "lpips_tf_cli.distances.image_index", raising=False)
    monkeypatch.delattr("lpips_tf_cli.distances.image_index", raising=False)
    code, _, err = run_program(main.main, "index", "photos", "-o", "i.h5")
    assert (code, err.count("\n")) == (1, 1)
    assert 'needs faiss, which is not installed: pip install "lpips-tf[neighbors]"' in err
