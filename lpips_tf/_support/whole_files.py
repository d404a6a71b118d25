"""Output files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # raised for a full disk and by limits


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path, whose file becomes `path` when the block ends without error.

    The temporary file lies beside `path` and keeps its suffix, because libraries choose formats by
    it. If the block raises, `path` is as it was. A file that is replaced leaves its permissions to
    the new one.

    Raises:
        OSError: the folder is missing or cannot be written to, or `path` is a folder.
    """
    path = Path(path)
    try:
        target = path.resolve()  # a link stays a link, to the new content
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem[:99]}-", suffix=path.suffix, dir=target.parent
        )
    except OSError as error:
        raise type(error)(f"Cannot write {path}: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp's files are private; an ordinary file is not.
        mode = target.stat().st_mode if target.exists() else 0o666 & ~_umask()
        temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    except OSError as error:
        if error.errno in FULL:
            raise _full(path, error.errno) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def hdf5_written_whole(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Yields an open HDF5 file, which becomes `path` when the block ends without error.

    Raises:
        OSError: as `written_whole` does, or the disk is full.
    """
    with written_whole(path) as temporary:
        with _Postponing(temporary, "w+") as stored, h5py.File(stored, "w") as file:
            yield file
        if stored.error is not None:
            raise stored.error


class _Postponing(io.FileIO):
    """A file that stores its first error instead of raising it, and then writes nothing.

    HDF5 crashes if a write fails while a file is being closed.
    """

    error: BaseException | None = None  # KeyboardInterrupt too

    def write(self, data: Any) -> int:
        with memoryview(data) as bytes_:
            start = 0
            try:
                while self.error is None and start < len(bytes_):
                    start += super().write(bytes_[start:])
            except BaseException as error:
                self.error = error
            return len(bytes_)

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.error is None:
                return super().truncate(size)
        except BaseException as error:
            self.error = error
        return size or 0


def numbered_folder(
    root: str | os.PathLike[str], write: Callable[[Path], None], number: int | None = None
) -> Path:
    """Makes a folder within `root` that has a number as its name, whole or not at all.

    Args:
        root: folder, made if it is missing. If `write` raises, nothing stays.
        write: function that fills the new folder, which lies beside the final one.
        number: its name; None for the next free number when `write` has ended, whatever others do
            meanwhile.

    Returns:
        The folder.

    Raises:
        OSError: there is a folder of that number, or `root` cannot be written to.
    """
    root = Path(root)
    wanted = root / str(next_number(root) if number is None else number)
    made = _first_missing(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{wanted.name}-", dir=root))
    except OSError as error:
        raise type(error)(f"Cannot write {wanted}: {error.strerror}") from error
    try:
        write(temporary)
        temporary.chmod(0o777 & ~_umask())
        return _renamed(temporary, root, number)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if made is not None:
            _remove_empty(root, made)
        if isinstance(error, OSError) and error.errno in FULL:
            raise _full(wanted, error.errno) from error
        raise


def next_number(root: Path) -> int:
    """The highest number that names a folder, plus one."""
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    numbers = [int(name) for name in names if name.isascii() and name.isdecimal()]
    return max(numbers, default=0) + 1


def _renamed(folder: Path, root: Path, number: int | None) -> Path:
    while True:
        path = root / str(next_number(root) if number is None else number)
        taken = path.exists()  # `rename` would replace one that is empty
        if not taken:
            try:
                return folder.rename(path)
            except OSError as error:  # made by another since
                taken = error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
                if not taken:
                    raise
        if number is not None:
            raise FileExistsError(f"Expected a new folder. There is {path} already")


def _remove_empty(inner: Path, outer: Path) -> None:
    """Removes empty folders, from an inner to an outer one."""
    with contextlib.suppress(OSError):
        for folder in (inner, *inner.parents):
            folder.rmdir()
            if folder == outer:
                return


def _first_missing(folder: Path) -> Path | None:
    """The outermost folder of a path that does not exist."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    return missing[-1] if missing else None


def _full(path: Path, number: int) -> OSError:
    error = OSError(f"Cannot write {path}: {os.strerror(number)}")
    error.errno = number  # for callers, and for a block around this one, which names its own path
    return error


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
