"""`lpips-tf train --judgements`: trains on a table of one's own."""

import csv
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from training_runs import arrays, assert_same_heads, assert_same_history, history

import tfds_bapps
from lpips_tf_cli.judgements.sources import open_triplets
from lpips_tf_cli.training_runs.input_pipeline import Shuffling, of_images
from lpips_tf_cli.training_runs.run_folder import Run

COLUMNS = ("reference", "image0", "image1", "judge")
EPOCHS = ("--batch-size", 5, "--learning-rate", 1e-3, "--epochs", 2, "--decay-epochs", 0)


def write(path, rows, columns=COLUMNS):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture(scope="session")
def tables(root):
    """Tables of the triplets of train/cnn and val/cnn, in the folder of the tree."""
    found = []
    for split in ("train_cnn", "val_cnn"):
        rows = []
        for example in tfds_bapps.load_paths(root, "2afc", split).as_numpy_iterator():
            paths = [os.path.relpath(os.fsdecode(example[n]), root) for n in ("ref", "p0", "p1")]
            rows.append([*paths, float(example["judge"])])
        found.append(write(root / f"{split}.csv", rows))
    return found


@pytest.fixture(scope="session")
def large(tmp_path_factory, golden):
    """A table of twelve triplets of 96x80 pixels, each image with an own colour at each place."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        names = [f"{part}{i}.png" for part in "rab"]
        image = np.tile(golden["small0"][i % 6], (2, 2, 1))[:80, :96]
        for strength, name in enumerate(names):
            noisy = np.clip(image + rng.normal(0, 20 * strength + 1e-9, image.shape), 0, 255)
            Image.fromarray(noisy.astype("uint8")).save(folder / name)
        rows.append([*names, 0.2 * (i % 3)])
    return write(folder / "large.csv", rows)


@pytest.fixture
def train(run, tmp_path, monkeypatch):
    """`train(output, *options)`: code, output, errors of a training in this process."""
    monkeypatch.setenv("LPIPS_TF_HOME", str(tmp_path / "home"))
    return lambda output, *others: run("train", "--output", output, *EPOCHS, *others)


@pytest.mark.slow
def test_a_table_trains_the_heads_of_the_tree(train, root, tables, tmp_path):
    trained, validated = tables
    for name, where in (
        ("table", ["--judgements", trained, "--validation", validated]),
        ("tree", ["--bapps-dir", root, "--datasets", "train/cnn", "--validation", "val/cnn"]),
    ):
        code, out, err = train(tmp_path / name, *where, "--cache-features")
        assert (code, err.count("\n"), out.count("\n")) == (0, 2, 1)
    ours, tree = (arrays(tmp_path / name / "heads.h5") for name in ("table", "tree"))
    assert_same_heads(ours, tree)
    assert_same_history(history(tmp_path / "table"), history(tmp_path / "tree"))


@pytest.mark.slow
def test_each_epoch_cuts_other_squares_at_the_same_place_of_all_images(large):
    def epochs(seed=0):
        tf.random.set_seed(1)
        source = open_triplets(large, crop=32, min_size=1)
        data = of_images([source], [source], Shuffling(12, seed, 1))
        batches = [*data.epochs.between(0, 2), *data.validation]
        return [[image.numpy() for image in images] for images, _ in batches]

    first, second, middle = epochs()
    whole = [
        [np.asarray(Image.open(large.parent / f"{part}{i}.png")) for part in "rab"]
        for i in range(12)
    ]
    places = []
    for batch in (first, second, middle):
        places.append({})
        for row in zip(*batch, strict=True):
            i, place = next(
                (i, (top, left))
                for i, images in enumerate(whole)
                for top in range(49)
                for left in range(65)
                if (images[2][top : top + 32, left : left + 32] == row[2]).all()
            )
            for image, square in zip(whole[i], row, strict=True):
                np.testing.assert_array_equal(_square(image, place), square)
            places[-1][i] = place
    assert all(len(found) == 12 for found in places)
    assert set(places[2].values()) == {(24, 32)}
    assert len(set(places[0].values())) > 8
    assert sum(places[0][i] != places[1][i] for i in range(12)) > 8
    np.testing.assert_array_equal(epochs()[0], first)
    assert (np.array(epochs(seed=1)[0]) != first).any()


def _square(image, place):
    top, left = place
    return image[top : top + 32, left : left + 32]


@pytest.mark.slow
def test_an_interrupted_training_on_squares_goes_on(train, large, tmp_path, monkeypatch):
    options = ("--judgements", large, "--crop", 64)
    assert train(tmp_path / "whole", *options)[0] == 0
    kept = Run.save_epoch

    def interrupt(run, model, record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt
        kept(run, model, record)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_epoch", interrupt)
        assert train(tmp_path / "run", *options)[0] == 130
    code, _, err = train(tmp_path / "run", *options[:2], "--crop", 48, "--resume")
    assert (code, err.count("\n")) == (1, 1)
    assert "Received: crop 48 instead of 64" in err
    assert train(tmp_path / "run", *options, "--resume")[0] == 0
    whole, resumed = (arrays(tmp_path / name / "heads.h5") for name in ("whole", "run"))
    assert_same_heads(resumed, whole)


@pytest.mark.slow
def test_other_squares_and_judgements_are_cached_apart(train, large, tmp_path):
    rows = list(csv.reader(large.read_text().splitlines()))[1:]
    other = write(large.parent / "other.csv", [[*row[:3], 0.4] for row in rows])
    cache = tmp_path / "home" / "features"
    cases = [(large, 64, 1), (large, 64, 1), (large, 72, 2), (other, 64, 3)]
    for i, (table, crop, count) in enumerate(cases):
        options = ("--judgements", table, "--crop", crop, "--cache-features", "--epochs", 1)
        assert train(tmp_path / str(i), *options)[0] == 0
        assert len(list(cache.iterdir())) == count


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "one of --datasets and --judgements. Received: neither"),
        (["--judgements", "x.csv", "--datasets", "train/cnn"], 2, "Received: both"),
        (["--judgements", "x.csv", "--bapps-dir", "y"], 2, "Expected no --bapps-dir or --data-dir"),
        (["--datasets", "train/cnn", "--crop", "64"], 2, "--crop: Expected --judgements with it"),
        (["--judgements", "x.csv"], 1, "Cannot read x.csv: No such file"),
        (["--judgements", "opinions.csv"], 1, "table of triplets.*opinions.csv with opinions"),
        (["--judgements", "sizes.csv"], 1, "one size, or --crop. .*96x80 pixels and .* of 40x40"),
        (["--judgements", "sizes.csv", "--crop", "48"], 1, "at least 48x48 .*s.png of 40x40"),
        (["--judgements", "row.csv", "--crop", "32"], 1, "one size in a row. .*96x80 .* of 40x40"),
        (["--judgements", "large.csv", "--crop", "5"], 1, "at least 31x31 .*Received: --crop 5"),
        (["--judgements", "missing.csv"], 1, "There is none at .*none.png"),
        (["--judgements", "large.csv", "--validation", "opinions.csv"], 1, "with opinions"),
        (["--judgements", "large.csv", "--validation", "large.csv"], 1, "large.csv is for valid"),
    ],
)
def test_wrong_tables_begin_no_run(train, large, tmp_path, monkeypatch, arguments, code, message):
    folder = large.parent
    monkeypatch.chdir(folder)
    Image.new("RGB", (40, 40)).save(folder / "s.png")
    write(folder / "sizes.csv", [["r0.png", "a0.png", "b0.png", 1], ["s.png", "s.png", "s.png", 1]])
    write(folder / "row.csv", [["r0.png", "a0.png", "s.png", 1]])
    write(folder / "missing.csv", [["r0.png", "a0.png", "none.png", 1]])
    write(folder / "opinions.csv", [["r0.png", "a0.png", 1]], ("reference", "image", "opinion"))
    output = "/proc/run" if arguments[-1:] == ["large.csv"] else tmp_path / "run"
    received, out, err = train(output, *arguments)
    assert (received, out) == (code, "")
    first, *others = err.splitlines()
    assert len(others) == (output == "/proc/run")
    assert re.search(message, first), err
    assert not (tmp_path / "run").exists()


def test_an_image_that_is_damaged_is_named(train, large, tmp_path):
    path = large.parent / "cut.png"
    path.write_bytes((large.parent / "a3.png").read_bytes()[:2000])
    table = write(large.parent / "cut.csv", [["r3.png", "cut.png", "b3.png", 1]] * 6)
    code, out, err = train(tmp_path / "run", "--judgements", table)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"lpips-tf: Cannot read the image {path}: ")
