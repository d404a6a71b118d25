"""BAPPS through TensorFlow Datasets: from archives, from an unpacked tree, and what it refuses."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bapps_files
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from benchmarks.synthetic_bapps import png
from checking import ROOT
from local_server import serving
from PIL import Image, ImageFile

import lpips_tf
import tfds_bapps
from lpips_tf import training
from tfds_bapps import bapps_dataset_builder, tree

COUNT = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A whole tree."""
    root = tmp_path_factory.mktemp("tree")
    for mode in tree.MODES:
        bapps_files.write_tree(root, mode, dict.fromkeys(tree.splits(mode), COUNT))
    return root


@pytest.fixture
def damaged(root, tmp_path):
    """A copy of the validation data, to be damaged."""
    shutil.copytree(root / "2afc" / "val", tmp_path / "bapps" / "2afc" / "val")
    return tmp_path / "bapps"


def builder(mode, data_dir):
    return tfds.builder(f"bapps/{mode}", data_dir=data_dir)


def prepare(mode, data_dir, **config):
    prepared = builder(mode, data_dir)
    prepared.download_and_prepare(download_config=tfds.download.DownloadConfig(**config))
    return prepared


@pytest.fixture(scope="module")
def prepared(root, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    return {mode: prepare(mode, data_dir, manual_dir=root) for mode in tree.MODES}


@pytest.mark.parametrize("mode", list(tree.MODES))
def test_prepared_data_have_the_authors_splits_files_and_order(mode, prepared, root):
    info = prepared[mode].info
    assert set(info.splits) == set(tree.splits(mode))
    for split in tree.splits(mode):
        assert info.splits[split].num_examples == COUNT
    folder = Path(tree.split_folder(root, mode, "val_cnn"))
    answer = tree.MODES[mode].answer
    for i, example in enumerate(tfds.as_numpy(prepared[mode].as_dataset(split="val_cnn"))):
        assert set(example) == {"id", answer, *tree.MODES[mode].images}
        assert example["id"] == f"{i:06}".encode()
        for part in tree.MODES[mode].images:
            image = np.asarray(Image.open(folder / part / f"{i:06}.png"))
            np.testing.assert_array_equal(example[part], image)
            assert example[part].dtype == np.uint8
        (expected,) = np.load(folder / answer / f"{i:06}.npy")
        assert example[answer] == expected
        assert example[answer].dtype == np.float32
    assert i == COUNT - 1


def test_prepared_data_are_loaded_by_name(prepared, root):
    data_dir = prepared["2afc"].data_dir_root
    dataset = tfds.load("bapps/2afc", split="val_cnn[:5]", data_dir=data_dir, download=False)
    assert len(dataset) == 5


def test_prepared_data_keep_the_bytes_of_files(prepared, root):
    skip = dict.fromkeys(("ref", "p0", "p1"), tfds.decode.SkipDecoding())
    dataset = prepared["2afc"].as_dataset(split="val_color", decoders=skip)
    for example in tfds.as_numpy(dataset.take(3)):
        path = root / "2afc/val/color/p1" / f"{example['id'].decode()}.png"
        assert example["p1"] == path.read_bytes()


def test_preparing_twice_gives_the_same_files(prepared, root, tmp_path):
    again = prepare("jnd", tmp_path, manual_dir=root)
    for path in sorted(Path(again.data_dir).glob("*tfrecord*")):
        assert path.read_bytes() == (Path(prepared["jnd"].data_dir) / path.name).read_bytes()


def test_the_tree_gives_the_same_examples(prepared, root):
    for mode in tree.MODES:
        loaded = prepared[mode].as_dataset(split="val_traditional")
        read = tfds_bapps.load_tree(root, mode, "val_traditional")
        assert read.element_spec == loaded.element_spec
        assert len(read) == len(loaded) == COUNT
        for one, other in zip(tfds.as_numpy(loaded), tfds.as_numpy(read), strict=True):
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("side", [30, 65, 256])
def test_images_are_resized_as_the_authors_do(side, tmp_path):
    """`torchvision.transforms.Resize(64)` of a Pillow image is Pillow's bilinear filter."""
    bapps_files.write_tree(tmp_path, "jnd", dict.fromkeys(tree.splits("jnd"), 1), side)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), "uint8")
    path = tmp_path / "jnd/val/cnn/p0/000000.png"
    path.write_bytes(png(noise))
    expected = Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
    prepared = prepare("jnd", tmp_path / "data", manual_dir=tmp_path)
    read = tfds_bapps.load_tree(tmp_path, "jnd", "val_cnn")
    for dataset in (prepared.as_dataset(split="val_cnn"), read):
        (example,) = tfds.as_numpy(dataset)
        np.testing.assert_array_equal(example["p0"], expected)
    without_tensorflow = prepared.info.features["p0"].decode_example_np(path.read_bytes())
    np.testing.assert_array_equal(without_tensorflow, expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_grey_palette_and_alpha_images_become_rgb(mode, tmp_path):
    bapps_files.write_tree(tmp_path, "jnd", {"val_cnn": 1})
    path = tmp_path / "jnd/val/cnn/p0/000000.png"
    Image.open(path).convert(mode).save(path)
    (example,) = tfds.as_numpy(tfds_bapps.load_tree(tmp_path, "jnd", "val_cnn"))
    np.testing.assert_array_equal(example["p0"], Image.open(path).convert("RGB"))


def test_a_tree_may_lack_the_training_data(root, damaged, tmp_path):
    prepared = prepare("2afc", tmp_path / "data", manual_dir=damaged)
    assert set(prepared.info.splits) == {s for s in tree.splits("2afc") if s.startswith("val")}


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def damage_truncate(folder):
    truncate(folder / "p0/000007.png")
    return r"Expected a PNG image. Received: \S*color/p0/000007.png: .+"


def damage_no_image(folder):
    (folder / "ref/000003.png").write_text("hello")
    return r"Expected a PNG image. Received: \S*color/ref/000003.png"


def damage_jpeg(folder):
    Image.new("RGB", (64, 64)).save(folder / "p1/000000.png", "JPEG")
    return r"Expected a PNG image. Received: \S*color/p1/000000.png"


def damage_not_square(folder):
    Image.new("RGB", (64, 60)).save(folder / "p1/000000.png")
    return r"square.*color/p1/000000.png of 64x60"


def damage_deep(folder):
    Image.new("I;16", (64, 64)).save(folder / "p1/000000.png")
    return r"8 bits a channel. Received: \S*color/p1/000000.png of 16"


def damage_empty(folder):
    (folder / "p1/000002.png").write_bytes(b"")
    return r"Expected a PNG image. Received: \S*color/p1/000002.png"


def damage_judge_huge(folder):
    shape = b"{'descr': '<f8', 'fortran_order': False, 'shape': (50000000000,), }"
    header = b"\x93NUMPY\x01\x00\x76\x00" + shape
    (folder / "judge/000005.npy").write_bytes(header.ljust(127) + b"\n")
    return r"Expected one number. Received: \S*color/judge/000005.npy"


def damage_missing_image(folder):
    (folder / "p1/000011.png").unlink()
    return r"same names.*\(12 files\).*\(11 files\). Missing: \S*color/p1/000011.png"


def damage_missing_judge(folder):
    (folder / "judge/000004.npy").unlink()
    return r"Missing: \S*color/judge/000004.npy"


def damage_one_more(folder):
    shutil.copy(folder / "p0/000000.png", folder / "p0/000012.png")
    return r"Missing: \S*color/ref/000012.png"


def damage_no_folder(folder):
    shutil.rmtree(folder / "judge")
    return r"Expected a folder of .npy files. Missing: \S*color/judge"


def damage_judge_above_1(folder):
    np.save(folder / "judge/000005.npy", [1.5])
    return r"in \[0, 1\]. Received: \S*color/judge/000005.npy of 1.5"


def damage_judge_nan(folder):
    np.save(folder / "judge/000005.npy", [np.nan])
    return r"in \[0, 1\]. Received: \S*color/judge/000005.npy of nan"


def damage_judge_two(folder):
    np.save(folder / "judge/000005.npy", [0.2, 0.4])
    return r"Expected one number. Received: \S*color/judge/000005.npy"


def damage_judge_pickled(folder):
    np.save(folder / "judge/000005.npy", np.array([{}], object), allow_pickle=True)
    return r"Expected one number. Received: \S*color/judge/000005.npy"


def damage_judge_text(folder):
    (folder / "judge/000005.npy").write_text("0.4")
    return r"Expected one number. Received: \S*color/judge/000005.npy"


DAMAGES = [value for name, value in list(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_wrong_file_is_named_and_nothing_prepared(
    damage, lenient, damaged, tmp_path, monkeypatch
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)  # as TFDS' tables do
    message = damage(damaged / "2afc/val/color")
    with pytest.raises(ValueError, match=message):
        tfds_bapps.check_images(damaged, "2afc", "val_color")
    with pytest.raises(ValueError, match=message):
        prepare("2afc", tmp_path / "data", manual_dir=damaged)
    assert not builder("2afc", tmp_path / "data").is_prepared()


def test_what_failed_is_prepared_by_a_second_run(damaged, root, tmp_path):
    broken = damaged / "2afc/val/frameinterp/p0/000005.png"
    whole = broken.read_bytes()
    truncate(broken)
    with pytest.raises(ValueError, match=r"p0/000005.png"):
        prepare("2afc", tmp_path / "data", manual_dir=damaged)
    assert not builder("2afc", tmp_path / "data").is_prepared()
    broken.write_bytes(whole)
    prepared = prepare("2afc", tmp_path / "data", manual_dir=damaged)
    assert len(prepared.as_dataset(split="val_frameinterp")) == COUNT


@pytest.mark.parametrize("folder", ["", "2afc", "2afc/other"])
def test_a_named_folder_without_the_tree_is_refused(folder, tmp_path):
    manual = tmp_path / "manual"
    (manual / folder).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"2afc/train or .*2afc/val.*manual_dir=.* without"):
        prepare("2afc", tmp_path / "data", manual_dir=manual)


@pytest.mark.parametrize("name", ["bäume", os.fsdecode(b"\xff\xfe")])
def test_names_of_files_may_be_anything(name, tmp_path, monkeypatch):
    root = tmp_path / "übung"
    bapps_files.write_tree(root, "jnd", dict.fromkeys(tree.splits("jnd"), 2))
    for path in (root / "jnd/val/cnn").glob("*/000001.*"):
        path.rename(path.with_name(name + path.suffix))
    prepared = prepare("jnd", tmp_path / "data", manual_dir=root)
    for dataset in (
        prepared.as_dataset(split="val_cnn"),
        tfds_bapps.load_tree(root, "jnd", "val_cnn"),
    ):
        assert [e["id"] for e in tfds.as_numpy(dataset)] == [b"000000", os.fsencode(name)]


def test_unknown_modes_and_folders_are_refused(root):
    with pytest.raises(ValueError, match=r"one of '2afc', 'jnd'. Received: mode='x'"):
        tfds_bapps.load_tree(root, "x", "val_cnn")
    with pytest.raises(ValueError, match=r"holds 2afc and jnd. Received: \S+ without 2afc/val/cnn"):
        tfds_bapps.load_tree(root / "2afc", "2afc", "val_cnn")


def test_unknown_splits_are_refused(root):
    with pytest.raises(ValueError, match=r"val_frameinterp. Received: 'val/cnn'"):
        tfds_bapps.load_tree(root, "2afc", "val/cnn")
    with pytest.raises(ValueError, match=r"one of '2afc', 'jnd'. Received: mode='afc'"):
        tfds_bapps.splits("afc")


@pytest.fixture
def server(root, monkeypatch):
    with serving() as server:
        server.files = {
            name: bapps_files.archive(root, mode, group)
            for mode, names in bapps_dataset_builder._ARCHIVES.items()
            for group, name in names.items()
        }
        monkeypatch.setattr(bapps_dataset_builder, "_URL", server.url)
        yield server


@pytest.mark.parametrize("mode", list(tree.MODES))
def test_the_archives_of_a_config_are_downloaded(mode, server, prepared, tmp_path):
    downloaded = prepare(mode, tmp_path)
    assert sorted(name for name, _ in server.requests) == sorted(
        bapps_dataset_builder._ARCHIVES[mode].values()
    )
    for split in tree.splits(mode):
        pairs = zip(
            tfds.as_numpy(downloaded.as_dataset(split=split)),
            tfds.as_numpy(prepared[mode].as_dataset(split=split)),
            strict=True,
        )
        for one, other in pairs:
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])


