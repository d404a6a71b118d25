"""The installed program `lpips-tf`: its start, its help, its output."""

import atexit
import contextlib
import gc
import os
import pty
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import lpips_tf
from lpips_tf_cli.console import imports

PROGRAM = Path(sys.executable).parent / "lpips-tf"


@pytest.mark.slow
def test_the_program_prints_distances_and_nothing_of_tensorflow(folder, golden):
    """From any folder, and of names that are no text."""
    name = os.fsdecode(b"sm\xe9agol, \xe2\x80\x9cprecious\xe2\x80\x9d.png")
    (folder / "d1/0.png").rename(folder / "d1" / name)
    done = subprocess.run(
        [PROGRAM, "pair", "d0/0.png", f"d1/{name}"], cwd=folder, capture_output=True, check=True
    )
    assert done.stderr == b""
    expected = f"d1/{name}: {golden['alex/0.1/lpips/small'][0]:.3f}\n"
    assert done.stdout == os.fsencode(expected)


def test_help_does_not_wait_for_tensorflow(tmp_path):
    calls = {("--version",): f"lpips-tf {lpips_tf.__version__}\n"}
    calls |= {(*command, "--help"): "Usage" for command in ((), ("pair",), ("dirs",))}
    for arguments, part in calls.items():
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "lpips_tf_cli", *arguments],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        assert part in done.stdout
        assert "keras" not in done.stderr


@pytest.mark.slow
def test_distances_wait_for_no_package_that_they_do_not_use(folder):
    code = (
        "import sys; from lpips_tf_cli.console.imports import imports\n"
        "with imports():\n    from lpips_tf_cli.distances import pairs\n"
        "assert not {'matplotlib', 'pandas'} & sys.modules.keys()\n"
        "import matplotlib.pyplot"  # what needs it still gets it
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("arguments", [[], ["export"]])
def test_no_arguments_show_the_help(run, arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (2, "")
    assert "Usage: lpips-tf" in out


@pytest.mark.slow
def test_a_terminal_shows_a_progress_bar(folder):
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, "all-pairs", "d0", "--mean"], cwd=folder, stdout=subprocess.PIPE, stderr=end
    ) as process:
        os.close(end)
        drawn = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while part := os.read(terminal, 4096):
                drawn += part
        assert process.stdout.read().startswith(b"mean: ")
    os.close(terminal)
    assert b"comparing" in drawn
    assert b"6/6" in drawn


@pytest.mark.slow
def test_a_closed_standard_output_is_told(folder):
    closed = subprocess.run(
        ["sh", "-c", '"$0" "$@" >&-', PROGRAM, "dirs", "d0", "d1"],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert closed.returncode == 1
    assert closed.stderr == b"lpips-tf: Cannot print: standard output is closed\n"


@pytest.mark.slow
def test_a_closed_standard_error_changes_nothing_else(folder):
    """Nor does a file that the command opens get its number, and with it TensorFlow's log."""
    arguments = ["dirs", "d0", "d1", "--output", "distances.csv"]
    for command in ('"$0" "$@"', '"$0" "$@" 2>&-'):
        done = subprocess.run(
            ["sh", "-c", command, PROGRAM, *arguments], cwd=folder, capture_output=True, check=True
        )
        assert done.stdout
        assert done.stderr == b""
        lines = (folder / "distances.csv").read_bytes().splitlines()
        assert all(line.count(b",") == 1 for line in lines)
    broken = ["sh", "-c", '"$0" "$@" 2>&-', PROGRAM, "dirs", "d0", "d9"]
    assert subprocess.run(broken, cwd=folder, check=False).returncode == 1


@pytest.mark.slow
def test_letters_that_an_encoding_lacks_are_escaped(folder):
    done = subprocess.run(
        [PROGRAM, "dirs", "d0", "d1"], cwd=folder, capture_output=True, check=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert b"\\xb1" in done.stdout


@pytest.mark.slow
def test_a_missing_tensorflow_is_told_in_one_line(folder):
    code = (
        "import sys; sys.modules['tensorflow'] = None; from lpips_tf_cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "pair", "d0/0.png", "d1/0.png"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("lpips-tf: TensorFlow is not installed.")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_reader_that_has_had_enough_is_no_error(folder):
    """`lpips-tf … | head -0` ends quietly."""
    with subprocess.Popen(
        [PROGRAM, "all-pairs", "d0"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


@pytest.mark.parametrize("fails", [False, True])
def test_the_garbage_collector_pauses_for_the_first_imports(monkeypatch, fails):
    monkeypatch.setattr(atexit, "register", lambda function: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    for first in (True, False):
        if first:
            monkeypatch.delitem(sys.modules, "keras")
        with contextlib.suppress(OSError), imports.imports():
            monkeypatch.setitem(sys.modules, "keras", keras)
            assert gc.isenabled() != first
            if fails:
                raise OSError
        assert gc.isenabled()
