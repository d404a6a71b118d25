"""`lpips_tf.testing.assert_similar`, and the pytest fixture `lpips_reference`."""

import io

import numpy as np
import pytest
from checking import numbers
from PIL import Image

from lpips_tf import testing
from lpips_tf.testing import assert_similar

pytest_plugins = ["pytester"]


@pytest.fixture
def pair(golden):
    return golden["small0"][1], golden["small1"][1]


def test_images_within_the_threshold_pass(pair, build, golden, tmp_path):
    distance = float(golden["alex/0.1/lpips/small"][1])
    heatmap = tmp_path / "map.png"
    assert assert_similar(*pair, at_most=distance + 1e-4, heatmap=heatmap) == pytest.approx(
        distance, abs=1e-5
    )
    assert assert_similar(pair[0], pair[0], at_most=0) == 0
    assert not heatmap.exists()
    vgg = numbers(build("vgg")(pair[0][None], pair[1][None]))[0]
    assert assert_similar(*pair, at_most=1, metric=build("vgg")) == pytest.approx(vgg)


def test_the_error_says_how_much_and_where(golden, tmp_path):
    image = golden["small0"][1]
    changed = image.copy()
    changed[40:56, 8:24] = 255 - changed[40:56, 8:24]
    heatmap = tmp_path / "map.png"
    with pytest.raises(AssertionError, match=r"at most 0\.05\. Received: 0\.\d{4}") as error:
        assert_similar(changed, image, heatmap=heatmap)
    words = str(error.value).split()
    left, right = (int(words[words.index("columns") + i].rstrip(".")) for i in (1, 3))
    top, bottom = (int(words[words.index("rows") + i].rstrip(".")) for i in (1, 3))
    assert left < 16 < right
    assert top < 48 < bottom
    assert str(error.value).endswith(f"See {heatmap}")
    with Image.open(heatmap) as drawn:
        assert drawn.width > 500


def test_an_image_may_be_an_array_a_file_its_bytes_or_a_pillow_image(pair, tmp_path):
    image = Image.fromarray(pair[0])
    path, buffer = tmp_path / "a.png", io.BytesIO()
    image.save(path)
    image.save(buffer, "PNG")
    floats = pair[0].astype("float32") / 127.5 - 1
    for form in (pair[0], str(path), path, buffer.getvalue(), image, floats):
        assert assert_similar(form, path, at_most=1e-6) <= 1e-6


def test_pillow_images_are_converted_as_files_are(pair, tmp_path):
    """A plain `convert` would drop the transparency, and clip 16 bits."""
    clear = Image.fromarray(np.dstack([pair[0], np.full((64, 64, 1), 90, "uint8")]))
    deep = Image.fromarray(pair[0][..., 0].astype("uint16") * 257)
    for name, image in (("clear", clear), ("deep", deep)):
        image.save(tmp_path / f"{name}.png")
    with pytest.warns(UserWarning, match="laid over white"):
        assert assert_similar(clear, tmp_path / "clear.png", at_most=0) == 0
    assert assert_similar(deep, tmp_path / "deep.png", at_most=0) == 0
    grey = pair[0][..., :1]
    assert assert_similar(grey, np.repeat(grey, 3, axis=-1), at_most=0) == 0


def test_other_sizes_and_nan_fail(pair):
    with pytest.raises(AssertionError, match="actual of 64x40 pixels and expected of 64x64"):
        assert_similar(pair[0][:40], pair[1])
    floats = pair[0].astype("float32") / 127.5 - 1
    floats[0, 0, 0] = np.nan
    with pytest.raises(AssertionError, match="NaN or infinity"):
        assert_similar(floats, pair[0], at_most=100)


def test_what_is_no_image_or_threshold_is_an_error(pair, tmp_path):
    for wrong in (None, pair[0][None], 3):
        with pytest.raises(ValueError, match="Expected actual as an image"):
            assert_similar(wrong, pair[1])
    for wrong in (-1, float("nan"), "0.1", None, True):
        with pytest.raises(ValueError, match="Expected at_most"):
            assert_similar(*pair, at_most=wrong)
    with pytest.raises(OSError, match="There is none at"):
        assert_similar(pair[0], tmp_path / "none.png")
    with pytest.raises(OSError, match="Cannot read the image expected"):
        assert_similar(pair[0], b"no image")


