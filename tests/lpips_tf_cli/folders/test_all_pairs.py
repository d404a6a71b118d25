"""`lpips-tf all-pairs`, as a person calls it."""

import csv
import json

import numpy as np
import pytest
from checking import numbers

import lpips_tf
from lpips_tf import images
from lpips_tf._support import image_batches


def test_all_pairs_prints_each_pair_once_and_the_mean(run, folder, build, golden):
    code, out, err = run("all-pairs", folder / "d0")
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 16)
    expected = numbers(build()(golden["small0"][1:2], golden["small0"][4:5]))[0]
    assert f"1.png, 4.png: {expected:.3f}" in lines
    assert lines[-1].endswith("(15 pairs)")


def test_all_pairs_embeds_and_decodes_each_image_once(run, folder, monkeypatch):
    embedded, loaded = [], []
    embed, load = lpips_tf.LPIPS.embed, images.load
    monkeypatch.setattr(
        lpips_tf.LPIPS, "embed", lambda self, x: embedded.append(len(x)) or embed(self, x)
    )
    monkeypatch.setattr(images, "load", lambda path, srgb: loaded.append(path) or load(path))
    for option in ([], ["--mean"], ["--consecutive"]):
        embedded.clear()
        loaded.clear()
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


def test_consecutive_pairs_are_those_of_neighbouring_names(run, folder, build, golden, monkeypatch):
    monkeypatch.setattr(image_batches, "BATCH_PIXELS", 4 * 64 * 64)
    code, _, _ = run("all-pairs", folder / "d0", "--consecutive", "-o", folder / "out.csv")
    with (folder / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [(f"{i}.png", f"{i + 1}.png") for i in range(5)]
    assert code == 0
    assert [(row["image0"], row["image1"]) for row in rows] == names
    expected = numbers(build()(golden["small0"][:-1], golden["small0"][1:]))
    np.testing.assert_allclose([float(row["distance"]) for row in rows], expected, atol=1e-6)
