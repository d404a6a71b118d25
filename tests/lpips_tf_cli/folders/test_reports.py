"""`dirs --report` and `evaluate --report` write pages that show what was compared."""

import base64
import collections
import functools
import html
import io
import re
import shutil

import numpy as np
import pytest
from benchmarks.synthetic_bapps import write_photographs
from checking import ROOT, assert_accessible, numbers
from PIL import Image, ImageFilter

import lpips_tf
from lpips_tf import images
from lpips_tf.weights import loading
from lpips_tf_cli.console.metric_options import FixedMetricOptions
from lpips_tf_cli.reports import drawing, judgement_report, pages

HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;.png"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of twelve pairs of images that differ the more, the higher their number."""
    root = tmp_path_factory.mktemp("folders")
    photograph = Image.open(ROOT / "examples" / "images" / "reference.png").convert("RGB")
    names = [*(f"image {i}.png" for i in range(11)), HOSTILE]
    for folder in ("plain", "blurred"):
        (root / folder).mkdir()
    for i, name in enumerate(names):
        box = (5 * i, 3 * i, 5 * i + 96, 3 * i + 80)
        photograph.crop(box).save(root / "plain" / name)
        photograph.filter(ImageFilter.GaussianBlur(i / 4)).crop(box).save(root / "blurred" / name)
    photograph.save(root / "plain" / "alone.png")
    return root / "plain", root / "blurred"


@pytest.fixture(scope="module")
def bapps(tmp_path_factory):
    root = tmp_path_factory.mktemp("bapps")
    for mode in ("2afc", "jnd"):
        write_photographs(root, mode, "val_traditional", 12)
        write_photographs(root, mode, "val_cnn", 8, seed=1)
    return root


@pytest.fixture
def report(run, folders, tmp_path):
    """The page of `dirs`."""
    path = tmp_path / "report.html"
    code, out, _ = run("dirs", *folders, "--report", path)
    assert code == 0
    assert "(12 pairs)" in out
    return path


def table(page):
    """The names and values of the rows, as they are in the file."""
    row = re.compile(r'<td role="cell" class="name">(.*?)</td>(.*?)</tr>', re.DOTALL)
    return [
        (html.unescape(name), [float(x) for x in re.findall(r'data-value="(.*?)"', rest)])
        for name, rest in row.findall(page)
    ]


def test_a_report_has_every_pair_the_most_different_first(report, folders, build):
    rows = table(report.read_text())
    assert len(rows) == 12
    assert {name for name, _ in rows} >= {HOSTILE, "image 0.png"}
    found = [value for _, (value,) in rows]
    assert found == sorted(found, reverse=True)
    for name, (value,) in rows:
        pair = (images.load(folder / name)[None] for folder in folders)
        assert value == pytest.approx(numbers(build()(*pair))[0], abs=1e-6)


def test_figures_and_bars_sum_up_the_pairs(report):
    page = report.read_text()
    values = [value for _, (value,) in table(page)]
    figures = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    assert figures["pairs"] == "12"
    assert figures["median"] == f"{np.median(values):.5f}"
    assert figures["95th percentile"] == f"{np.percentile(values, 95):.5f}"
    assert figures["mean ± standard error"].startswith(f"{np.mean(values):.5f} ± ")
    named = (figures["model"], figures["net"], figures["version"])
    assert named == ("lpips", "alex", "0.1")  # as `evaluate --report` says it
    bars = re.findall(r"<title>(\S+) to (\S+): (\d+)</title>", page)
    for low, high, count in bars[1:-1]:
        assert int(count) == sum(float(low) <= value < float(high) for value in values)
    assert sum(int(count) for *_, count in bars) == 12
    assert "left out: 1, such as alone.png" in page


def test_images_of_a_report_are_those_of_the_folders(report, folders):
    page = report.read_text()
    name, _ = table(page)[0]
    row = page.split("<tbody role=")[1].split("</tr>")[0]
    contents = re.findall(r'src="data:image/webp;base64,(.*?)"', row)
    shown = [Image.open(io.BytesIO(base64.b64decode(x))) for x in contents]
    assert len(shown) == 3
    assert shown[0].size == (96, 80)
    for image, folder in zip(shown[:2], folders, strict=True):
        difference = np.asarray(image, float) - images.load(folder / name)
        assert np.abs(difference).mean() < 4  # of lossy compression


