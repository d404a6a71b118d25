"""The page examples/web in a browser, as `make web` builds it."""

import json
import os
import shutil

import matplotlib
import numpy as np
import pytest
from checking import ROOT, assert_accessible
from PIL import Image

import lpips_tf
from lpips_tf import images
from lpips_tf_cli import main

pytest.importorskip("playwright", reason="`make test-all` installs Playwright")
import browser

SOURCE, BUILT = ROOT / "examples" / "web", ROOT / "build" / "web"
EXAMPLES = ROOT / "examples" / "images"
pytestmark = pytest.mark.skipif(
    not BUILT.is_dir() and "CI" not in os.environ, reason="needs `make web`"
)


@pytest.fixture
def folder():
    return BUILT


@pytest.fixture
def page(open_page, folder):
    with browser.serving(folder) as address:
        yield open_page(address)


@pytest.fixture
def save_image(tmp_path):
    def write(name, pixels, **options):
        Image.fromarray(pixels).save(tmp_path / name, **options)
        return tmp_path / name

    return write


def drop_both(page, reference, image):
    browser.drop(page, "label:has(#reference)", reference)
    browser.drop(page, "label:has(#image)", image)


def shown(page):
    """The number, once the heat map is there."""
    page.wait_for_selector("#where", state="visible")
    assert page.text_content("#message") == ""
    return float(page.text_content("#distance"))


def message(page, result=False):
    page.wait_for_function("document.getElementById('message').textContent")
    assert page.is_visible("#result") == result
    return page.text_content("#message")


def computed(metric, *paths):
    return metric(*(images.load(path)[None] for path in paths)).numpy()[0]


def test_the_page_is_built_from_these_sources():
    for source in (*SOURCE.glob("*.js"), *SOURCE.glob("*.html"), *SOURCE.glob("*.css")):
        assert (BUILT / source.name).read_bytes() == source.read_bytes(), "make web"


def test_dropped_images_get_the_distance_and_the_map_of_the_command(page, run_program):
    paths = EXAMPLES / "reference.png", EXAMPLES / "noisy.png"
    drop_both(page, *paths)
    _, printed, _ = run_program(main.main, "pair", *paths, "--json")
    assert shown(page) == pytest.approx(json.loads(printed)[0]["distance"], abs=1e-4)
    width, height = images.size(paths[0])[::-1]
    found = page.evaluate(
        f"[...document.getElementById('heatmap').getContext('2d')"
        f".getImageData(0, 0, {width}, {height}).data]"
    )
    found = np.reshape(found, (height, width, 4))[..., :3]
    values = computed(lpips_tf.LPIPS(spatial=True), *paths)[..., 0]
    expected = matplotlib.colormaps["magma"](values / values.max(), bytes=True)[..., :3]
    assert np.abs(found - expected.astype(int)).max() <= 4  # it goes straight between 17 colours
    assert page.text_content("#largest") == f"{values.max():.2f}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.click("#example")
    shown(page)
    assert_accessible(page)


def test_a_text_file_is_named_and_its_place_stays_empty(page, tmp_path):
    (tmp_path / "notes.txt").write_text("Cats.")
    drop_both(page, EXAMPLES / "reference.png", tmp_path / "notes.txt")
    assert message(page) == "Expected an image. This browser cannot read notes.txt as one."
    browser.drop(page, "h1", EXAMPLES / "reference.png")  # into the place that is still empty
    assert shown(page) == 0
    assert page.text_content("#largest") == "0.00"


def test_the_image_among_two_dropped_files_is_kept(page, tmp_path):
    (tmp_path / "notes.txt").write_text("Cats.")
    browser.drop(page, "main", EXAMPLES / "reference.png", tmp_path / "notes.txt")
    assert "cannot read notes.txt" in message(page)
    assert page.text_content("#status") == "One more image."
    browser.drop(page, "main", EXAMPLES / "reference.png")
    assert shown(page) == 0
    browser.drop(page, "label:has(#image)", tmp_path / "notes.txt")  # what was there stays
    assert "cannot read notes.txt" in message(page, result=True)
    assert page.text_content("#distance") == "0.0000"


def test_two_dropped_files_are_turned_as_the_camera_says(page, build, save_image):
    reference = images.load(EXAMPLES / "reference.png")[:120]
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    turned = save_image("turned.jpg", np.rot90(reference), exif=exif, quality=50)
    reference = save_image("reference.png", reference)
    browser.drop(page, "main", reference, turned)
    assert shown(page) == pytest.approx(computed(build(), reference, turned), abs=1e-4)


def test_a_new_image_replaces_the_old(page, build):
    page.click("#example")
    shown(page)
    page.set_input_files("#image", EXAMPLES / "blurred.png")
    page.wait_for_function("document.getElementById('distance').textContent > '0.4'")
    expected = computed(build(), EXAMPLES / "reference.png", EXAMPLES / "blurred.png")
    assert shown(page) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (((64, 64), (64, 65)), "two images of one size. Received: 64 × 64 and 65 × 64"),
        (((30, 64), (30, 64)), "at least 31 pixels on each side. Received: 64 × 30"),
    ],
)
def test_sizes_that_cannot_be_compared_are_told(page, save_image, shapes, expected):
    noise = np.random.default_rng(0).integers(0, 256, (65, 65, 3), "uint8")
    drop_both(page, *(save_image(f"{i}.png", noise[:h, :w]) for i, (h, w) in enumerate(shapes)))
    assert expected in message(page)


def test_three_files_are_too_many(page):
    browser.drop(page, "main", *sorted(EXAMPLES.glob("*.png"))[:3])
    assert message(page) == "Expected one or two files. Received: 3"


class TestWithoutTheNetworks:
    @pytest.fixture
    def folder(self, tmp_path):
        shutil.copytree(BUILT, tmp_path / "web", ignore=shutil.ignore_patterns("*.onnx"))
        return tmp_path / "web"

    def test_images_are_not_compared(self, page):
        page.click("#example")
        assert "Cannot compare them: failed to load" in message(page)
        page.complaints.clear()  # Chromium tells the console of what it did not find


class TestWithoutTheMaps:
    @pytest.fixture
    def folder(self, tmp_path):
        shutil.copytree(BUILT, tmp_path / "web", ignore=shutil.ignore_patterns("*-spatial.onnx"))
        return tmp_path / "web"

    def test_the_distance_shows_alone(self, page):
        page.click("#example")
        assert "Cannot tell where they differ: failed to load" in message(page, result=True)
        assert page.text_content("#distance") == "0.1732"
        assert not page.is_visible("#where")
        page.complaints.clear()


class TestWithoutTheRuntime:
    @pytest.fixture
    def folder(self, tmp_path):
        shutil.copytree(BUILT, tmp_path / "web", ignore=shutil.ignore_patterns("onnxruntime"))
        return tmp_path / "web"

    def test_each_try_says_so(self, page):
        for _ in range(2):
            page.click("#example")
            assert "Cannot compare them: the worker did not load" in message(page)
        page.complaints.clear()
