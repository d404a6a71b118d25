"""A SavedModel computes what the metric computes, without this package."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from benchmarks.synthetic_bapps import png
from checking import assert_official, assert_official_gradient, in_range, numbers

import lpips_tf
from lpips_tf import export


@pytest.mark.parametrize("options", [{}, pytest.param({"lpips": False}, marks=pytest.mark.slow)])
def test_saved_model_equals_the_metric(saved, photos, options):
    metric, folder = saved(**options)
    expected, embedded = metric(*photos), metric.embed(photos[0])
    loaded = tf.saved_model.load(str(folder))
    floats = [tf.constant(in_range(batch)) for batch in photos]
    files = [tf.constant([png(image) for image in batch]) for batch in photos]
    signatures = loaded.signatures
    for inputs, name in ((floats, "serving_default"), (photos, "uint8"), (files, "encoded")):
        found = signatures[name](in0=tf.constant(inputs[0]), in1=tf.constant(inputs[1]))
        assert_official(found["distance"], numbers(expected))
    assert_official(loaded(*floats), numbers(expected))
    found = signatures["embed"](image=floats[0])["embedding"]
    np.testing.assert_allclose(numbers(found), numbers(embedded), atol=1e-6)
    for height, width in ((64, 33), (70, 101)):
        other = [in_range(batch[:1].repeat(2, 1).repeat(2, 2)[:, :height, :width])
                 for batch in photos]  # fmt: skip
        assert_official(loaded(*map(tf.constant, other)), numbers(metric(*other)))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    once = sum(v.value.shape.num_elements() * 4 for v in metric.variables)
    assert size <= once + 1.5 * 2**20  # for graphs


def gradient(function, in0, in1, **options):
    """Of the sum of distances towards `in1`, by a function that TensorFlow compiles."""

    @tf.function(**options)
    def compute(in0, in1):
        with tf.GradientTape() as tape:
            tape.watch(in1)
            total = tf.reduce_sum(function(in0, in1))
        return tape.gradient(total, in1)

    return compute(in0, in1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradients_through_the_saved_model_are_those_of_the_metric(saved, photos, jit_compile):
    metric, folder = saved()
    loaded = tf.saved_model.load(str(folder))
    pair = [tf.constant(in_range(batch)) for batch in photos]
    expected = gradient(metric, *pair, jit_compile=jit_compile)
    received = gradient(loaded, *pair, jit_compile=jit_compile)
    np.testing.assert_allclose(received, expected, atol=1e-6 * np.abs(expected).max())


def test_gradients_through_the_saved_model_are_the_official_ones(loaded, golden):
    loss = loaded()
    in0, in1 = (tf.constant(in_range(golden[name])) for name in ("odd0", "odd1"))
    with tf.GradientTape() as tape:
        tape.watch(in1)
        total = tf.reduce_sum(loss(in0, in1))
    assert tape.watched_variables() == ()  # its weights are frozen
    found, expected = tape.gradient(total, in1).numpy(), golden["alex/0.1/lpips/odd/gradient"]
    assert_official_gradient(found, expected)


@pytest.mark.parametrize("options", [{}, {"spatial": True}])
@pytest.mark.slow
def test_xla_compiles_gradients_once(saved, photos, options):
    """It would compile anew for each batch if the forward pass handed axes to the backward pass,
    as those have to be known while it compiles, and with them all that the forward pass is given.
    """
    loaded = tf.saved_model.load(str(saved(**options)[1]))

    @tf.function(jit_compile=True)
    def compiled(in0, in1):
        with tf.GradientTape() as tape:
            tape.watch(in1)
            total = tf.reduce_sum(loaded(in0, in1))
        return tape.gradient(total, in1)

    batches = [tf.constant(in_range(photos[1][i : i + 1])) for i in range(4)]
    seconds = []
    for batch in batches:
        start = time.perf_counter()
        compiled(batches[0], batch).numpy()
        seconds.append(time.perf_counter() - start)
    # A hundredth, so no machine is too noisy to see it.
    assert min(seconds[1:]) < seconds[0] / 4, seconds


def test_a_loaded_model_takes_what_the_metric_takes(saved, photos):
    metric, folder = saved()
    loaded, expected = tf.saved_model.load(str(folder)), metric(*photos)
    for convert in (np.asarray, tf.constant):
        assert_official(loaded(*map(convert, photos)), numbers(expected))
        assert_official(loaded(*(convert(in_range(x)) for x in photos)), numbers(expected))
    for wrong in (photos[1].astype("int32"), in_range(photos[1]), photos[1][..., 0]):
        with pytest.raises(ValueError, match="matching concrete function"):
            loaded(photos[0], wrong)


@pytest.mark.slow
def test_a_model_with_negative_heads_has_no_embedding(tmp_path, photos):
    metric = lpips_tf.LPIPS()
    kernel = metric.heads[0].get_weights()[0]
    metric.heads[0].set_weights([kernel - kernel.max() / 2])
    folder = export.export_saved_model(metric, tmp_path)
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "uint8", "encoded", "masked"}
    assert_official(loaded(*photos), numbers(metric(*photos)))


@pytest.mark.slow
def test_a_spatial_model_gives_maps_and_no_embedding(saved, photos):
    metric, folder = saved(spatial=True)
    signatures = tf.saved_model.load(str(folder)).signatures
    assert set(signatures) == {"serving_default", "uint8", "encoded", "masked"}
    found = signatures["uint8"](in0=tf.constant(photos[0]), in1=tf.constant(photos[1]))
    assert_official(found["distance"], numbers(metric(*photos)))


@pytest.mark.slow
def test_a_model_takes_images_of_the_value_range_of_its_metric(saved, photos):
    metric, folder = saved(value_range=(0, 1))
    loaded = tf.saved_model.load(str(folder))
    floats = [tf.constant(in_range(batch, 0, 1)) for batch in photos]
    assert_official(loaded(*floats), numbers(metric(*photos)))


@pytest.mark.slow
@pytest.mark.parametrize("spatial", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_model_takes_masks(saved, loaded, photos, spatial):
    metric, _ = saved(spatial=spatial)
    model = loaded(spatial=spatial)
    mask = np.random.default_rng(0).random((6, 64, 64)).astype("float32")
    mask[2] = 0
    mask[3, 0, 0] = -1
    floats = [tf.constant(in_range(batch)) for batch in photos]
    right = [0, 1, 4, 5]
    expected = numbers(metric(*(batch[right] for batch in photos), mask=mask[right]))
    masked = model.signatures["masked"]
    for found in (
        model(*floats, mask), model(*map(tf.constant, photos), mask),
        masked(in0=floats[0], in1=floats[1], mask=tf.constant(mask))["distance"],
    ):  # fmt: skip
        assert_official(numbers(found)[right], expected)
        assert np.isnan(numbers(found)[[2, 3]]).all()
    for wrong in (mask[:1], mask[:, 1:]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="the same shape"):
            masked(in0=floats[0], in1=floats[1], mask=tf.constant(wrong))


WITHOUT_PACKAGE = """
import sys
sys.modules["lpips_tf"] = None  # cannot be imported
import numpy as np, tensorflow as tf, keras

