"""`lpips-tf dirs`, as a person calls it."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from lpips_tf_cli.console import outputs


def test_dirs_prints_each_pair_and_the_mean(run, folder, golden):
    code, out, err = run("dirs", folder / "d0", folder / "d1")
    distances = golden["alex/0.1/lpips/small"]
    lines = [f"{i}.png: {d:.3f}" for i, d in enumerate(distances)]
    error = distances.std() / 6**0.5
    assert (code, err) == (0, "")
    assert out.splitlines() == [*lines, f"mean: {distances.mean():.5f} ± {error:.5f} (6 pairs)"]


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_dirs_writes_its_rows_to_a_file(run, folder, golden, suffix):
    output = folder / f"out.{suffix}"
    code, out, _ = run("dirs", folder / "d0", folder / "d1", "-o", output)
    assert (code, len(out.splitlines())) == (0, 1)
    with output.open() as file:
        rows = json.load(file) if suffix == "json" else list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"{i}.png" for i in range(6)]
    distances = [float(row["distance"]) for row in rows]
    np.testing.assert_allclose(distances, golden["alex/0.1/lpips/small"], atol=2e-6)


def test_a_distance_that_is_nan_is_null_in_json():
    """JSON has no NaN, and others' parsers refuse it."""
    file = io.StringIO()
    outputs.write_json(file, ("name", "distance"), [("a", float("nan")), ("b", 0.5)])
    assert json.loads(file.getvalue(), parse_constant=pytest.fail) == [
        {"name": "a", "distance": None}, {"name": "b", "distance": 0.5}
    ]  # fmt: skip


def test_dirs_compares_pairs_of_several_sizes(run, folder, golden):
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


def test_output_through_a_link_goes_to_its_target(run, folder):
    (folder / "link.csv").symlink_to(folder / "target.csv")
    run("dirs", folder / "d0", folder / "d1", "-o", folder / "link.csv")
    assert (folder / "link.csv").is_symlink()
    assert (folder / "target.csv").read_text().startswith('"name","distance"')
