"""Tables of judgements of one's own, as `tf.data.Dataset`."""

import csv
import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from benchmarks.synthetic_bapps import write_photographs
from checking import numbers
from PIL import Image

import lpips_tf
import tfds_bapps
from lpips_tf import evaluation, training

TRIPLETS = ("reference", "image0", "image1", "judge")
OPINIONS = ("reference", "image", "opinion")


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture(scope="module")
def bapps(tmp_path_factory):
    """A tree of 2AFC, and the same judgements as a table."""
    root = tmp_path_factory.mktemp("bapps")
    write_photographs(root, "2afc", "val_cnn", 21)
    rows = []
    for example in tfds.as_numpy(tfds_bapps.load_paths(root, "2afc", "val_cnn")):
        paths = (os.path.relpath(os.fsdecode(example[n]), root) for n in ("ref", "p0", "p1"))
        rows.append([*paths, float(example["judge"])])
    return root, write(root / "table.csv", TRIPLETS, rows)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, golden):
    """A folder with images of two sizes, in turn, and the arrays of three of each row."""
    folder = tmp_path_factory.mktemp("mixed")
    arrays = []
    for i in range(7):
        size = (40, 34) if i % 2 else (64, 64)
        row = []
        for name, image in zip(("r", "a", "b"), np.roll(golden["small0"], i, axis=0), strict=False):
            Image.fromarray(image[: size[0], : size[1]]).save(folder / f"{name}{i}.png")
            row.append(image[: size[0], : size[1]])
        arrays.append(row)
    return folder, arrays