loss = tf.saved_model.load(sys.argv[1])
x = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
image = keras.Input((32, 32, 3))
model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(image))
model.compile(keras.optimizers.Adam(0.01), loss=loss)
losses = model.fit(x, x, epochs=8, batch_size=4, verbose=0).history["loss"]
assert losses[-1] < 0.8 * losses[0], losses

def perceptual(y_true, y_pred):
    return loss(y_true, y_pred)

model.compile("adam", loss=perceptual)
model.save("model.keras")  # Keras saves the names of functions
again = keras.saving.load_model("model.keras", compile=False)
assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))

layer = keras.layers.TFSMLayer(sys.argv[1], call_endpoint="serving_default")
assert layer.trainable_weights == []
"""


@pytest.mark.slow
def test_a_model_is_a_loss_without_this_package(saved, tmp_path):
    _, folder = saved()
    subprocess.run([sys.executable, "-P", "-c", WITHOUT_PACKAGE, folder], cwd=tmp_path, check=True)


# Runs TensorFlow's command with each of some lists of arguments.
SAVED_MODEL_CLI = """
import json, sys
from tensorflow.python.tools import saved_model_cli
for sys.argv[1:] in json.loads(sys.argv[1]):
    try:
        saved_model_cli.main()
    except SystemExit as end:
        assert not end.code
"""


@pytest.mark.slow
def test_saved_model_cli_runs_every_signature(saved, photos, tmp_path):
    """TensorFlow's own command, in a process without this package."""
    metric, folder = saved()
    names = {"serving_default": "in0", "uint8": "in0", "encoded": "in0", "masked": "in0",
             "embed": "image"}  # fmt: skip
    mask = np.random.default_rng(0).random((6, 64, 64)).astype("float32")
    np.savez(
        tmp_path / "inputs.npz", f0=in_range(photos[0]), f1=in_range(photos[1]), u0=photos[0],
        u1=photos[1], mask=mask, e0=[png(x) for x in photos[0]], e1=[png(x) for x in photos[1]],
    )  # fmt: skip
    file, calls = tmp_path / "inputs.npz", []
    for signature, first in names.items():
        letter = {"uint8": "u", "encoded": "e"}.get(signature, "f")
        inputs = f"{first}={file}[{letter}0]"
        if signature != "embed":
            inputs += f";in1={file}[{letter}1]"
        if signature == "masked":
            inputs += f";mask={file}[mask]"
        calls.append(
            ["run", "--dir", str(folder), "--tag_set", "serve", "--signature_def", signature,
             "--inputs", inputs, "--outdir", str(tmp_path / signature)]
        )  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", SAVED_MODEL_CLI, json.dumps(calls)], cwd=tmp_path, check=True,
        capture_output=True,
    )  # fmt: skip
    found, expected = np.load(tmp_path / "embed" / "embedding.npy"), metric.embed(photos[0])
    np.testing.assert_allclose(found, numbers(expected), atol=1e-6)
    for signature in ("serving_default", "uint8", "encoded"):
        assert_official(np.load(tmp_path / signature / "distance.npy"), numbers(metric(*photos)))
    expected = numbers(metric(*photos, mask=mask))
    assert_official(np.load(tmp_path / "masked" / "distance.npy"), expected)