def test_a_report_loads_nothing_from_elsewhere(report):
    without_images = re.sub(r'src="data:.*?"', "", report.read_text())
    assert not re.findall(r"https?:|//\w|url\(|@import|<link(?! rel=.icon. href=.data:,.>)",
                          without_images)  # fmt: skip


def test_rows_are_sorted_by_the_button_of_their_column(report, open_page):
    page = open_page(report.as_uri())
    names = page.locator("tbody .name")
    first = names.nth(0)
    most = table(report.read_text())[0][0]
    assert first.text_content() == most
    page.click("th button >> text=name")
    assert [names.nth(i).text_content() for i in range(5)] == [
        HOSTILE, *(f"image {i}.png" for i in range(4)),
    ]  # fmt: skip
    assert names.nth(11).text_content() == "image 10.png"  # by number, not by digit
    page.keyboard.press("Enter")  # the button has the focus
    assert first.text_content() == "image 10.png"
    assert page.get_attribute("th:has-text('name')", "aria-sort") == "descending"
    page.click("th button >> text=distance")
    assert first.text_content() == most


def test_rows_are_found_by_words_of_their_names(report, open_page):
    page = open_page(report.as_uri())
    page.fill("#filter", "1 image")
    assert page.text_content("#count") == "2 of 12 shown"
    shown = page.locator("tbody tr:visible .name").all_text_contents()
    assert shown == ["image 10.png", "image 1.png"]
    page.fill("#filter", "ONERROR")
    assert page.text_content("#count") == "1 of 12 shown"


