"""Apache Beam: the same distances, a row for each row, whatever breaks on the way."""

from pathlib import Path

import numpy as np
import pytest
from beam_pairs import assert_scored, beam, distances, run_pipeline, write_pairs
from checking import numbers
from image_contents import ADOBE
from PIL import Image

import lpips_tf
from lpips_tf import beam as transforms
from lpips_tf import images
from lpips_tf._beam.image_reading import Task
from lpips_tf.beam import ScorePairs


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def expected(rows):
    return distances(rows)


@pytest.mark.slow
def test_each_row_gets_its_distance_or_its_error(rows, expected):
    run_pipeline(rows, ScorePairs(), lambda found: assert_scored(found, rows, expected))


def test_pairs_are_scored_with_the_options_and_by_layer(rows):
    options = {"net": "vgg", "version": "0.0", "lpips": False}
    metric = lpips_tf.LPIPS(**options)
    pair = [images.load(rows[1][field])[None] for field in ("reference", "image")]
    distance, layers = metric(*pair, return_per_layer=True)

    def check(found):
        good, bad = sorted(found, key=lambda row: row["error"] is not None)
        assert good["distance"] == pytest.approx(float(numbers(distance)[0]), rel=1e-5)
        assert good["layers"] == pytest.approx([float(numbers(x)[0]) for x in layers], rel=1e-5)
        assert (bad["distance"], bad["layers"]) == (None, None)

    run_pipeline([rows[1], rows[41]], ScorePairs(per_layer=True, **options), check)


def test_pairs_are_scored_in_low_precision_on_request(rows):
    def check(found):
        full, low = (row["distance"] for row in sorted(found, key=lambda row: row["id"]))
        assert low == pytest.approx(full, rel=0.02)
        assert low != full

    def transform(elements):
        scored = elements | ScorePairs()
        named = elements | beam.Map(lambda row: {**row, "id": "low"})
        return (scored, named | "Low" >> ScorePairs(dtype="mixed_bfloat16")) | beam.Flatten()

    run_pipeline([rows[1]], beam.ptransform_fn(transform)(), check)


def test_pairs_and_errors_are_counted(rows):
    pipeline = beam.Pipeline()
    pipeline | beam.Create(rows) | ScorePairs()
    counters = pipeline.run().metrics().query()["counters"]
    found = {c.key.metric.name: c.committed for c in counters
             if c.key.metric.namespace == "lpips_tf"}  # fmt: skip
    assert (found["pairs"], found["errors"]) == (40, 6)
    assert {"megapixels", "seconds"} <= found.keys()


def test_distances_that_are_not_finite_are_errors(rows):
    broken = lpips_tf.LPIPS()
    broken.heads[0].kernel.assign(broken.heads[0].kernel * float("nan"))
    metric = lpips_tf.LPIPS()
    pair = [images.load(rows[1][field]) for field in ("reference", "image")]
    for transform, loaded, names in (
        (ScorePairs(per_layer=True), pair, ("distance", "layers")),
        (transforms.Embed(), pair[:1], ("embedding",)),
    ):
        batch = [Task({"id": "1"}, loaded)]
        (row,) = transform._handler.run_inference(batch, broken)
        assert {name: row[name] for name in names} == dict.fromkeys(names)
        assert row["id"] == "1"
        assert f"finite {names[0]}. Received: NaN or infinity" in row["error"]
        (row,) = transform._handler.run_inference(batch, metric)
        assert row["error"] is None
        assert row[names[0]] is not None


def test_each_image_gets_its_embedding_or_its_error(rows):
    def check(found):
        by_path = {row["image"]: row for row in found}
        for path in (rows[1]["image"], rows[0]["image"]):
            expected = lpips_tf.LPIPS().embed(images.load(path)[None])
            np.testing.assert_allclose(by_path[path]["embedding"], numbers(expected)[0], atol=1e-6)
        assert by_path[rows[41]["image"]]["embedding"] is None
        assert "broken.png" in by_path[rows[41]["image"]]["error"]

    run_pipeline([{"image": rows[i]["image"]} for i in (0, 1, 41)], transforms.Embed(), check)


def test_the_mean_over_all_pairs_is_that_of_the_metric(rows):
    paths = [row["reference"] for row in rows[:40] if int(row["id"]) % 3]
    expected = lpips_tf.mean_pairwise_distance(
        lpips_tf.LPIPS(), np.stack([images.load(path) for path in paths])
    )

    def check(found):
        assert found == [pytest.approx(expected, rel=1e-6)]

    run_pipeline([{"image": path} for path in paths], transforms.MeanPairwiseDistance(), check)


def test_means_of_a_thousand_images_merge_in_any_order():
    metric = lpips_tf.LPIPS()
    noise = np.random.default_rng(0).integers(0, 256, (1000, 4, 4, 3), "uint8")
    noise = noise.repeat(8, axis=1).repeat(8, axis=2)
    matrix = lpips_tf.distance_matrix(metric, noise)
    exact = matrix[np.triu_indices(1000, 1)].mean(dtype=np.float64)
    embeddings = np.concatenate([metric.embed(x).numpy() for x in np.split(noise, 20)])
    combine = transforms.MeanOfPairs()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        parts = np.array_split(rng.permutation(embeddings), rng.integers(1, 1500))
        accumulators = []
        for part in parts:
            accumulator = combine.create_accumulator()
            for embedding in part:
                accumulator = combine.add_input(accumulator, embedding)
            accumulators.append(accumulator)
        merged = combine.merge_accumulators(accumulators[i] for i in rng.permutation(len(parts)))
        assert combine.extract_output(merged) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("which", "message"), [([1, 0], "one size"), ([1, 41], "broken.png"), ([1], "at least two")]
)
def test_a_mean_needs_two_images_of_one_size(rows, which, message):
    elements = [{"image": rows[i]["image"]} for i in which]
    with pytest.raises(Exception, match=message):
        run_pipeline(elements, transforms.MeanPairwiseDistance(), lambda found: None)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"net": "foo"}, ValueError), ({"version": "9"}, ValueError), ({"x": 1}, TypeError),
        ({"spatial": True}, ValueError), ({"batch_size": 0}, ValueError),
        ({"batch_size": 2.5}, ValueError), ({"dropout": 5}, ValueError),
        ({"dtype": "int8"}, ValueError), ({"head_weights": 3}, ValueError),
    ],
)  # fmt: skip
def test_transforms_refuse_wrong_options_at_once(options, error):
    for transform in (ScorePairs, transforms.Embed, transforms.MeanPairwiseDistance):
        with pytest.raises(error):
            transform(**options)


def test_paths_may_be_objects(rows, expected):
    element = {name: Path(rows[1][name]) for name in ("reference", "image")}

    def check(found):
        assert found[0]["distance"] == pytest.approx(expected[1], abs=2e-6)

    run_pipeline([element], ScorePairs(), check)


def test_pipelines_convert_images_with_a_colour_profile(tmp_path, golden):
    wide, plain = tmp_path / "wide.png", tmp_path / "plain.png"
    Image.fromarray(golden["small0"][0]).save(wide, icc_profile=ADOBE)
    Image.fromarray(images.load(wide, srgb=True)).save(plain)
    pair = {"reference": str(wide), "image": str(plain)}

    def check(found):
        assert [row["distance"] for row in found] == [0]

    run_pipeline([pair], ScorePairs(srgb=True), check)