def test_a_map_that_cannot_be_drawn_does_not_hide_the_failure(pair, tmp_path):
    for heatmap in (tmp_path / "none" / "map.png", tmp_path / "map.xyz"):
        with pytest.raises(AssertionError, match=r"Received: .*could not be drawn"):
            assert_similar(*pair, at_most=0, heatmap=heatmap)


@pytest.fixture
def project(pytester, monkeypatch, build):
    """A project of one test, whose image is a file."""
    monkeypatch.setattr(testing, "default_metric", build)
    pytester.makepyfile(
        test_page="""
        import pytest
        @pytest.mark.parametrize("name", [None, "named"])
        def test_page(lpips_reference, name):
            lpips_reference("shown.png", name)
        """
    )

    def run(image, *options):
        Image.fromarray(image).save("shown.png")
        return pytester.runpytest_inprocess("-p", "no:randomly", *options)

    return run


def test_a_stored_image_is_compared_with(project, pair, pytester):
    result = project(pair[0])
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*There is none at *named.png*--lpips-update*"])
    result = project(pair[0], "--lpips-update")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["lpips: images are stored, and not compared"])
    stored = sorted(path.name for path in (pytester.path / "lpips_references").iterdir())
    assert stored == ["named.png", "test_page-test_page[None].png"]
    project(pair[0]).assert_outcomes(passed=2)
    result = project(pair[1])
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*at most 0.05. Received: 0.*columns * See *named.png*"])
    result.stdout.no_fnmatch_line("*def check*")


def test_a_stored_image_that_cannot_be_written_or_read_is_told(project, pair, pytester):
    folder = pytester.path / "lpips_references"
    (folder / "named.png").mkdir(parents=True)
    result = project(pair[0], "--lpips-update")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*named.png*it is a folder*"])
    (folder / "named.png").rmdir()
    (folder / "named.png").write_bytes(b"")
    result = project(pair[0])
    result.stdout.fnmatch_lines(["*Cannot read the image *named.png*"])


@pytest.fixture
def shown(pytester, monkeypatch, build, pair):
    """Two images in a project's folder, and runs of its tests."""
    monkeypatch.setattr(testing, "default_metric", build)
    for name, image in zip(("a.png", "b.png"), pair, strict=True):
        Image.fromarray(image).save(name)

    def run(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "no:randomly", *options)

    return run


def test_names_are_files_of_one_folder_and_used_once(shown, pytester):
    result = shown(
        """
        def test_twice(lpips_reference):
            lpips_reference("a.png", "a")
            lpips_reference("a.png", "a")
        def test_elsewhere(lpips_reference):
            lpips_reference("a.png", "../a")
        """,
        "--lpips-update",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*each name once*", "*without folders*'../a'*"])
    assert not (pytester.path / "a.png.png").exists()


def test_each_test_has_an_image_of_its_own(shown, pytester):
    source = """
        import pytest
        class TestLight:
            def test_page(self, lpips_reference):
                lpips_reference("a.png")
        class TestDark:
            def test_page(self, lpips_reference):
                lpips_reference("b.png")
        @pytest.mark.parametrize("name", ["a/b", "a b", "n" * 300])
        def test_name(lpips_reference, name):
            lpips_reference("a.png" if "/" in name else "b.png")
        """
    shown(source, "--lpips-update").assert_outcomes(passed=5)
    assert len(list((pytester.path / "lpips_references").iterdir())) == 5
    shown(source).assert_outcomes(passed=5)


def test_two_tests_do_not_store_different_images_under_one_name(shown):
    result = shown(
        """
        def test_first(lpips_reference):
            lpips_reference("a.png", "page")
        def test_second(lpips_reference):
            lpips_reference("b.png", "page")
        def test_third(lpips_reference):
            lpips_reference("a.png", "page")
        """,
        "--lpips-update",
    )
    result.assert_outcomes(passed=2, failed=1)


def test_what_cannot_pass_is_not_stored(shown, pytester):
    result = shown(
        """
        import numpy as np
        import pytest
        from PIL import Image
        image = np.asarray(Image.open("a.png"))
        @pytest.mark.parametrize("wrong", [
            image.astype("int64"), np.full((64, 64, 3), np.nan, "f4"), image.astype("f4"),
            np.dstack([image, image[..., :1]]), image[:8, :8],
        ])
        def test_wrong(lpips_reference, wrong):
            lpips_reference(wrong)
        def test_threshold(lpips_reference):
            lpips_reference(image, at_most=float("nan"))
        """,
        "--lpips-update",
    )
    result.assert_outcomes(failed=6)
    assert not (pytester.path / "lpips_references").exists()