def test_a_heatmap_shows_once_its_row_is_opened(report, open_page):
    page = open_page(report.as_uri())
    page.fill("#filter", "ONERROR")
    visible = page.locator("tbody tr:visible")
    heatmap = visible.locator("details img")
    assert not heatmap.is_visible()
    visible.locator("summary").focus()
    page.keyboard.press("Enter")
    heatmap.wait_for(state="visible")
    page.wait_for_function("e => e.complete && e.naturalWidth === 96", arg=heatmap.element_handle())
    assert heatmap.get_attribute("alt").startswith(f"{HOSTILE}: ")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_of_folders_is_accessible_and_fits(report, open_page, width, scheme):
    page = open_page(report.as_uri(), color_scheme=scheme, viewport={"width": width, "height": 900})
    page.click("summary >> nth=0")
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 1280])
def test_long_names_take_no_room_from_images(run, folders, tmp_path, open_page, width):
    for folder, source in zip(("left", "right"), folders, strict=True):
        (tmp_path / folder).mkdir()
        for name in ("image 9.png", f"{'x' * 240}.png"):
            shutil.copy(source / "image 9.png", tmp_path / folder / name)
    shutil.copy(folders[0] / "image 9.png", tmp_path / "left" / f"{'y' * 200}.png")
    path = tmp_path / "report.html"
    run("dirs", tmp_path / "left", tmp_path / "right", "--report", path)
    page = open_page(path.as_uri(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = page.locator("tbody tr >> nth=0 >> figure")
    first, second = (figures.nth(i).bounding_box() for i in range(2))
    assert first["y"] == second["y"]  # side by side


@pytest.mark.parametrize("width", [320, 1280])
def test_a_report_of_judgements_is_accessible_and_fits(run, bapps, tmp_path, open_page, width):
    path = tmp_path / "report.html"
    run("evaluate", "--bapps-dir", bapps, "--datasets", "val/traditional",
                "--report", path)  # fmt: skip
    page = open_page(path.as_uri(), viewport={"width": width, "height": 800})
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_policy_of_a_report_stops_scripts_that_escaping_missed(report, open_page):
    path = report.with_name("spoilt.html")
    path.write_text(
        report.read_text().replace("image 3.png</td>", "<script>alert(1)</script></td>")
    )
    page = open_page(path.as_uri())
    (complaint,) = page.complaints
    assert "Content Security Policy" in complaint
    page.complaints.clear()


def test_two_thousand_pairs_of_noise_stay_below_60_megabytes():
    """Noise is what compresses worst."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 2, 300, 400, 3), "uint8")
    with drawing.Drawing(2000, images=3) as drawn:
        rows = [
            drawn.draw_row(str(i), [pages.Value(0, "0")], [("a", a), ("b", b)], maps=[]).row()
            for i, (a, b) in enumerate(noise)
        ]
    size = sum(len(image.address) for row in rows for image in row.images)
    assert len(rows) == 12
    assert size / (12 * 2) * 3 * 2000 < 55e6
    assert max(image.width for row in rows for image in row.images) == 160


@pytest.mark.parametrize(
    ("mode", "columns"), [("2afc", ("d0", "d1", "judge")), ("jnd", ("distance", "same"))]
)
def test_a_report_of_judgements_has_each_example_the_least_agreed_on_first(
    run, bapps, tmp_path, mode, columns
):
    path, distances = tmp_path / "report.html", tmp_path / "distances.csv"
    code, out, err = run("evaluate", "--mode", mode, "--bapps-dir", bapps, "--datasets",
        "val/traditional", *(["val/cnn"] if mode == "2afc" else []), "--report", path,
        "--save-distances", distances,
    )  # fmt: skip
    assert (code, err) == (0, "")
    page = path.read_text()
    for word in ("val/traditional", *re.findall(r"\d+\.\d%", out)):
        assert word in page
    rows = table(page)
    written = np.genfromtxt(distances, delimiter=",", names=True, dtype=None, encoding="utf-8")
    expected = {str(row["id"]).strip('"'): [row[name] for name in columns] for row in written}
    assert {name for name, _ in rows} == set(expected)
    for name, (*values, _) in rows:
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)
    disagreements = [values[-1] for _, values in rows]
    assert disagreements == sorted(disagreements, reverse=True)
    assert page.count("<img ") == len(rows) * (5 if mode == "2afc" else 3)


def test_disagreement_is_the_share_of_people_against_the_metric():
    columns = {"d0": np.array([1, 1, 2.0]), "d1": np.array([2, 1, 1.0]), "judge": np.full(3, 0.8)}
    np.testing.assert_allclose(judgement_report.disagreement(columns), [0.8, 0.3, 0.2])
    columns = {"distance": np.array([0.1, 0.9, 0.5]), "same": np.array([1, 1, 0.5])}
    np.testing.assert_allclose(judgement_report.disagreement(columns), [0, 1, 0])
    columns = {"distance": np.array([0.1, 0.9, 0.5]), "opinion": np.array([9, 5, 1.0])}
    np.testing.assert_allclose(judgement_report.disagreement(columns), [0, 0.5, 0.5])
    np.testing.assert_allclose(judgement_report.disagreement(columns, True), [1, 0.5, 0.5])


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("x.htm", 2, "ends in .html. Received: x.htm"),
        ("none/x.html", 1, "Cannot write none/x.html"),
    ],
)
def test_a_report_that_cannot_be_written_is_told_before_the_work(
    run, folders, tmp_path, monkeypatch, name, code, message
):
    monkeypatch.chdir(tmp_path)
    for command in (["dirs", *folders], ["evaluate", "--bapps-dir", "bapps"]):
        found, out, err = run(*command, "--report", name)
        assert (found, out, err.count("\n")) == (code, "", 1)
        assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_equal_folders_has_zeros(run, folders, tmp_path):
    path = tmp_path / "report.html"
    code, _, _ = run("dirs", folders[0], folders[0], "--report", path)
    assert code == 0
    assert {value for _, (value,) in table(path.read_text())} == {0}


@pytest.fixture
def counted(run, monkeypatch):
    """How many backbones are loaded, image files decoded, and pairs compared."""
    alone = FixedMetricOptions.load.__wrapped__  # that of `run` shares metrics between tests
    monkeypatch.setattr(FixedMetricOptions, "load", alone)
    counts = collections.Counter()

    def count(owner, name, size):
        original = getattr(owner, name)

        @functools.wraps(original)
        def counting(*arguments, **options):
            counts[name] += size(*arguments)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    count(loading, "load_backbone", lambda *_: 1)
    count(images, "load", lambda *_: 1)
    count(lpips_tf.LPIPS, "__call__", lambda metric, in0, in1: len(in0))
    count(lpips_tf.LPIPS, "explain", lambda metric, in0, *_: len(in0))
    return counts


def test_reports_build_one_network_and_compare_each_pair_once(run, folders, tmp_path, counted):
    code, _, _ = run("dirs", *folders, "--report", tmp_path / "report.html")
    assert code == 0
    assert counted == {"load_backbone": 1, "load": 2 * 12, "explain": 12}


@pytest.mark.slow
def test_heatmaps_build_one_network_and_read_each_file_once(run, folders, tmp_path, counted):
    reference, *others = sorted(folders[0].glob("image ?.png"))[:4]
    code, _, _ = run("pair", reference, *others, "--heatmap", tmp_path / "map.png", "--layers")
    assert code == 0
    assert counted == {"load_backbone": 1, "load": 1 + 3, "explain": 3}
