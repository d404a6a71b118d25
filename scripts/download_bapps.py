"""Downloads BAPPS, and unpacks it to the authors' tree: FOLDER/2afc/train, 2afc/val and jnd/val.

    python scripts/download_bapps.py [--val-only] FOLDER

An interrupted download goes on where it stopped when this is run again, if the server says which
version of a file it sends (ETag or Last-Modified, as Amazon S3 does). Folders that exist are left
alone, and each part of the tree appears when it is whole. The archives take 6.6 GB (1.3 GB with
--val-only); the unpacked tree takes about as much again. Each archive is deleted once it is
unpacked.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import http.client
import os
import shutil
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

URL = "https://perceptual-similarity.s3.us-west-2.amazonaws.com/dataset/"
# Archive, the folder in it, and its place in the tree.
ARCHIVES = [
    ("twoafc_val.tar.gz", "val", "2afc/val"),
    ("jnd.tar.gz", "jnd/val", "jnd/val"),
    ("twoafc_train.tar.gz", "train", "2afc/train"),
]
ATTEMPTS = 5  # in a row that bring no bytes
PAUSE = 3.0  # seconds between them
BUSY = (408, 429, 500, 502, 503, 504)  # status codes of servers that may answer later
CHUNK = 2**20


def download(url: str, path: Path, bar: Progress) -> None:
    """Fetches `url` to `path`, going on with what `path.part` holds of it.

    Raises:
        OSError: the server cannot be reached, has no such file, or sent less than it announced; a
            later call goes on from there.
    """
    part = path.with_name(path.name + ".part")
    task = bar.add_task(path.name, total=None)
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            total = _fetch_rest(url, part, bar, task)
            if total in (None, part.stat().st_size):
                part.replace(path)
                part.with_suffix(".etag").unlink(missing_ok=True)
                return
            reason = f"{part.stat().st_size:,} of {total:,} bytes came"
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {error.reason}"
            if error.code not in BUSY:
                raise OSError(f"Cannot download {url}: {reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        came = part.stat().st_size if part.exists() else 0
        failures = 0 if came > before else failures + 1
        if failures == ATTEMPTS:
            raise OSError(f"Cannot download {url}: {reason}. Run this again to go on")
        time.sleep(PAUSE)


def _fetch_rest(url: str, part: Path, bar: Progress, task: TaskID) -> int | None:
    """Appends the rest of a file to `part`.

    Returns:
        The file's length, or None if the server does not say it.
    """
    tag = part.with_suffix(".etag")  # which version of the file the bytes are of
    size = part.stat().st_size if part.exists() and tag.exists() else 0
    request = urllib.request.Request(url)
    if size:
        request.add_header("Range", f"bytes={size}-")
        request.add_header("If-Range", tag.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing follows: all of it is there already, or another file is.
        total = int(error.headers.get("Content-Range", "/-1").rpartition("/")[2])
        if total != size:
            tag.unlink()
            raise OSError("the file has changed since the download began") from error
        return total
    with response:
        resumed = response.status == 206
        size = size if resumed else 0
        length = response.headers["Content-Length"]
        whole = None if length is None else size + int(length)
        bar.update(task, total=whole, completed=size)
        if not resumed:
            part.unlink(missing_ok=True)
            tag.unlink(missing_ok=True)
            version = response.headers["ETag"] or response.headers["Last-Modified"]
            if version and not version.startswith("W/"):  # a weak one says nothing of bytes
                tag.write_text(version)
        with part.open("ab") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))
    return whole


def unpack(archive: Path, name: str, folder: Path, bar: Progress) -> None:
    """Unpacks the folder `name` of an archive to `folder`, which appears when it is whole.

    Raises:
        OSError: the disk is full. Or the archive is damaged, lacks the folder, or has an entry that
            is neither file nor folder or would leave the folder; then it is deleted.
    """
    prefix = f".{folder.name}-"
    for left in folder.parent.glob(f"{prefix}*"):  # of a process that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as temporary:
        task = bar.add_task(f"unpacking {archive.name}", total=archive.stat().st_size)
        try:
            with archive.open("rb") as file, gzip.open(file) as content:
                with tarfile.open(fileobj=content, mode="r|") as tar:
                    for member in tar:
                        tar.extract(member, temporary, filter=_files_and_folders)
                        bar.update(task, completed=file.tell())
                while content.read(CHUNK):  # the checksum at the end shows what is missing
                    pass
            unpacked = Path(temporary, name)
            if not unpacked.is_dir():
                raise tarfile.TarError(f"expected a folder {name} in it")
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            if getattr(error, "errno", None):  # such as a full disk: the archive may be whole
                raise
            archive.unlink()
            raise OSError(
                f"Cannot unpack {archive}: {error}. It is deleted. Run this again to download it"
            ) from error
        unpacked.replace(folder)


def _files_and_folders(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    if not (member.isfile() or member.isdir()):
        raise tarfile.FilterError(f"{member.name!r} is neither a file nor a folder")
    return tarfile.data_filter(member, folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from downloading into a folder, until this one ends.

    Raises:
        OSError: another process is downloading into it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OSError(f"Another process is downloading into {folder}. Wait for it") from error
    finally:
        os.close(descriptor)


def download_bapps(folder: Path, val_only: bool, url: str = URL) -> None:
    """Downloads the missing parts of the tree in `folder`.

    Raises:
        OSError: as `download` and `unpack` do, or another process downloads into the folder.
    """
    wanted = [row for row in ARCHIVES if not (val_only and row[2].endswith("train"))]
    for _, _, target in wanted:  # fails before the download if a file is in the way
        parent = (folder / target).parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"Cannot make the folder {parent}: {error.strerror}") from error
    with _locked(folder), _progress() as bar:
        for archive, name, target in wanted:
            if (folder / target).exists():
                print(f"{folder / target}: there already")
                continue
            path = folder / archive
            if not path.exists():
                download(url + archive, path, bar)
            unpack(path, name, folder / target, bar)
            path.unlink()
            print(f"{folder / target}: unpacked")


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error, only on a terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar if sys.stderr.isatty() else contextlib.nullcontext():
        yield bar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the tree is, or is to be")
    parser.add_argument("--val-only", action="store_true", help="without 5.3 GB of training data")
    arguments = parser.parse_args()
    try:
        download_bapps(arguments.folder, arguments.val_only)
    except OSError as error:
        sys.exit(f"download_bapps: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
