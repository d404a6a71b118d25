"""`lpips-tf video`, as a person calls it."""

import csv
import io
import json

import av
import numpy as np
import pytest
from checking import assert_accessible, assert_official, numbers
from PIL import Image
from skimage import data
from video_files import moving, read_frames, set_display_matrix, write_video

COUNT = 24


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A video, and one of fewer bits with a frame that flashes."""
    folder = tmp_path_factory.mktemp("videos")
    frames = moving(data.astronaut(), COUNT)
    flash = [f if i != 9 else 255 - f for i, f in enumerate(frames)]
    return write_video(folder / "ref.mp4", frames), write_video(folder / "low.mp4", flash, crf=30)


@pytest.fixture(scope="module")
def expected(videos, build):
    """The distances and temporal differences by definition."""
    frames0, frames1 = map(read_frames, videos)
    steps = [numbers(build()(f[:-1], f[1:])) for f in (frames0, frames1)]
    return numbers(build()(frames0, frames1)), np.abs(steps[0] - steps[1])


def one_line(result, code, *parts):
    assert (result[0], result[1], result[2].count("\n")) == (code, "", 1), result
    for part in parts:
        assert str(part) in result[2]


def test_a_video_has_a_mean_a_median_a_worst_frame_and_tlpips(run, videos, expected):
    distances, temporal = expected
    code, out, err = run("video", *videos)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"mean: {distances.mean():.5f} ({COUNT} frames)",
        f"median: {np.median(distances):.5f}",
        f"worst: {distances.max():.5f} (frame {distances.argmax()})",
        f"tLPIPS: {temporal.mean():.5f}",
    ]
    assert distances.argmax() == 9


def test_results_as_csv_and_json_are_those_of_each_frame(run, videos, expected, tmp_path):
    distances, temporal = expected
    code, out, err = run("video", *videos, "-o", "-")
    assert (code, "tLPIPS" in err) == (0, True)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["frame"] for row in rows] == list(map(str, range(COUNT)))
    assert_official([float(row["distance"]) for row in rows], distances)
    assert rows[0]["temporal"] == ""
    assert_official([float(row["temporal"]) for row in rows[1:]], temporal)
    code, out, _ = run("video", *videos, "--json", "-o", tmp_path / "out.json")
    answer = json.loads(out)
    assert json.loads((tmp_path / "out.json").read_text()) == answer
    assert (answer["frames"], answer["worst"]["frame"]) == (COUNT, 9)
    assert answer["tlpips"] == pytest.approx(temporal.mean(), abs=1e-6)
    assert_official(answer["distances"], distances)


def test_each_nth_frame_is_compared_with_the_nth_before(run, videos, build):
    frames0, frames1 = (read_frames(path)[::5] for path in videos)
    steps = [numbers(build()(f[:-1], f[1:])) for f in (frames0, frames1)]
    _, out, _ = run("video", *videos, "--every", 5, "--json")
    answer = json.loads(out)
    assert (answer["frames"], answer["every"], answer["worst"]["frame"] % 5) == (5, 5, 0)
    assert_official(answer["distances"], numbers(build()(frames0, frames1)))
    assert answer["tlpips"] == pytest.approx(np.abs(steps[0] - steps[1]).mean(), abs=1e-6)


def test_a_folder_of_numbered_frames_is_a_video(run, videos, expected, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, path in zip(folders, videos, strict=True):
        folder.mkdir()
        for i, frame in enumerate(read_frames(path)):
            Image.fromarray(frame).save(folder / f"take2_{i + 1}.png")  # 2 comes before 10
    _, out, err = run("video", *folders, "--json")
    assert err == ""
    assert_official(json.loads(out)["distances"], expected[0])
    _, out, err = run("video", videos[0], folders[1], "--json")
    assert (json.loads(out)["worst"]["frame"], err) == (9, "")
    (folders[1] / "take2_7.png").unlink()
    one_line(run("video", *folders), 1, "evenly spaced", "take2_5.png, take2_6.png, take2_8.png")
    (folders[1] / "cover.png").write_bytes(b"")
    one_line(run("video", *folders), 1, "Expected numbered frames", "cover.png")


def test_sizes_and_counts_that_differ_are_told_before_the_work(run, videos, build, tmp_path):
    small = write_video(tmp_path / "small.mp4", moving(data.coffee(), 10, size=48))
    output = tmp_path / "out.csv"
    one_line(run("video", videos[0], small, "-o", output), 1, "64x64", "48x48", "--resize")
    resized = ("video", videos[0], small, "--resize", "reference")
    one_line(run(*resized, "-o", output), 1, "ref.mp4 with 24", "with 10", "--shortest")
    assert not output.exists()
    code, out, _ = run(*resized, "--shortest", "--json")
    assert code == 0
    big = [
        np.asarray(Image.fromarray(f).resize((64, 64), Image.Resampling.LANCZOS))
        for f in read_frames(small)
    ]
    assert json.loads(out)["resized"] == "64x64"
    found = numbers(build()(read_frames(videos[0])[:10], np.stack(big)))
    assert_official(json.loads(out)["distances"], found)


def test_frame_rates_that_differ_are_told(run, videos, tmp_path):
    frames = list(read_frames(videos[0]))
    other = write_video(tmp_path / "fast.mp4", frames, rate=50)
    code, _, err = run("video", videos[0], other)
    assert (code, err.count("\n")) == (0, 1)
    assert "25 frames a second" in err
    assert "50" in err


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_frames_before_a_cut_count(run, videos, expected, tmp_path, suffix):
    whole = write_video(
        tmp_path / f"whole.{suffix}", list(read_frames(videos[1])), crf=1,
        **({"movflags": "faststart"} if suffix == "mp4" else {}),
    )  # fmt: skip
    cut = tmp_path / f"cut.{suffix}"
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    code, out, err = run("video", whole, cut, "--shortest", "-o", "-")
    assert (code, f"{cut} can be read up to frame" in err) == (1, True)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert 0 < len(rows) < COUNT
    assert max(float(row["distance"]) for row in rows) < 1e-6
    if suffix == "mkv":
        one_line(run("video", whole, cut), 1, f"{cut} is cut off: File ended prematurely")


def test_frames_that_the_decoder_finds_damaged_do_not_count(run, videos, tmp_path):
    """What decoders make of them differs from run to run."""
    frames = list(read_frames(videos[0]))
    whole = write_video(tmp_path / "whole.mkv", frames, crf=None)
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(content)
    results = [run("video", whole, damaged, "-o", "-") for _ in range(2)]
    assert results[0] == results[1]
    code, out, err = results[0]
    assert (code, "CRC mismatch" in err) == (1, True)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert COUNT / 4 < len(rows) < COUNT * 3 / 4
    assert max(float(row["distance"]) for row in rows) < 1e-6


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda x: x),
        ((-1, 0, 0, -1), lambda x: x[::-1, ::-1]),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
        ((1, 0, 0, -1), lambda x: x[::-1]),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((0, 1, 1, 0), lambda x: x.transpose(1, 0, 2)),
    ],
)
def test_videos_are_turned_and_mirrored_as_players_show_them(run, tmp_path, matrix, turn):
    frames = [frame[:48] for frame in moving(data.chelsea(), 2)]
    path = write_video(tmp_path / "turned.mp4", frames)
    upright = tmp_path / "upright"
    upright.mkdir()
    for i, frame in enumerate(read_frames(path)):
        Image.fromarray(np.ascontiguousarray(turn(frame))).save(upright / f"{i}.png")
    set_display_matrix(path, matrix)
    _, out, err = run("video", upright, path, "--json")
    assert (err, max(json.loads(out)["distances"])) == ("", 0)


def test_a_slanted_video_is_refused(run, videos, tmp_path):
    slanted = tmp_path / "slanted.mp4"
    slanted.write_bytes(videos[0].read_bytes())
    set_display_matrix(slanted, (1, 1, -1, 1))
    one_line(run("video", videos[0], slanted), 1, "quarter turns", slanted)


def test_transparent_frames_are_laid_over_white(run, videos, tmp_path):
    frames = read_frames(videos[0])[:3]
    path = tmp_path / "alpha.mkv"
    folder = tmp_path / "alpha"
    folder.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "bgra"
        for i, frame in enumerate(frames):
            pixels = np.dstack([frame, np.full((64, 64, 1), 100, "uint8")])
            Image.fromarray(pixels).save(folder / f"{i}.png")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode())
    _, out, err = run("video", folder, path, "--json")
    assert max(json.loads(out)["distances"]) == 0
    assert f"{path} is transparent in places" in err


def test_numbers_that_differ_are_told(run, videos, tmp_path):
    for name, numbers_of in (("even", range(0, 12, 2)), ("late", range(3, 9))):
        (tmp_path / name).mkdir()
        for number, frame in zip(numbers_of, read_frames(videos[0]), strict=False):
            Image.fromarray(frame).save(tmp_path / name / f"{number}.png")
    for pair in ((videos[0], tmp_path / "even"), (tmp_path / "late", videos[0]),
                 (tmp_path / "even", tmp_path / "late")):  # fmt: skip
        code, _, err = run("video", *pair, "--shortest")
        assert (code, err.count("\n"), "compared in their order" in err) == (0, 1, True)


def test_what_is_no_video_is_told_in_a_line(run, videos, tmp_path):
    text, empty, sound = (tmp_path / name for name in ("text.mp4", "empty.mp4", "sound.m4a"))
    text.write_text("no video")
    empty.write_bytes(b"")
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), "f4"), format="flt", layout="mono")
        frame.sample_rate = 44100
        container.mux([*stream.encode(frame), *stream.encode()])
    for path, part in (
        (text, "Cannot read the video"), (empty, "Cannot read the video"),
        (sound, "Expected a video stream"), (tmp_path / "none.mp4", "There is none at"),
        (tmp_path, "Expected a folder of numbered frames"),
    ):  # fmt: skip
        one_line(run("video", videos[0], path, "-o", tmp_path / "out.csv"), 1, part, path)
        assert not (tmp_path / "out.csv").exists()


def test_a_folder_with_a_damaged_frame_counts_up_to_it(run, videos, tmp_path):
    for i, frame in enumerate(read_frames(videos[0])[:6]):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:300])
    code, out, err = run("video", videos[0], tmp_path, "--shortest")
    assert (code, "(4 frames)" in out, "4.png" in err) == (1, True, True)
    Image.new("RGB", (80, 80)).save(tmp_path / "2.png")
    one_line(run("video", videos[0], tmp_path, "--shortest"), 1, "frames of one size", "80x80")


def test_frames_above_a_limit_are_named(run, videos, expected):
    code, _, err = run("video", *videos, "--fail-above", expected[0].max() - 1e-3)
    assert (code, err.count("\n")) == (3, 1)
    assert "frame 9 (" in err
    assert run("video", *videos, "--fail-mean-above", 0.001)[0] == 3


def test_other_figures_stand_beside_the_distance(run, videos):
    from skimage import metrics

    frames = [read_frames(path)[3] for path in videos]
    _, out, _ = run("video", *videos, "--with", "psnr", "-o", "-")
    row = list(csv.DictReader(io.StringIO(out)))[3]
    assert float(row["psnr"]) == pytest.approx(metrics.peak_signal_noise_ratio(*frames))


def test_the_report_has_the_curve_and_the_worst_frames(run, videos, expected, tmp_path, open_page):
    path = tmp_path / "report.html"
    assert run("video", *videos, "--report", path)[0] == 0
    page = open_page(path.as_uri())
    assert page.locator(".curve").count() == 1
    points = page.locator(".curve").get_attribute("points").split()
    assert len(points) == COUNT
    heights = [float(point.split(",")[1]) for point in points]
    np.testing.assert_allclose(heights, 160 - 150 * expected[0] / expected[0].max(), atol=0.01)
    names = page.locator("tbody .name").all_inner_texts()
    order = np.argsort(-expected[0], kind="stable")[:12]
    assert names == [f"frame {number}" for number in order]
    page.locator("summary").first.click()
    assert page.locator("details img").first.is_visible()
    assert_accessible(page)
