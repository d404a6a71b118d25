"""scripts/download_bapps.py gives the authors' tree, goes on after interruptions, and trusts no
archive.
"""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time

import bapps_files
import download_bapps
import pytest
from checking import ROOT
from local_server import serving

from tfds_bapps import tree

COUNTS = {"2afc": 3, "jnd": 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A whole tree, with every split."""
    root = tmp_path_factory.mktemp("source")
    for mode, count in COUNTS.items():
        bapps_files.write_tree(root, mode, dict.fromkeys(tree.splits(mode), count))
    return root


@pytest.fixture(scope="module")
def archives(source):
    return {
        "twoafc_train.tar.gz": bapps_files.archive(source, "2afc", "train"),
        "twoafc_val.tar.gz": bapps_files.archive(source, "2afc", "val"),
        "jnd.tar.gz": bapps_files.archive(source, "jnd", "val"),
    }


@pytest.fixture
def server(archives, monkeypatch):
    monkeypatch.setattr(download_bapps, "PAUSE", 0.01)
    with serving() as server:
        server.files = dict(archives)
        yield server


def contents(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_download_gives_the_authors_tree_and_nothing_else(server, source, tmp_path, capsys):
    download_bapps.download_bapps(tmp_path, False, server.url)
    assert contents(tmp_path) == contents(source)
    assert capsys.readouterr().out.count("unpacked") == 3
    assert len(server.requests) == 3


def test_val_only_leaves_out_the_training_data(server, source, tmp_path):
    download_bapps.download_bapps(tmp_path, True, server.url)
    expected = {k: v for k, v in contents(source).items() if "train" not in k.parts}
    assert contents(tmp_path) == expected


def test_what_is_there_is_not_fetched_again(server, tmp_path, capsys):
    download_bapps.download_bapps(tmp_path, True, server.url)
    server.requests.clear()
    download_bapps.download_bapps(tmp_path, False, server.url)
    assert [name for name, _ in server.requests] == ["twoafc_train.tar.gz"]
    assert capsys.readouterr().out.count("there already") == 2


def test_a_download_goes_on_where_a_connection_broke(server, source, tmp_path, archives):
    server.limit = len(archives["twoafc_val.tar.gz"]) // 3
    download_bapps.download_bapps(tmp_path, True, server.url)
    assert {k: v for k, v in contents(source).items() if "train" not in k.parts} == contents(
        tmp_path
    )
    asked = [part for name, part in server.requests if name == "twoafc_val.tar.gz"]
    limit = server.limit
    assert (
        asked
        == [None, f"bytes={limit}-", f"bytes={2 * limit}-", f"bytes={3 * limit}-"][: len(asked)]
    )
    assert len(asked) >= 3


def test_a_download_starts_anew_where_the_server_knows_no_parts_or_the_file_has_changed(
    server, tmp_path, archives
):
    name = "jnd.tar.gz"
    for change in ("no parts", "changed"):
        path = tmp_path / change / name
        path.parent.mkdir()
        part = path.with_name(name + ".part")
        part.write_bytes(b"x" * 100)
        tag = '"another"' if change == "changed" else f'"{"0" * 32}"'
        part.with_suffix(".etag").write_text(tag)
        server.ranges = change == "changed"
        with download_bapps._progress() as bar:
            download_bapps.download(server.url + name, path, bar)
        assert path.read_bytes() == archives[name]
        assert [p.name for p in path.parent.iterdir()] == [name]


def test_a_part_that_is_all_there_is_taken(server, tmp_path, archives):
    name = "jnd.tar.gz"
    part = tmp_path / f"{name}.part"
    part.write_bytes(archives[name])
    part.with_suffix(".etag").write_text(f'"{hashlib.md5(archives[name]).hexdigest()}"')
    with download_bapps._progress() as bar:
        download_bapps.download(server.url + name, tmp_path / name, bar)
    assert (tmp_path / name).read_bytes() == archives[name]


def test_a_download_that_is_given_up_keeps_what_came(server, tmp_path, archives):
    name = "twoafc_val.tar.gz"
    part = tmp_path / f"{name}.part"
    server.reach = 1000
    with pytest.raises(OSError, match=r"val.tar.gz: 1,000 of [\d,]+ bytes came. Run this again"):
        download_bapps.download_bapps(tmp_path, True, server.url)
    assert part.read_bytes() == archives[name][:1000]
    assert not (tmp_path / "2afc" / "val").exists()


def test_a_busy_server_is_waited_for(server, source, tmp_path):
    server.busy = download_bapps.ATTEMPTS - 1
    download_bapps.download_bapps(tmp_path, True, server.url)
    assert contents(tmp_path / "jnd") == contents(source / "jnd")
    server.busy = 100
    with pytest.raises(OSError, match=r"503 Service Unavailable. Run this again to go on"):
        download_bapps.download_bapps(tmp_path, False, server.url)


@pytest.mark.parametrize("lacking", ["tags", "says_length"])
def test_responses_may_lack_length_or_version(server, source, tmp_path, lacking):
    setattr(server, lacking, False)
    download_bapps.download_bapps(tmp_path, True, server.url)
    assert contents(tmp_path / "jnd") == contents(source / "jnd")


def test_what_is_in_the_way_is_told_before_anything_is_fetched(server, tmp_path):
    (tmp_path / "jnd").write_text("a file")
    with pytest.raises(OSError, match=r"Cannot make the folder .*jnd: File exists"):
        download_bapps.download_bapps(tmp_path, True, server.url)
    assert server.requests == []


def test_a_file_that_the_server_lacks_is_named(server, tmp_path):
    del server.files["jnd.tar.gz"]
    with pytest.raises(OSError, match=r"jnd.tar.gz: 404 Not Found"):
        download_bapps.download_bapps(tmp_path, True, server.url)
    assert (tmp_path / "2afc" / "val").is_dir()  # what was finished before stays


def tar_of(*members):
    """A .tar.gz of (TarInfo, content) pairs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([(member("jnd/val/a"), b"1"), (member("../../evil"), b"2")], "outside"),
        ([(member("/tmp/evil-bapps"), b"2")], "expected a folder jnd/val"),
        (
            [(member("jnd/val", type=tarfile.SYMTYPE, linkname="/etc"), b"")],
            "'jnd/val' is neither a file nor a folder",
        ),
        (
            [(member("jnd/val/a", type=tarfile.LNKTYPE, linkname="/etc/passwd"), b"")],
            "neither a file nor a folder",
        ),
        ([(member("jnd/val/a", type=tarfile.FIFOTYPE), b"")], "neither a file nor a folder"),
        ([(member("val/a"), b"1")], "expected a folder jnd/val in it"),
        (None, "Not a gzipped file"),
    ],
    # An archive holds the second it was made in, which two processes of one run need not share.
    ids=["parent", "absolute", "symlink", "hardlink", "fifo", "elsewhere", "no archive"],
)
def test_archives_with_anything_else_are_refused(server, tmp_path, members, message):
    server.files["jnd.tar.gz"] = tar_of(*members) if members else b"no archive"
    folder = tmp_path / "a" / "bapps"
    with pytest.raises(OSError, match=f"Cannot unpack .*jnd.tar.gz: .*{message}"):
        download_bapps.download_bapps(folder, True, server.url)
    assert not (folder / "jnd" / "val").exists()
    assert list((folder / "jnd").iterdir()) == []
    assert not (folder / "jnd.tar.gz").exists()  # the next run fetches it anew
    assert not list(tmp_path.glob("**/evil*"))


