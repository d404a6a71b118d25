"""Wrong usage and bad files: one line on standard error, and nothing else."""

import os

import pytest
from image_contents import bomb
from PIL import Image

from lpips_tf_cli.console.metric_options import MetricOptions


def one_line(result, code, *parts):
    received, out, err = result
    assert (received, out) == (code, "")
    assert err.startswith("lpips-tf: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for part in parts:
        assert str(part) in err


def test_images_of_two_sizes_are_named_with_their_sizes(run, folder):
    Image.new("RGB", (70, 64)).save(folder / "d1/3.png")
    sizes = ("64x64 pixels", "70x64", "3.png")
    one_line(run("pair", folder / "d0/3.png", folder / "d1/3.png"), 1, *sizes)
    one_line(run("dirs", folder / "d0", folder / "d1"), 1, *sizes)
    for option in ("--mean", "--consecutive"):
        one_line(run("all-pairs", folder / "d1", option), 1, *sizes)


def test_images_that_are_too_small_are_named_with_the_least_size(run, folder):
    Image.new("RGB", (64, 20)).save(folder / "a.png")
    result = run("pair", folder / "a.png", folder / "a.png")
    one_line(result, 1, "at least 31x31 pixels", "a.png of 64x20")


@pytest.mark.parametrize(
    ("content", "suffix"),
    [("truncated", "csv"), ("text", "json"), ("bomb", "csv"), ("missing", "json")],
)
def test_a_bad_image_is_named_and_an_earlier_output_kept(run, folder, content, suffix):
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


def test_folders_without_images_or_without_common_names_are_an_error(run, folder):
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


def test_an_output_that_cannot_be_written_is_told_before_the_work(run, folder, monkeypatch):
    monkeypatch.setattr(MetricOptions, "load", lambda _: pytest.fail("worked for nothing"))
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
        (["all-pairs", "a", "--mean", "--consecutive"], "Received: --consecutive and --mean"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run, arguments, part):
    one_line(run(*arguments), 2, part, "--help")


def test_a_pipe_in_place_of_an_image_is_an_error(run, folder):
    os.mkfifo(folder / "fifo.png")
    result = run("pair", folder / "d0/0.png", folder / "fifo.png")
    one_line(result, 1, "pipe or device", "fifo.png")


def test_unexpected_errors_are_one_line_too(run, folder, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of\nluck")

    monkeypatch.setattr(MetricOptions, "load", fail)
    one_line(run("pair", "a.png", "b.png"), 1, "RuntimeError: out of luck", "LPIPS_TF_TRACEBACK=1")
    monkeypatch.setattr(MetricOptions, "load", lambda *_: exec("raise KeyboardInterrupt"))
    assert run("pair", "a.png", "b.png") == (130, "", "")
