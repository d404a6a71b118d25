"""All pairs from one embedding an image."""

import itertools
import tempfile

import numpy as np
import pytest
from checking import numbers

import lpips_tf
from lpips_tf import pairwise


@pytest.fixture(scope="module")
def images(golden):
    return np.concatenate([golden["small0"], golden["small1"]])  # 6 is like 0, and 11 equals 5


@pytest.fixture(scope="module")
def expected(build, images):
    """The matrix, pair by pair through the metric."""
    count = len(images)
    index = np.array(list(itertools.product(range(count), repeat=2)))
    distances = numbers(build()(images[index[:, 0]], images[index[:, 1]]))
    return distances.reshape(count, count)


def test_matrix_equals_the_metric(build, images, expected):
    matrix = lpips_tf.distance_matrix(build(), images)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert (matrix.diagonal() == 0).all()
    assert matrix[5, 11] < 1e-12


def test_a_matrix_of_two_sets_is_that_part_of_the_whole(build, images, expected):
    matrix = lpips_tf.distance_matrix(build(), images[:4], images[4:], batch_size=3)
    np.testing.assert_allclose(matrix, expected[:4, 4:], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_batches_blocks_and_files_change_nothing(build, images, expected, batch_size, monkeypatch):
    monkeypatch.setattr(pairwise, "BLOCK_ROWS", 5)
    monkeypatch.setattr(pairwise, "BLOCK_COLUMNS", 1000)
    one_image = 4 * numbers(build().embed(images[:1])).size
    for max_memory in (0, 3 * one_image, 10**9):
        matrix = lpips_tf.distance_matrix(
            build(), images, batch_size=batch_size, max_memory=max_memory
        )
        np.testing.assert_allclose(matrix, expected, atol=1e-6)


def test_large_sets_go_through_a_file_that_is_gone_afterwards(build, images, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written = []
    original = tempfile.TemporaryFile
    monkeypatch.setattr(
        tempfile, "TemporaryFile", lambda: written.append(original(dir=tmp_path)) or written[-1]
    )
    lpips_tf.distance_matrix(build(), images, max_memory=0)
    assert len(written) == 1
    assert list(tmp_path.iterdir()) == []


def test_mean_equals_the_mean_of_the_matrix(build, images, expected):
    mean = lpips_tf.mean_pairwise_distance(build(), images, batch_size=5)
    above = expected[np.triu_indices(len(images), 1)]
    assert mean == pytest.approx(above.mean(dtype=float), abs=1e-7)


def test_mean_of_equal_images_is_zero(build, images):
    mean = lpips_tf.mean_pairwise_distance(build(), np.repeat(images[:1], 5, 0), batch_size=2)
    assert 0 <= mean < 1e-12


def test_any_iterable_of_images_or_batches_is_taken(build, images):
    metric = build()
    expected = lpips_tf.distance_matrix(metric, images)
    mean = lpips_tf.mean_pairwise_distance(metric, images)
    sources = {
        "list of images": lambda: list(images),
        "generator of images": lambda: (image for image in images),
        "list of batches": lambda: [images[:7], images[7:8], images[8:]],
        "generator of batches": lambda: iter([images[:7], images[7:8], images[8:]]),
        "images among batches": lambda: [images[0], images[1:4], images[4], images[5:]],
    }
    for name, source in sources.items():
        received = lpips_tf.distance_matrix(metric, source(), batch_size=5)
        np.testing.assert_allclose(received, expected, atol=1e-6, err_msg=name)
        assert lpips_tf.mean_pairwise_distance(metric, source(), batch_size=5) == pytest.approx(
            mean
        )


def test_one_image_has_a_matrix_and_no_mean(build, images):
    np.testing.assert_array_equal(lpips_tf.distance_matrix(build(), images[:1]), [[0]])
    with pytest.raises(ValueError, match=r"at least two images\. Received: 1"):
        lpips_tf.mean_pairwise_distance(build(), images[:1])


@pytest.mark.parametrize("images", [[], np.zeros((0, 64, 64, 3), "uint8")])
def test_an_empty_set_is_refused(build, images):
    with pytest.raises(ValueError, match=r"at least one image\. Received: none"):
        lpips_tf.distance_matrix(build(), images)
    with pytest.raises(ValueError, match=r"at least two images\. Received: 0"):
        lpips_tf.mean_pairwise_distance(build(), images)


def test_sets_of_two_sizes_are_refused(build, images):
    mixed = [images[0], images[1, :50]]
    for source in (mixed, iter(mixed), iter([images[:2], images[:2, :50]])):
        with pytest.raises(ValueError, match=r"one size.*\(64, 64, 3\) and \(50, 64, 3\)"):
            lpips_tf.distance_matrix(build(), source)
    # 64x50 and 50x64 have embeddings of the same length
    with pytest.raises(ValueError, match=r"one size.*\(64, 50, 3\) and \(50, 64, 3\)"):
        lpips_tf.distance_matrix(build(), images[:, :, :50], images[:, :50])


def test_elements_that_are_no_images_are_refused(build, images):
    for source, received in [([(images[0], 1)], "tuple"), ([images[0, 0]], r"shape \(64, 3\)")]:
        with pytest.raises(ValueError, match=rf"images \(H, W, 3\) or batches.*{received}"):
            lpips_tf.mean_pairwise_distance(build(), source)


def test_a_batch_size_of_zero_is_refused(build, images):
    with pytest.raises(ValueError, match=r"batch_size of at least 1\. Received: 0"):
        lpips_tf.distance_matrix(build(), images, batch_size=0)


@pytest.mark.filterwarnings("ignore:images spans")  # told once by a metric that tests share
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e20])
def test_an_image_without_a_distance_is_nan_everywhere(build, images, value):
    """Not 0, as if it were equal to others."""
    broken = images[:3].astype("float32") / 127.5 - 1
    broken[1, 5, 5, 0] = value
    assert np.isnan(lpips_tf.mean_pairwise_distance(build(), broken))
    matrix = lpips_tf.distance_matrix(build(), broken)
    assert np.isnan(matrix[1]).all()
    assert np.isnan(matrix[:, 1]).all()
    assert matrix[0, 0] == matrix[2, 2] == 0
    assert matrix[0, 2] > 0
    assert np.isnan(lpips_tf.distance_matrix(build(), broken, broken)[1, 1])
