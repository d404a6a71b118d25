"""Nearest neighbours and near-duplicates by LPIPS."""

import h5py
import numpy as np
import pytest
from benchmarks.synthetic_bapps import distorted

import lpips_tf
from lpips_tf import weights
from lpips_tf.neighbors import Index, Sketch, groups


@pytest.fixture(scope="module")
def crops():
    """300 crops of photographs and, at 300 and after, distorted copies of the first 20."""
    references, copies, *_ = distorted(np.random.default_rng(0), 300)
    return np.stack([*references, *copies[:20]])


@pytest.fixture(scope="module")
def matrix(build, crops):
    """All distances, by a product of whole embeddings."""
    return lpips_tf.distance_matrix(build(), crops)


@pytest.fixture(scope="module")
def index(build, crops):
    return Index.build(build(), crops[:300])


def test_an_exact_index_finds_the_nearest(index, crops, matrix):
    found = index.search(crops[300:], k=5)
    expected = np.sort(matrix[300:, :300], axis=1)[:, :5]
    np.testing.assert_allclose(found.distances, expected, atol=2e-6)
    rows = np.arange(300, 320)[:, None]
    np.testing.assert_allclose(matrix[rows, found.indices], expected, atol=2e-6)


def test_an_image_is_nearest_to_itself(index, crops):
    found = index.search(crops[7:9], k=1)
    assert found.indices[:, 0].tolist() == [7, 8]
    np.testing.assert_allclose(found.distances, 0, atol=1e-9)


@pytest.mark.parametrize(
    "factory",
    [
        "PCA32,PQ8x4",
        *(pytest.param(f, marks=pytest.mark.slow) for f in ("PCA32,Flat", "SQ8", "IVF4,Flat")),
    ],
)
def test_candidates_make_up_for_short_codes(build, crops, matrix, factory):
    index = Index.build(build(), crops[:300], factory=factory)
    found = index.search(crops[300:], k=10, candidates=100)
    true = np.argsort(matrix[300:, :300], axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.indices, true, strict=True)])
    assert recall > (0.6 if factory.startswith("IVF") else 0.9)


def test_finds_as_many_as_asked_for_though_ivf_searches_few_lists(build, crops, matrix):
    index = Index.build(build(), crops[:60], factory="IVF30,Flat")
    found = index.search(crops[:3], k=20)
    assert found.indices.shape == (3, 20)
    np.testing.assert_allclose(
        found.distances, matrix[np.arange(3)[:, None], found.indices], atol=2e-6
    )
    every = index.search(crops[:3], k=60)
    np.testing.assert_allclose(every.distances, np.sort(matrix[:3, :60]), atol=2e-6)
    assert index.index.nprobe == 1  # as it was


def test_indices_without_a_search_by_range_give_no_pairs(build, crops):
    index = Index.build(build(), crops[:60], factory="PQ8x4fs")
    with pytest.raises(ValueError, match=r"factory='Flat'\. Received: IndexPQFastScan"):
        list(index.pairs(0.1))
    with pytest.raises(ValueError, match=r"threshold of at least 0\. Received: nan"):
        list(index.pairs(float("nan")))


def test_embeddings_that_are_not_finite_are_refused(index, crops):
    broken = lpips_tf.LPIPS()
    broken.heads[2].kernel.assign(broken.heads[2].kernel * float("nan"))
    with pytest.raises(ValueError, match="finite embeddings"):
        Index.build(broken, crops[:5])
    other = Index(broken, index.images, index.names, index.sketch, index.index)
    with pytest.raises(ValueError, match="finite embeddings"):
        other.search(crops[:1])
    with pytest.raises(ValueError, match="finite embeddings"):
        list(other.pairs(0.1))


def test_sketches_keep_distances():
    a, b = np.random.default_rng(0).normal(0, 1, (2, 200, 31872)).astype("float32")
    sketch = Sketch(31872, 1024, seed=3)
    ratios = np.square(sketch(a) - sketch(b)).sum(1) / np.square(a - b).sum(1)
    assert sketch(a).shape == (200, 1024)
    assert ratios.mean() == pytest.approx(1, abs=0.02)
    assert ratios.min() > 0.8
    assert ratios.max() < 1.2
    np.testing.assert_array_equal(sketch(a), Sketch(31872, 1024, seed=3)(a))
    assert (sketch(a) != Sketch(31872, 1024, seed=4)(a)).any()
    np.testing.assert_array_equal(Sketch(500, 1024, seed=0)(a[:, :500]), a[:, :500])


