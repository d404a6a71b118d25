"""Pairs of image files for pipelines, and what must come back of each."""

import re

import numpy as np
import pytest
from checking import numbers
from PIL import Image

import lpips_tf
from lpips_tf import images

WANTED = "`make test-all` installs Apache Beam"
beam = pytest.importorskip("apache_beam", reason=WANTED)
assert_that = pytest.importorskip("apache_beam.testing.util", reason=WANTED).assert_that


def write_pairs(folder):
    """Writes 40 pairs of two sizes, and one of each thing that can be wrong with a pair; the rows
    of their manifest.
    """
    rng = np.random.default_rng(0)

    def write(name, height, width):
        pixels = rng.integers(0, 256, (height // 8, width // 8, 3), "uint8")
        Image.fromarray(pixels).resize((width, height), Image.BICUBIC).save(folder / name)
        return str(folder / name)

    rows = []
    for i in range(40):
        size = (64, 64) if i % 3 else (48, 72)
        rows.append([write(f"{i}a.png", *size), write(f"{i}b.jpg", *size)])
    broken = folder / "broken.png"
    broken.write_bytes((folder / "1a.png").read_bytes()[:100])
    small = write("small.png", 24, 24)
    rows += [[rows[0][0], rows[1][0]], [rows[0][0], str(broken)], [small, small]]
    rows += [[str(folder / "none.png"), rows[0][0]], ["", rows[0][0]], [str(folder), rows[0][0]]]
    return [
        {"id": str(i), "reference": a, "image": b, "note": 'a "quoted",\nline'}
        for i, (a, b) in enumerate(rows)
    ]


def distances(rows):
    """What the metric says of the 40 pairs."""
    metric = lpips_tf.LPIPS()
    pairs = [[images.load(row[field])[None] for field in ("reference", "image")]
             for row in rows[:40]]  # fmt: skip
    return [float(numbers(metric(*pair))[0]) for pair in pairs]


WRONG = ["one size. Received: .*0a.png of 72x48 and .*1a.png of 64x64", "broken.png", "31x31",
         "none.png", "path as reference. Received: ''", "Is a directory"]  # fmt: skip


def run_pipeline(elements, transform, check):
    with beam.Pipeline() as pipeline:
        found = pipeline | beam.Create(elements) | beam.Reshuffle() | transform
        assert_that(found, check)


def assert_scored(found, rows, expected):
    found = sorted(found, key=lambda row: int(row["id"]))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    for row, before in zip(found, rows, strict=True):
        assert {name: row[name] for name in before} == before
    for row, distance in zip(found, expected, strict=False):
        assert row["distance"] == pytest.approx(distance, abs=2e-6)
        assert row["error"] is None
    for row, words in zip(found[40:], WRONG, strict=True):
        assert row["distance"] is None
        assert row["error"]
        assert re.search(words, row["error"]), row["error"]