def test_an_interrupted_download_is_not_taken_for_complete(server, tmp_path):
    server.reach = 2000
    with pytest.raises(Exception, match=r".+"):  # requests', or the archive's
        prepare("jnd", tmp_path)
    assert not builder("jnd", tmp_path).is_prepared()
    server.reach = None
    assert len(prepare("jnd", tmp_path).as_dataset(split="val_cnn")) == COUNT


def test_tfds_shows_examples_as_figures_and_tables(prepared, monkeypatch):
    pytest.importorskip("pandas", reason="`make test-all` installs pandas")
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)  # TFDS sets it for good
    dataset, info = prepared["2afc"].as_dataset(split="val_cnn"), prepared["2afc"].info
    figure = tfds.show_examples(dataset, info, rows=1, cols=2, image_key="ref")
    assert len(figure.axes) == 2
    frame = tfds.as_dataframe(dataset.take(3), info)
    assert list(frame["id"]) == [b"000000", b"000001", b"000002"]
    assert frame._repr_html_().count("<img") == 9


@pytest.mark.parametrize("mode", list(tree.MODES))
def test_supervised_examples_are_images_and_the_answer(mode, prepared):
    pairs = zip(
        tfds.as_numpy(prepared[mode].as_dataset(split="val_cnn", as_supervised=True)),
        tfds.as_numpy(prepared[mode].as_dataset(split="val_cnn")),
        strict=True,
    )
    for (images, answer), example in pairs:
        assert answer == example[tree.MODES[mode].answer]
        for image, name in zip(images, tree.MODES[mode].images, strict=True):
            np.testing.assert_array_equal(image, example[name])


