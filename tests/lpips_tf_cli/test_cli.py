"""The command `lpips-tf`, as a person calls it."""

import atexit
import contextlib
import csv
import functools
import gc
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from checking import SQUEEZENET, numbers
from image_contents import bomb
from PIL import Image

import lpips_tf
from lpips_tf_cli import main as command
from lpips_tf_cli.console import imports, outputs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def run(run_program):
    """Runs the command with these arguments."""
    return functools.partial(run_program, command.main)


@pytest.fixture
def folder(tmp_path, golden):
    """Two folders of six pictures each with the same names."""
    for side in "01":
        (tmp_path / f"d{side}").mkdir()
        for i, image in enumerate(golden[f"small{side}"]):
            Image.fromarray(image).save(tmp_path / f"d{side}" / f"{i}.png")
    return tmp_path


def test_pair_prints_what_the_official_implementation_says(run, folder, golden):
    images = [folder / "d1" / "0.png", folder / "d0" / "0.png"]
    code, out, err = run("pair", folder / "d0" / "0.png", *images)
    expected = golden["alex/0.1/lpips/small"][0]
    assert (code, err) == (0, "")
    assert out == f"{images[0]}: {expected:.3f}\n{images[1]}: 0.000\n"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["--net", "vgg"], "vgg/0.1/lpips"),
        (["--net", "vgg", "--version", "0.0"], "vgg/0.0/lpips"),
        (["--baseline"], "alex/0.1/baseline"),
    ],
)
def test_options(run, folder, golden, options, key):
    code, out, _ = run("pair", folder / "d0/2.png", folder / "d1/2.png", "--json", *options)
    assert code == 0
    (row,) = json.loads(out)
    assert row["reference"] == str(folder / "d0/2.png")
    assert row["image"] == str(folder / "d1/2.png")
    assert row["distance"] == pytest.approx(golden[f"{key}/small"][2], rel=1e-5)


def test_dirs(run, folder, golden):
    code, out, err = run("dirs", folder / "d0", folder / "d1")
    distances = golden["alex/0.1/lpips/small"]
    lines = [f"{i}.png: {d:.3f}" for i, d in enumerate(distances)]
    error = distances.std() / 6**0.5
    assert (code, err) == (0, "")
    assert out.splitlines() == [*lines, f"mean: {distances.mean():.5f} ± {error:.5f} (6 pairs)"]


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_dirs_to_a_file(run, folder, golden, suffix):
    output = folder / f"out.{suffix}"
    code, out, _ = run("dirs", folder / "d0", folder / "d1", "-o", output)
    assert (code, len(out.splitlines())) == (0, 1)
    with output.open() as file:
        rows = json.load(file) if suffix == "json" else list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"{i}.png" for i in range(6)]
    distances = [float(row["distance"]) for row in rows]
    np.testing.assert_allclose(distances, golden["alex/0.1/lpips/small"], atol=2e-6)


def test_no_distance_is_null_in_json():
    """JSON has no NaN, and others' parsers refuse it."""
    file = io.StringIO()
    outputs.write_json(file, ("name", "distance"), [("a", float("nan")), ("b", 0.5)])
    assert json.loads(file.getvalue(), parse_constant=pytest.fail) == [
        {"name": "a", "distance": None}, {"name": "b", "distance": 0.5}
    ]  # fmt: skip


def test_dirs_of_many_sizes(run, folder, golden):
    """Only the two images of a pair need the same size."""
    for side in "01":
        Image.fromarray(golden[f"odd{side}"][0]).save(folder / f"d{side}" / "1a.png")
    code, out, _ = run("dirs", folder / "d0", folder / "d1")
    assert code == 0
    assert f"1a.png: {golden['alex/0.1/lpips/odd'][0]:.3f}" in out.splitlines()
    assert "(7 pairs)" in out


def test_dirs_names_what_has_no_partner(run, folder):
    (folder / "d0" / "0.png").rename(folder / "d0" / "x.png")
    code, out, err = run("dirs", folder / "d0", folder / "d1")
    assert code == 0
    assert "(5 pairs)" in out
    assert f"only in {folder}/d0: x.png" in err
    assert f"only in {folder}/d1: 0.png" in err


def test_all_pairs(run, folder, build, golden):
    code, out, err = run("all-pairs", folder / "d0")
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 16)
    expected = numbers(build()(golden["small0"][1:2], golden["small0"][4:5]))[0]
    assert f"1.png, 4.png: {expected:.3f}" in lines
    assert lines[-1].endswith("(15 pairs)")