@pytest.mark.parametrize("share", [0.1, 0.4, 0.5, 0.6, 0.999])
def test_a_truncated_archive_is_fetched_anew(server, source, tmp_path, archives, share):
    whole = server.files["jnd.tar.gz"]
    server.files["jnd.tar.gz"] = whole[: int(share * len(whole))]
    with pytest.raises(OSError, match="Cannot unpack"):
        download_bapps.download_bapps(tmp_path, True, server.url)
    server.files["jnd.tar.gz"] = whole
    download_bapps.download_bapps(tmp_path, True, server.url)
    assert contents(tmp_path / "jnd") == contents(source / "jnd")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_a_download_goes_on_after_its_process_was_stopped(server, source, tmp_path, signum):
    """Stopped while it downloads, by Ctrl-C or for good, and run again."""
    program = f"import download_bapps; download_bapps.URL = {server.url!r}; " + (
        "download_bapps.CHUNK = 1000; download_bapps.download_bapps.__defaults__ = "
        f"({server.url!r},); download_bapps.main()"
    )
    command = [sys.executable, "-c", program, "--val-only", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    server.announced = 10**6  # it waits for more, which does not come
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    part = tmp_path / "twoafc_val.tar.gz.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signum)
    assert process.wait(20) != 0
    assert not (tmp_path / "2afc" / "val").exists()
    server.announced = None
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "jnd") == contents(source / "jnd")
    assert contents(tmp_path / "2afc" / "val") == contents(source / "2afc" / "val")


def test_a_second_download_into_a_folder_ends_at_once(server, source, tmp_path):
    """And leaves the first and its files alone."""
    server.announced = 10**6  # the first waits for more
    program = "import sys, download_bapps; download_bapps.download_bapps(*eval(sys.argv[1]))"
    path = f"__import__('pathlib').Path({str(tmp_path)!r})"
    command = [sys.executable, "-c", program, f"({path}, True, {server.url!r})"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as first:
        part = tmp_path / "twoafc_val.tar.gz.part"
        deadline = time.monotonic() + 20
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        before = part.read_bytes()
        with pytest.raises(OSError, match=f"Another process is downloading into {tmp_path}"):
            download_bapps.download_bapps(tmp_path, True, server.url)
        assert part.read_bytes() == before
        first.kill()
    server.announced = None
    download_bapps.download_bapps(tmp_path, True, server.url)
    assert contents(tmp_path / "jnd") == contents(source / "jnd")


def test_what_a_killed_process_unpacked_is_removed(server, source, tmp_path):
    left = tmp_path / "2afc" / ".val-a1b2c3" / "val"
    left.mkdir(parents=True)
    (left / "000000.png").write_bytes(b"half")
    download_bapps.download_bapps(tmp_path, False, server.url)
    assert contents(tmp_path) == contents(source)
    assert {path.name for path in (tmp_path / "2afc").iterdir()} == {"train", "val"}


def test_an_error_of_the_script_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/download_bapps.py"), str(tmp_path / "file")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("download_bapps: ")
    assert done.stderr.count("\n") == 1
