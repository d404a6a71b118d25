"""`lpips_tf.video`: any iterables of frames."""

import gc
import weakref

import numpy as np
import pytest
from checking import assert_official, numbers

from lpips_tf import video


def by_definition(metric, frames0, frames1):
    """Six passes through the network for each two frames."""
    distances = numbers(metric(frames0, frames1))
    steps = [numbers(metric(f[:-1], f[1:])) for f in (frames0, frames1)]
    return distances, np.abs(steps[0] - steps[1])


@pytest.mark.parametrize("batch_size", [None, 4])
def test_each_distance_is_that_of_its_definition(build, photos, batch_size):
    metric = build()
    frames0, frames1 = photos[0], photos[1]
    distances, temporal = by_definition(metric, frames0, frames1)
    told = []
    found = video.compare(
        metric, iter(frames0), list(frames1), batch_size=batch_size,
        progress=lambda *numbers: told.append(numbers),
    )  # fmt: skip
    assert_official(found.distances, distances)
    assert_official(found.temporal, temporal)
    assert found.tlpips == pytest.approx(temporal.mean(), abs=1e-6)
    assert found.mean == pytest.approx(distances.mean(), rel=1e-5)
    assert found.median == pytest.approx(np.median(distances), rel=1e-5)
    assert found.worst == distances.argmax()
    assert told == ([(6, -1)] if batch_size is None else [(4, -1), (6, -1)])  # of no known length


def test_progress_has_a_total_where_both_lengths_are_known(build, photos):
    told = []
    video.compare(
        build(), photos[0], list(photos[1][:4]), shortest=True,
        progress=lambda *numbers: told.append(numbers),
    )  # fmt: skip
    assert told == [(4, 4)]


def test_each_frame_is_embedded_once(build, photos, monkeypatch):
    metric, counts = build(), []
    embed = type(metric).embed
    monkeypatch.setattr(
        type(metric), "embed", lambda self, x: counts.append(len(x)) or embed(self, x)
    )
    video.compare(metric, *photos, batch_size=2)
    assert sum(counts) == 12


@pytest.mark.slow
def test_frames_are_forgotten_once_they_are_compared(build, photos):
    alive = []

    class Frame(np.ndarray):
        """An array that tells whether it is still held."""

    def frames():
        for _ in range(12):
            frame = photos[0][0].copy().view(Frame)
            alive.append(weakref.ref(frame))
            yield frame

    most = 0
    for _ in video.compared_frames(build(), frames(), frames(), batch_size=2):
        gc.collect()
        most = max(most, sum(reference() is not None for reference in alive))
    assert len(alive) == 24
    assert most <= 8


def test_equal_videos_have_no_distance(build, photos):
    found = video.compare(build(), photos[0], photos[0])
    assert (found.mean, found.tlpips, found.distances.max()) == (0, 0, 0)


def test_a_single_frame_has_no_tlpips(build, photos):
    found = video.compare(build(), photos[0][:1], photos[1][:1])
    assert np.isnan(found.tlpips)
    assert len(found.distances) == 1


def test_frames_with_nan_have_no_distance(build, photos):
    frames = photos[0].astype("float32") / 255
    frames[2, 0, 0, 0] = np.nan
    found = video.compare(build(value_range=(0, 1)), frames, photos[1])
    assert np.flatnonzero(np.isnan(found.distances)).tolist() == [2]
    assert np.flatnonzero(np.isnan(found.temporal)).tolist() == [1, 2]
    assert np.isnan([found.mean, found.median, found.tlpips]).all()
    assert found.worst == 2


def test_videos_of_other_lengths_and_sizes_are_refused(build, photos):
    metric, (frames0, frames1) = build(), photos
    with pytest.raises(ValueError, match="frames1 with 4, and more of frames0"):
        video.compare(metric, frames0, frames1[:4])
    assert len(video.compare(metric, frames0, frames1[:4], shortest=True).distances) == 4
    mixed = [*frames1[:3], frames1[3][:40]]
    with pytest.raises(ValueError, match=r"frames1\[3\] of shape \(40, 64, 3\)"):
        video.compare(metric, frames0, mixed)
    with pytest.raises(ValueError, match="here uint8"):
        video.compare(metric, frames0, [*frames1[:3], frames1[3] / 255])
    for wrong in (None, "video.mp4", 3):
        with pytest.raises(ValueError, match="iterable of images"):
            video.compare(metric, frames0, wrong)
    with pytest.raises(ValueError, match="Expected frames"):
        video.compare(metric, frames0[0], frames1[0])
    with pytest.raises(ValueError, match="at least one frame"):
        video.compare(metric, [], [])
    with pytest.raises(ValueError, match=r"lpips_tf\.LPIPS"):
        video.compare("alex", frames0, frames1)