@pytest.mark.slow
def test_a_loaded_index_answers_as_the_saved_one(index, crops, tmp_path):
    index.save(tmp_path / "index.h5")
    loaded = Index.load(tmp_path / "index.h5")
    assert loaded.names == index.names
    for found, expected in zip(loaded.search(crops[300:]), index.search(crops[300:]),
                               strict=True):  # fmt: skip
        np.testing.assert_array_equal(found, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["index.h5"]


def test_pairs_are_all_that_are_near(build, crops, matrix):
    index = Index.build(build(), crops)
    threshold = 0.1
    found = {(i, j): d for i, j, d in index.pairs(threshold)}
    rows, columns = np.nonzero(np.triu(matrix <= threshold, 1))
    assert set(found) == set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(found) > 5
    for place, distance in found.items():
        assert distance == pytest.approx(matrix[place], abs=2e-6)


def test_equal_images_are_pairs_at_any_threshold(build, crops):
    index = Index.build(build(), np.concatenate([crops[:40], crops[:10], crops[:10]]))
    for threshold in (0, 1e-6):
        found = list(index.pairs(threshold))
        assert len(found) == 30
        assert {d for *_, d in found} == {0}
    assert (index.search(crops[:7], k=3).distances[:, :3] == 0).all()


def test_groups_join_pairs_that_share_an_image():
    assert groups([(1, 2), (5, 9), (2, 7), (3, 4), (7, 1)]) == [[1, 2, 7], [3, 4], [5, 9]]
    assert groups([]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 64, 64, 3))}, "dtype uint8. Received: .*float64"),
        ({"images": np.zeros((64, 64, 3), "u1")}, r"\(N, H, W, 3\)"),
        ({"metric": lpips_tf.LPIPS(spatial=True)}, "spatial=True"),
        ({"names": ["a"]}, "of its own for each of 60 images. Received: 1 names"),
        ({"names": ["a"] * 60}, "Received: 60 names, 1 different"),
        ({"factory": "Flatt"}, "FAISS refuses factory='Flatt': could not parse"),
        ({"factory": "PCA64,PQ16"}, "FAISS refuses .* cannot output 64 dimensions"),
        ({"factory": "IVF0,Flat"}, "FAISS refuses factory='IVF0,Flat'"),
        ({"factory": "IVF256,Flat"}, r"points \(60\) should be at least as large .* \(256\)"),
        ({"factory": "HNSW0"}, "FAISS refuses factory='HNSW0': its process ends with SIG"),
        ({"factory": "RR0,Flat"}, "FAISS refuses factory='RR0,Flat': its process ends with SIG"),
        ({"factory": "PQ16x24"}, "FAISS refuses factory='PQ16x24': std::bad_alloc"),
    ],
)
def test_what_no_index_can_be_built_of_is_refused(build, crops, change, message):
    with pytest.raises(ValueError, match=message):
        Index.build(**({"metric": build(), "images": crops[:60]} | change))


def test_queries_are_images_like_those_of_the_index(index, crops):
    for queries in (crops[:1, :40], crops[0], crops[:0], crops[:1] / 255):
        with pytest.raises(ValueError, match=r"queries of shape \(Q, 64, 64, 3\) and dtype uint8"):
            index.search(queries)
    with pytest.raises(ValueError, match="k of at least 1"):
        index.search(crops[:1], k=0)


def test_arguments_may_be_scalars_of_numpy(crops, tmp_path):
    metric = lpips_tf.LPIPS(lpips=np.True_, spatial=np.False_, dropout=np.float32(0.5))
    Index.build(metric, crops[:3], dimensions=np.int64(8), seed=np.int64(3)).save(tmp_path / "a.h5")
    assert Index.load(tmp_path / "a.h5").metric.get_config() == lpips_tf.LPIPS().get_config()


def test_an_index_finds_its_weights_from_another_folder(crops, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights.write_heads("heads.h5", lpips_tf.LPIPS(head_weights=None))
    index = Index.build(lpips_tf.LPIPS(head_weights="heads.h5"), crops[:20])
    index.save("index.h5")
    monkeypatch.chdir("/")
    for metric in (None, index.metric):  # whose file has another name from here
        loaded = Index.load(tmp_path / "index.h5", metric)
        np.testing.assert_array_equal(loaded.search(crops[:3])[0], index.search(crops[:3])[0])


def test_an_index_of_another_metric_is_refused(index, tmp_path, build):
    index.save(tmp_path / "index.h5")
    with pytest.raises(ValueError, match=r"built with: version='0.1', received '0.0'"):
        Index.load(tmp_path / "index.h5", build(version="0.0"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("random", ValueError, r"weights that .*index\.h5 was built with"),
        ("in place", ValueError, r"weights that .*index\.h5 was built with"),
        ("in the file", ValueError, r"weights that .*index\.h5 was built with"),
        ("file is gone", OSError, r"heads\.h5"),
    ],
)
def test_an_index_of_weights_that_are_no_longer_had_is_refused(
    change, error, message, crops, tmp_path
):
    """It would find other images at other distances, with no sign of it."""
    heads, path = tmp_path / "heads.h5", tmp_path / "index.h5"
    weights.write_heads(heads, lpips_tf.LPIPS(head_weights=None))
    metric = lpips_tf.LPIPS(head_weights=None if change == "random" else heads)
    if change == "in place":
        metric.heads[0].kernel.assign(metric.heads[0].kernel * 2)
    index = Index.build(metric, crops[:20])
    index.save(path)
    if change == "in the file":
        weights.write_heads(heads, lpips_tf.LPIPS())
    elif change == "file is gone":
        heads.unlink()
    with pytest.raises(error, match=message):
        Index.load(path)
    loaded = Index.load(path, metric)
    np.testing.assert_array_equal(loaded.search(crops[:3])[0], index.search(crops[:3])[0])


def test_an_index_whose_metric_has_changed_is_of_no_use(crops, tmp_path):
    index = Index.build(lpips_tf.LPIPS(), crops[:20])
    kernel = index.metric.heads[0].kernel
    kernel.assign(kernel * 2)
    for use in (
        lambda: index.search(crops[:1]),
        lambda: list(index.pairs(0.1)),
        lambda: index.save(tmp_path / "index.h5"),
    ):
        with pytest.raises(ValueError, match="weights have changed since"):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["cut", "text", "index", "missing", "other"])
def test_a_damaged_index_file_is_refused_by_name(index, tmp_path, damage):
    path = tmp_path / "index.h5"
    index.save(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "text":
        path.write_text("Cats.")
    elif damage == "other":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    else:
        with h5py.File(path, "r+") as file:
            if damage == "index":
                file["index"][500] += 1
            else:
                del file["pictures"]
    with pytest.raises(OSError, match=r"index\.h5"):
        Index.load(path)
