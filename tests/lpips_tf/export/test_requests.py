"""Wrong requests to a SavedModel fail alone, and say why."""

import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from benchmarks.synthetic_bapps import png
from checking import in_range
from PIL import Image

from lpips_tf.export import encoded


@pytest.mark.slow
def test_bad_images_of_concurrent_requests_fail_their_request_only(saved, photos):
    """Mixed requests from eight threads: right answers, and an error for each bad one."""
    metric, folder = saved()
    loaded = tf.saved_model.load(str(folder)).signatures
    rng = random.Random(0)
    sides, kinds = (40, 64), ("uint8", "encoded", "serving_default", "embed")
    expected = {side: metric(*(batch[:, :side] for batch in photos)).numpy() for side in sides}
    embedded = {side: metric.embed(photos[0][:, :side]).numpy() for side in sides}
    failed, wrong, lock = [], [], threading.Lock()

    def request(i):
        side, kind = rng.choice(sides), rng.choice(kinds)
        images = [batch[:, :side] for batch in photos]
        bad = i % 20 == 0
        if kind == "encoded":
            inputs = [[png(x) for x in batch] for batch in images]
            if bad:
                inputs[1][2] = inputs[1][2][:50]
        elif kind == "uint8":
            inputs = [images[0], images[1][:, :30] if bad else images[1]]
        else:
            inputs = [in_range(x[:, : 20 if bad else side]) for x in images]
        names = ("image",) if kind == "embed" else ("in0", "in1")
        inputs = {name: tf.constant(x) for name, x in zip(names, inputs, strict=False)}
        try:
            (found,) = loaded[kind](**inputs).values()
        except tf.errors.InvalidArgumentError:
            with lock:
                failed.append(i)
            return
        right = (embedded if kind == "embed" else expected)[side]
        if not np.allclose(found.numpy(), right, atol=2e-6, rtol=1e-5):
            wrong.append(i)

    with ThreadPoolExecutor(8) as pool:
        memory = []
        for _ in range(5):
            list(pool.map(request, range(100)))
            memory.append(resident_mib())
    assert wrong == []
    assert sorted(failed) == sorted([*range(0, 100, 20)] * 5)
    assert memory[-1] < memory[1] + 50, memory


@pytest.mark.parametrize(
    ("in0", "in1", "message"),
    [
        ([], [], "one file or more"),
        (["good"], ["good", "good"], "as many in in1"),
        (["good"], [b""], "content of PNG or JPEG"),
        (["good"], ["webp"], "content of PNG or JPEG"),
        (["good"], ["gif"], "content of PNG or JPEG"),
        (["good"], ["bmp"], "content of PNG or JPEG"),
        (["good"], ["small"], "the same shape"),
        (["small"], ["small"], "at least 31x31 pixels"),
    ],
)
def test_files_that_cannot_be_compared_are_refused(loaded, photos, in0, in1, message):
    def content(name):
        if isinstance(name, bytes):
            return name
        stream = io.BytesIO()
        image = Image.fromarray(photos[0][0][:20] if name == "small" else photos[0][0])
        image.save(stream, "PNG" if name in ("good", "small") else name)
        return stream.getvalue()

    encoded = loaded().signatures["encoded"]
    files = [tf.constant([content(name) for name in names], tf.string) for names in (in0, in1)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        encoded(in0=files[0], in1=files[1])


def test_files_of_several_sizes_have_their_distances_in_their_order(
    saved, loaded, photos, monkeypatch
):
    """Also where a size fills more than a batch."""
    metric, _ = saved()
    rng = np.random.default_rng(2)
    sides = rng.choice([40, 50, 64], 18)
    pairs = [[batch[i % 6, :side] for batch in photos] for i, side in enumerate(sides)]
    expected = [metric(x[None], y[None]).numpy()[0] for x, y in pairs]
    files = [tf.constant([png(pair[i]) for pair in pairs]) for i in (0, 1)]
    found = loaded().signatures["encoded"](in0=files[0], in1=files[1])["distance"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)
    lengths = []
    monkeypatch.setattr(encoded, "BATCH_PIXELS", 3 * 64 * 64)

    def means(in0, in1):
        lengths.append(tf.numpy_function(lambda x: len(x), [in0], tf.int64))
        return tf.reduce_mean(tf.cast(in1, tf.float32), axis=(1, 2, 3))

    found = encoded.distances_of_files(means, files[0], files[1], ())
    np.testing.assert_allclose(found, [y.mean() for _, y in pairs], rtol=1e-6)
    assert sum(map(int, lengths)) == 18
    assert max(map(int, lengths)) == 4  # of 40 x 64 pixels


@pytest.mark.slow
def test_maps_of_unequal_files_are_refused(loaded, photos):
    encoded = loaded(spatial=True).signatures["encoded"]
    files = tf.constant([png(photos[0][0]), png(photos[0][0][:40])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
        encoded(in0=files, in1=files)


def test_a_request_without_images_is_refused(loaded):
    signatures = loaded().signatures
    nothing = tf.zeros((0, 64, 64, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one image"):
        signatures["serving_default"](in0=nothing, in1=nothing)


@pytest.mark.parametrize("side", [1, 20, 22, 30])
def test_images_too_small_to_embed_are_refused(loaded, side):
    """Some of these sizes would end the process in TensorFlow's kernels."""
    signatures = loaded().signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 31x31"):
        signatures["embed"](image=tf.zeros((1, side, side, 3)))


def resident_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
