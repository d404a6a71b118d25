"""Output files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a full disk and limits raise


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there becomes `path` when the block
    ends without error.

    The temporary file keeps the suffix, which libraries choose formats by. If the block raises,
    `path` is as it was.

    Raises:
        OSError: the folder is missing or cannot be written to, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"Expected a file to write to. Received a folder: {path}")
    try:
        target = path.resolve()  # a link stays a link, to the new content
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=target.parent
        )
    except OSError as error:
        raise type(error)(f"Cannot write {path}: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are private; an ordinary file is not
        temporary.replace(target)
    except OSError as error:
        if error.errno in FULL:
            raise OSError(f"Cannot write {path}: {os.strerror(error.errno)}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it becomes `path` when the block ends without error.

    The folder around is made if it is missing. If the block raises, nothing stays.

    Raises:
        OSError: `path` exists, or the folder around it cannot be written to.
    """
    path = Path(path)
    made = _first_missing(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise type(error)(f"Cannot write {path}: {error.strerror}") from error
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():  # `rename` would replace one that is empty
            raise FileExistsError(f"Expected a new folder. Received: {path}")
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if made is not None:
            _remove_empty(path.parent, made)
        raise


def _remove_empty(inner: Path, outer: Path) -> None:
    """Removes folders from an inner to an outer one, as far as nobody has put anything there."""
    with contextlib.suppress(OSError):
        for folder in (inner, *inner.parents):
            folder.rmdir()
            if folder == outer:
                return


def _first_missing(folder: Path) -> Path | None:
    """The outermost folder of a path that does not exist."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    return missing[-1] if missing else None


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