def test_a_table_gives_the_scores_of_the_tree(bapps, build):
    root, table = bapps
    expected = evaluation.distances(build(), tfds_bapps.load_tree(root, "2afc", "val_cnn"))
    found = evaluation.distances(build(), tfds_bapps.load_manifest(table, size=(64, 64)))
    for name in ("d0", "d1", "judge"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert evaluation.score(found) == evaluation.score(expected)
    any_size = evaluation.distances(build(), tfds_bapps.load_manifest(table), batch_size=10)
    np.testing.assert_allclose(any_size["d0"], expected["d0"], atol=1e-6)


@pytest.mark.slow
def test_a_table_trains_as_the_tree_does(bapps, build):
    root, table = bapps
    supervised = tfds_bapps.load_tree(root, "2afc", "val_cnn").map(
        lambda e: ((e["ref"], e["p0"], e["p1"]), e["judge"])
    )
    heads = []
    for data in (supervised, tfds_bapps.load_manifest(table, (64, 64), as_supervised=True)):
        tf.keras.utils.set_random_seed(0)
        model = training.RankingModel(lpips_tf.LPIPS(head_weights=None, dropout=0))
        model.compile(training.optimizer(1e-3))
        model.fit(data.batch(7), epochs=1, verbose=0)
        heads.append([numbers(head.kernel) for head in model.metric.heads])
    for x, y in zip(*heads, strict=True):
        np.testing.assert_array_equal(x, y)


def test_rows_of_several_sizes_keep_their_order(mixed, build):
    folder, arrays = mixed
    judge = np.linspace(0, 1, 7, dtype="float32")
    rows = [[f"r{i}.png", f"a{i}.png", f"b{i}.png", judge[i]] for i in range(7)]
    table = write(folder / "triplets.csv", TRIPLETS, rows)
    found = evaluation.distances(build(), tfds_bapps.load_manifest(table), batch_size=2)
    assert found["id"].tolist() == [str(i) for i in range(1, 8)]
    np.testing.assert_array_equal(found["judge"], judge)
    for i, (r, a, b) in enumerate(arrays):
        for name, image in (("d0", a), ("d1", b)):
            expected = numbers(build()(r[None], image[None]))[0]
            assert found[name][i] == pytest.approx(expected, rel=1e-5, abs=2e-6)


def test_opinions_have_distances_and_correlations(mixed, build):
    folder, arrays = mixed
    rows = [[f"r{i}.png", f"a{i}.png", 5 - i / 2, "noise"] for i in range(7)]
    table = write(folder / "opinions.csv", (*OPINIONS, "kind"), rows)
    found = evaluation.distances(build(), tfds_bapps.load_manifest(table))
    assert found["reference"].tolist() == [f"r{i}.png" for i in range(7)]
    np.testing.assert_array_equal(found["opinion"], [5 - i / 2 for i in range(7)])
    expected = [numbers(build()(r[None], a[None]))[0] for r, a, _ in arrays]
    np.testing.assert_allclose(found["distance"], expected, rtol=1e-5, atol=2e-6)
    assert -1 <= evaluation.correlations(found).spearman.value <= 1
    with pytest.raises(ValueError, match=r"see evaluation\.correlations"):
        evaluation.score(found)


def test_parquet_files_hold_the_same(bapps):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    root, table = bapps
    with table.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["judge"] = float(row["judge"])
    parquet.write_table(pyarrow.Table.from_pylist(rows), root / "table.parquet")
    for x, y in zip(*(tfds.as_numpy(tfds_bapps.load_manifest(p, (64, 64)))
                      for p in (table, root / "table.parquet")), strict=True):  # fmt: skip
        assert x["id"] == y["id"]
        np.testing.assert_array_equal(x["p1"], y["p1"])
    (root / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match="Expected a Parquet file"):
        tfds_bapps.load_manifest(root / "bad.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("reference,image0,judge\nr0.png,a0.png,0.5", "Expected the columns reference, image0"),
        ("reference,image0,image1,judge,image,opinion\n" + "r0.png," * 5 + "1", "both, in"),
        ("reference,image0,image1,judge\nr0.png,a0.png,b0.png,1.5", r"row 1: '1\.5'"),
        ("reference,image0,image1,judge\nr0.png,a0.png,b0.png,nan", "in .0, 1.. Received"),
        ("reference,image,opinion\nr0.png,a0.png,good", "opinion as a number.*row 1: 'good'"),
        ("reference,image,opinion\nr0.png,a0.png,inf", "opinion as a number"),
        ("reference,image,opinion\nr0.png,a0.png,-1e101", "a number up to 1e.100. .*'-1e101'"),
        ("reference,image,opinion\nr0.png,../a0.png,1", r"within the folder.*\.\./a0\.png"),
        ("reference,image,opinion\nr0.png,/etc/a.png,1", "within the folder"),
        ("reference,image,opinion\nr0.png,,1", "Expected a path"),
        ("reference,image,opinion\nr0.png,a0.png", "3 fields in each row.*row 1, with 2"),
        ("reference,image,opinion", "without any"),
        ("", "without any"),
        ('reference,image,opinion\nr0.png,"a0.png,1', "as CSV"),
        (b"reference,image,opinion\n\xff,a0.png,1", "in UTF-8"),
    ],
)
def test_tables_that_do_not_fit_are_refused(mixed, content, message):
    table = mixed[0] / "bad.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as error:
        tfds_bapps.load_manifest(table)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [{"size": 64}, {"size": (0, 64)}, {"crop": 0}])
def test_sizes_that_cannot_be_are_refused(mixed, options):
    with pytest.raises(ValueError, match=r"Expected (size|crop).* Received: "):
        tfds_bapps.load_manifest(mixed[0] / "no matter", **options)


def test_a_name_may_begin_with_dots(mixed):
    folder, arrays = mixed
    Image.fromarray(arrays[0][0]).save(folder / "..r.png")
    table = write(folder / "dots.csv", OPINIONS, [["..r.png", "a0.png", 1]])
    assert len(list(tfds_bapps.load_manifest(table))) == 1


def test_what_cannot_be_read_is_named(mixed):
    folder = mixed[0]
    with pytest.raises(OSError, match="Cannot read"):
        tfds_bapps.load_manifest(folder / "none.csv")
    for images, message in ((("r0.png", "none.png"), "none.png"), (("r0.png", "a1.png"), "a1.png")):
        table = write(folder / "bad.csv", OPINIONS, [[*images, 1]])
        with pytest.raises(tf.errors.OpError, match=message):
            list(tfds_bapps.load_manifest(table))
    with pytest.raises(ValueError, match="2AFC and a size"):
        tfds_bapps.load_manifest(table, as_supervised=True)
