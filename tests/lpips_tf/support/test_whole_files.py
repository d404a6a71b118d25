"""Files are written whole or not at all."""

import errno
import resource
import stat

import numpy as np
import pytest

from lpips_tf._support.whole_files import hdf5_written_whole, numbered_folder, written_whole


def test_a_file_is_written_when_the_block_ends(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".csv"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_is_untouched_when_the_block_raises(tmp_path, error):
    path = tmp_path / "out.csv"
    path.write_text("old")

    def write():
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_a_file_is_readable_like_any_new_one(tmp_path):
    (tmp_path / "plain").touch()
    with written_whole(tmp_path / "out"):
        pass
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "out")}
    assert len(modes) == 1


def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "out"
    path.touch(0o600)
    with written_whole(path) as temporary:
        temporary.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_in_the_place_of_a_file_and_a_missing_folder_are_told(tmp_path):
    with (
        pytest.raises(IsADirectoryError, match=r"Cannot write .*: it is a folder"),
        written_whole(tmp_path),
    ):
        pass
    with (
        pytest.raises(FileNotFoundError, match="Cannot write"),
        written_whole(tmp_path / "no" / "x"),
    ):
        pass


def test_folders_are_numbered_in_turn(tmp_path):
    root = tmp_path / "new" / "models"
    assert numbered_folder(root, lambda folder: (folder / "file").touch()) == root / "1"
    (root / "٣").mkdir()  # no number that other programs would know
    assert numbered_folder(root, lambda folder: None, 7) == root / "7"
    assert numbered_folder(root, lambda folder: None) == root / "8"
    assert {path.name for path in root.iterdir()} == {"1", "7", "8", "٣"}
    assert stat.S_IMODE((root / "8").stat().st_mode) == stat.S_IMODE(root.stat().st_mode)


def test_a_number_that_another_takes_meanwhile_is_not_replaced(tmp_path):
    def write(folder):
        (folder / "mine").touch()
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "1" / "theirs").touch()

    with pytest.raises(FileExistsError, match=r"There is .*/1 already"):
        numbered_folder(tmp_path, write, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    (tmp_path / "1" / "theirs").unlink()
    (tmp_path / "1").rmdir()
    assert numbered_folder(tmp_path, write) == tmp_path / "2"
    assert [path.name for path in (tmp_path / "2").iterdir()] == ["mine"]


def test_a_full_disk_is_told_of_the_file_that_was_asked_for(tmp_path):
    def write(folder):
        raise OSError(errno.ENOSPC, "of some library")

    with pytest.raises(OSError, match=r"^Cannot write .*/new/1: No space left on device$"):
        numbered_folder(tmp_path / "new", write)
    with (
        pytest.raises(OSError, match=r"^Cannot write .*/new: No space left on device$"),
        written_whole(tmp_path / "new") as temporary,
    ):
        write(temporary)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", range(0, 60_000, 7_000))
def test_a_full_disk_while_hdf5_is_written_leaves_nothing(tmp_path, limit):
    """Nothing of it is left to HDF5, which ends the process."""

    def write():
        with hdf5_written_whole(tmp_path / "new.h5") as file:
            file.attrs["format"] = "cats"
            file["small"] = np.zeros(10_000)[:5_000]
            part = file.create_dataset("parts", (2, 10_000), "u1")
            part[0], part[1] = 1, 2

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match=r"^Cannot write .*/new\.h5: File too large$") as raised:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_failure_within_another_names_the_file_that_was_asked_for(tmp_path):
    with (
        pytest.raises(OSError, match=r"^Cannot write .*/new: No space left on device$"),
        written_whole(tmp_path / "new") as outer,
        written_whole(outer),
    ):
        raise OSError(errno.ENOSPC, "of some library")


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_failing_folder_leaves_what_others_wrote_beside_it(tmp_path, error):
    root = tmp_path / "new" / "models"

    def write(folder):
        if others:
            (root / "2").mkdir()
        raise error

    others = True
    with pytest.raises(error):
        numbered_folder(root, write)
    assert [path.name for path in root.iterdir()] == ["2"]
    (root / "2").rmdir()
    root.rmdir()
    root.parent.rmdir()
    others = False
    with pytest.raises(error):
        numbered_folder(root, write)
    assert list(tmp_path.iterdir()) == []