def test_all_pairs_embeds_and_decodes_each_image_once(run, folder, monkeypatch):
    from lpips_tf import images

    embedded, loaded = [], []
    embed, load = lpips_tf.LPIPS.embed, images.load
    monkeypatch.setattr(
        lpips_tf.LPIPS, "embed", lambda self, x: embedded.append(len(x)) or embed(self, x)
    )
    monkeypatch.setattr(images, "load", lambda path, srgb: loaded.append(path) or load(path))
    for option in ([], ["--mean"], ["--consecutive"]):
        embedded.clear(), loaded.clear()
        run("all-pairs", folder / "d0", *option)
        assert sum(embedded) == len(loaded) == len(set(loaded)) == 6


def test_all_pairs_mean_is_the_mean_of_all_pairs(run, folder):
    _, every, _ = run("all-pairs", folder / "d0")
    code, out, _ = run("all-pairs", folder / "d0", "--mean", "-o", folder / "out.json")
    assert code == 0
    assert out == every.splitlines(keepends=True)[-1]
    _, mean, _, error, *_ = out.split()
    (row,) = json.loads((folder / "out.json").read_text())
    assert (row["images"], row["pairs"]) == (6, 15)
    assert row["mean"] == pytest.approx(float(mean), abs=1e-5)
    assert row["standard_error"] == pytest.approx(float(error), abs=1e-5)


