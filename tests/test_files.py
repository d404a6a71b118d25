"""Files are written whole or not at all."""

import stat

import pytest

from lpips_tf.files import folder_written_whole, written_whole


def test_written_when_the_block_ends(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".csv"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_untouched_when_the_block_raises(tmp_path, error):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(error), written_whole(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_readable_like_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with written_whole(tmp_path / "out"):
        pass
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "out")}
    assert len(modes) == 1


def test_a_folder_or_a_missing_one(tmp_path):
    with pytest.raises(IsADirectoryError, match="Received a folder"), written_whole(tmp_path):
        pass
    with (
        pytest.raises(FileNotFoundError, match="Cannot write"),
        written_whole(tmp_path / "no" / "x"),
    ):
        pass


def test_a_failing_folder_leaves_what_others_wrote_beside_it(tmp_path):
    folder = tmp_path / "new" / "models" / "1"
    with pytest.raises(ZeroDivisionError), folder_written_whole(folder):
        (folder.parent / "2").mkdir()
        raise ZeroDivisionError
    assert [path.name for path in folder.parent.iterdir()] == ["2"]
    (folder.parent / "2").rmdir()
    folder.parent.rmdir()
    folder.parent.parent.rmdir()
    with pytest.raises(ZeroDivisionError), folder_written_whole(folder):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