@pytest.mark.slow
def test_supervised_examples_train_a_ranking_model(prepared):
    data = prepared["2afc"].as_dataset(split="train_cnn", as_supervised=True).batch(6)
    model = training.RankingModel(lpips_tf.LPIPS())
    model.compile(training.optimizer())
    history = model.fit(data, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert 0 <= history["two_afc"][0] <= 1


def test_tags_are_those_of_tfds():
    known = Path(tfds.__file__).parent / "core" / "valid_tags.txt"
    tags = (ROOT / "tfds_bapps" / "TAGS.txt").read_text().split()
    assert tags
    assert set(tags) <= {line.split(" #")[0] for line in known.read_text().splitlines()}


def test_the_builder_describes_data_and_source(prepared):
    info = prepared["2afc"].info
    assert "BSD 2-Clause" in info.redistribution_info.license
    assert (Path(prepared["2afc"].data_dir) / "LICENSE").read_text() == (
        info.redistribution_info.license
    )
    assert "Zhang" in info.citation
    assert "64x64" in info.description
    assert "people who found p1 nearer" in info.features["judge"].doc.desc


COMMAND = [importlib.util.find_spec(name) for name in ("apache_beam", "mlcroissant")]


@pytest.mark.skipif(not all(COMMAND), reason="what the command tfds imports is not installed")
@pytest.mark.slow
def test_the_command_of_tfds_builds_the_data(root, tmp_path):
    command = [
        str(Path(sys.executable).with_name("tfds")), "build",
        "tfds_bapps/bapps_dataset_builder.py", "--config", "jnd",
        "--manual_dir", str(root), "--data_dir", str(tmp_path),
    ]  # fmt: skip
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    dataset = tfds.builder_from_directory(tmp_path / "bapps/jnd/1.0.0").as_dataset(split="val_cnn")
    assert dataset.element_spec["p0"] == tf.TensorSpec((64, 64, 3), tf.uint8)
    assert len(dataset) == COUNT


def test_the_extra_is_named_where_tfds_is_missing(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "tfds_bapps"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # as if it were missing
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lpips-tf\[bapps\]"'):
        importlib.import_module("tfds_bapps")