def test_all_pairs_consecutive(run, folder, build, golden, monkeypatch):
    from lpips_tf_cli.distances import batches

    monkeypatch.setattr(batches, "BATCH_PIXELS", 4 * 64 * 64)  # the pair across two batches counts
    code, _, _ = run("all-pairs", folder / "d0", "--consecutive", "-o", folder / "out.csv")
    with (folder / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [(f"{i}.png", f"{i + 1}.png") for i in range(5)]
    assert code == 0
    assert [(row["image0"], row["image1"]) for row in rows] == names
    expected = numbers(build()(golden["small0"][:-1], golden["small0"][1:]))
    np.testing.assert_allclose([float(row["distance"]) for row in rows], expected, atol=1e-6)


@pytest.mark.skipif(not SQUEEZENET.exists(), reason="SqueezeNet is not beside the repository")
def test_squeezenet_from_its_home(run, folder, golden, monkeypatch):
    from lpips_tf.weights import weight_files
    from weights_conversion import read_backbone

    weights = weight_files.Weights("backbone", *read_backbone(SQUEEZENET))
    weight_files.write(folder / "squeeze_imagenet.h5", weights)
    monkeypatch.setenv("LPIPS_TF_HOME", str(folder))
    code, out, _ = run("pair", folder / "d0/0.png", folder / "d1/0.png", "--net", "squeeze")
    assert code == 0
    assert f": {golden['squeeze/0.1/lpips/small'][0]:.3f}\n" in out


def test_transparent_images_are_told_once(run, folder, golden):
    alpha = np.zeros((64, 64, 1), "uint8")
    path = folder / "d0/0.png"
    Image.fromarray(np.concatenate([golden["small0"][0], alpha], 2)).save(path)
    code, _, err = run("pair", path, folder / "d1/0.png", folder / "d1/1.png")
    assert code == 0
    assert err == f"lpips-tf: warning: {path} is transparent in places, and is laid over white\n"


# Bad input: one line on standard error, and nothing else


def one_line(result, code, *parts):
    received, out, err = result
    assert (received, out) == (code, "")
    assert err.startswith("lpips-tf: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for part in parts:
        assert str(part) in err


def test_two_sizes(run, folder):
    Image.new("RGB", (70, 64)).save(folder / "d1/3.png")
    sizes = ("64x64 pixels", "70x64", "3.png")
    one_line(run("pair", folder / "d0/3.png", folder / "d1/3.png"), 1, *sizes)
    one_line(run("dirs", folder / "d0", folder / "d1"), 1, *sizes)
    for option in ("--mean", "--consecutive"):
        one_line(run("all-pairs", folder / "d1", option), 1, *sizes)


def test_too_small(run, folder):
    Image.new("RGB", (64, 20)).save(folder / "a.png")
    result = run("pair", folder / "a.png", folder / "a.png")
    one_line(result, 1, "at least 31x31 pixels", "a.png of 64x20")


@pytest.mark.parametrize("content", ["truncated", "text", "bomb", "missing"])
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_bad_images(run, folder, content, suffix):
    path = folder / "d1/4.png"
    output = folder / f"out.{suffix}"
    output.write_text("from before")
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "text":
        path.write_text("this is no image")
    elif content == "bomb":
        bomb(path)
    else:
        path.unlink()
    one_line(run("pair", folder / "d0/4.png", path), 1, path)
    if content != "missing":
        one_line(run("dirs", folder / "d0", folder / "d1", "-o", output), 1, path)
        one_line(run("all-pairs", folder / "d1", "-o", output), 1, path)
    assert output.read_text() == "from before"
    assert sorted(p.name for p in folder.iterdir()) == ["d0", "d1", output.name]


def test_folders(run, folder):
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    Image.new("RGB", (64, 64)).save(folder / "other/z.png")
    one_line(
        run("dirs", folder / "d0", folder / "empty"), 1, "at least 1 image", "empty with 0 images"
    )
    (folder / "empty" / "deeper").mkdir()
    one_line(run("index", folder / "empty", "-o", "a.h5"), 1, "0 images, and 1 subfolder, not")
    one_line(run("dirs", folder / "d0", folder / "other"), 1, "same name", "0.png", "z.png")
    one_line(run("dirs", folder / "d0", folder / "none"), 1, "none")
    one_line(run("all-pairs", folder / "other"), 1, "at least 2 images", "other with 1")
    one_line(run("all-pairs", folder / "d0/0.png"), 1, "Received a file")


def test_unwritable_output(run, folder, monkeypatch):
    """Told before the work, not after it."""
    from lpips_tf_cli.commands import dirs

    monkeypatch.setattr(dirs, "load_metric", lambda *_: pytest.fail("worked for nothing"))
    output = folder / "missing" / "out.csv"
    one_line(run("dirs", folder / "d0", folder / "d1", "-o", output), 1, "Cannot write", output)
    (folder / "out.json").mkdir()
    one_line(run("all-pairs", folder / "d0", "-o", folder / "out.json"), 1, "it is a folder")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["pair"], "REF"),
        (["pair", "a.png"], "IMG"),
        (["pair", "a.png", "b.png", "--net", "resnet"], "resnet"),
        (["pair", "a.png", "b.png", "--version", "1"], "'0.1', '0.0'"),
        (["pair", "a.png", "b.png", "--colour"], "--colour"),
        (["dirs", "a", "b", "-o", "out.txt"], "ends in .csv or .json. Received: out.txt"),
        (["all-pairs", "a", "--mean", "--consecutive"], "Received: both"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_wrong_usage(run, arguments, part):
    one_line(run(*arguments), 2, part, "--help")


def test_names_that_control_a_terminal_are_escaped(run, folder):
    name = "a\x1b[2Jb\nc\rd.png"
    for side in "01":
        (folder / f"d{side}/0.png").rename(folder / f"d{side}" / name)
    output = folder / "out.csv"
    _, out, _ = run("dirs", folder / "d0", folder / "d1")
    assert "a\\x1b[2Jb\\nc\\rd.png: 0." in out
    assert len(out.splitlines()) == 7
    run("dirs", folder / "d0", folder / "d1", "-o", output)
    with output.open(newline="") as file:
        assert name in [row["name"] for row in csv.DictReader(file)]


def test_output_through_a_link(run, folder):
    (folder / "link.csv").symlink_to(folder / "target.csv")
    run("dirs", folder / "d0", folder / "d1", "-o", folder / "link.csv")
    assert (folder / "link.csv").is_symlink()
    assert (folder / "target.csv").read_text().startswith('"name","distance"')


def test_pipe_in_place_of_an_image(run, folder):
    os.mkfifo(folder / "fifo.png")
    result = run("pair", folder / "d0/0.png", folder / "fifo.png")
    one_line(result, 1, "pipe or device", "fifo.png")


def test_unexpected_errors_are_one_line_too(run, folder, monkeypatch):
    from lpips_tf_cli.commands import pair

    def fail(*_):
        raise RuntimeError("out of\nluck")

    monkeypatch.setattr(pair, "load_metric", fail)
    one_line(run("pair", "a.png", "b.png"), 1, "RuntimeError: out of luck", "LPIPS_TF_TRACEBACK=1")
    monkeypatch.setattr(pair, "load_metric", lambda *_: exec("raise KeyboardInterrupt"))
    assert run("pair", "a.png", "b.png") == (130, "", "")


# The installed program

PROGRAM = Path(sys.executable).parent / "lpips-tf"


def test_program_from_any_folder(folder, golden):
    """TensorFlow's own messages do not show, and a name need not be text."""
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


@pytest.mark.parametrize("arguments", [[], ["export"]])
def test_no_arguments_show_the_help(run, arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (2, "")
    assert "Usage: lpips-tf" in out


def test_progress_bar_on_a_terminal(folder):
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


def test_closed_or_narrow_output(folder):
    call = [PROGRAM, "dirs", "d0", "d1"]
    closed = subprocess.run(
        ["sh", "-c", '"$0" "$@" >&-', *call], cwd=folder, capture_output=True, check=False
    )
    assert closed.returncode == 1
    assert closed.stderr == b"lpips-tf: Cannot print: standard output is closed\n"
    ascii_only = subprocess.run(
        call, cwd=folder, capture_output=True, check=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert b"\\xb1" in ascii_only.stdout


def test_without_tensorflow(folder):
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


def test_closed_pipe(folder):
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
