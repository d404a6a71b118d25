"""What is exported computes what the metric computes, without this package."""

import io
import json
import random
import re
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from benchmarks.synthetic_bapps import png
from checking import assert_official, assert_official_gradient, numbers
from PIL import Image
from tensorflow.lite.tools import flatbuffer_utils

import lpips_tf
from lpips_tf import export
from lpips_tf.export import warmup
from lpips_tf_cli import main

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
VARIANTS = [
    {"version": version, "lpips": lpips} for version in ("0.1", "0.0") for lpips in (True, False)
]


def in_range(images, low=-1, high=1):
    return (images / np.float32(255) * (high - low) + low).astype("float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """`saved(**options)`: a metric, and the folder of its SavedModel."""
    root, kept = tmp_path_factory.mktemp("saved"), {}

    def save(**options):
        key = tuple(sorted(options.items()))
        if key not in kept:
            metric = lpips_tf.LPIPS(**options)
            kept[key] = (metric, export.export_saved_model(metric, root))
        return kept[key]

    return save


@pytest.mark.parametrize("options", [*VARIANTS, {"net": "vgg"}])
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
    assert size <= 1.1 * sum(v.value.shape.num_elements() * 4 for v in metric.variables)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_gradients_through_the_saved_model(saved, photos, net):
    metric, folder = saved(net=net)
    loaded = tf.saved_model.load(str(folder))
    in0, in1 = (tf.constant(in_range(batch)) for batch in photos)

    def gradient(function, **options):
        @tf.function(**options)
        def compute(in0, in1):
            with tf.GradientTape() as tape:
                tape.watch(in1)
                total = tf.reduce_sum(function(in0, in1))
            return tape.gradient(total, in1)

        return compute(in0, in1).numpy()

    expected = gradient(metric)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(gradient(loaded), expected, atol=1e-6 * largest)
    compiled = gradient(loaded, jit_compile=True)
    np.testing.assert_allclose(compiled, gradient(metric, jit_compile=True), atol=1e-6 * largest)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_official_gradients_through_the_saved_model(saved, golden, net):
    loaded = tf.saved_model.load(str(saved(net=net)[1]))
    in0, in1 = (tf.constant(in_range(golden[name])) for name in ("odd0", "odd1"))
    with tf.GradientTape() as tape:
        tape.watch(in1)
        total = tf.reduce_sum(loaded(in0, in1))
    assert tape.watched_variables() == ()  # its weights are frozen
    found, expected = tape.gradient(total, in1).numpy(), golden[f"{net}/0.1/lpips/odd/gradient"]
    assert_official_gradient(found, expected)


@pytest.mark.parametrize("options", [{}, {"lpips": False}, {"spatial": True}])
def test_xla_compiles_gradients_once(saved, photos, options):
    """It would compile anew for each batch if the forward pass handed axes to the backward pass,
    as those have to be known while it compiles, and with them all that the forward pass is given.
    """
    loaded = tf.saved_model.load(str(saved(**options)[1]))

    @tf.function(jit_compile=True)
    def gradient(in0, in1):
        with tf.GradientTape() as tape:
            tape.watch(in1)
            total = tf.reduce_sum(loaded(in0, in1))
        return tape.gradient(total, in1)

    batches = [tf.constant(in_range(photos[1][i : i + 1])) for i in range(4)]
    seconds = []
    for batch in batches:
        start = time.perf_counter()
        gradient(batches[0], batch).numpy()
        seconds.append(time.perf_counter() - start)
    # A hundredth, so no machine is too noisy to see it.
    assert min(seconds[1:]) < seconds[0] / 4, seconds


def test_loaded_takes_what_the_metric_takes(saved, photos):
    metric, folder = saved()
    loaded, expected = tf.saved_model.load(str(folder)), metric(*photos)
    for convert in (np.asarray, tf.constant):
        assert_official(loaded(*map(convert, photos)), numbers(expected))
        assert_official(loaded(*(convert(in_range(x)) for x in photos)), numbers(expected))
    for wrong in (photos[1].astype("int32"), in_range(photos[1]), photos[1][..., 0]):
        with pytest.raises(ValueError, match="matching concrete function"):
            loaded(photos[0], wrong)


@pytest.mark.slow
def test_says_what_it_is(tmp_path):
    expected = {
        "lpips_net": "alex", "lpips_version": "0.0", "lpips_heads": "false",
        "lpips_spatial": "true", "value_range": "0 255", "least_side": "31",
    }  # fmt: skip
    metric = lpips_tf.LPIPS("alex", "0.0", lpips=False, spatial=True, value_range=(0, 255))
    folder = export.export_saved_model(metric, tmp_path / "saved", warmup=False)
    assert json.loads((folder / "assets.extra" / "lpips.json").read_text()) == expected
    export.export_litert(metric, tmp_path / "x.tflite")
    model = flatbuffer_utils.read_model(str(tmp_path / "x.tflite"))
    assert json.loads(model.description) == expected
    export.export_onnx(metric, tmp_path / "x.onnx")
    properties = onnxruntime.InferenceSession(tmp_path / "x.onnx").get_modelmeta()
    assert properties.custom_metadata_map == expected


def test_negative_heads_have_no_embedding(tmp_path, photos):
    metric = lpips_tf.LPIPS()
    kernel = metric.heads[0].get_weights()[0]
    metric.heads[0].set_weights([kernel - kernel.max() / 2])
    folder = export.export_saved_model(metric, tmp_path)
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "uint8", "encoded"}
    assert_official(loaded(*photos), numbers(metric(*photos)))


def test_two_exports_at_once(tmp_path):
    metric = lpips_tf.LPIPS()
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(export.export_saved_model, metric, tmp_path, warmup=False)
                for _ in range(2)]  # fmt: skip
    assert {run.result().name for run in runs} == {path.name for path in tmp_path.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}


@pytest.mark.slow
def test_a_full_disk(run_program, tmp_path, monkeypatch):
    """As far as a limit of a file's size is like one."""
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        found = [run_program(main.main, "export", *arguments) for arguments in
                 (["saved-model", "x"], ["onnx", "x.onnx"], ["litert", "x.tflite"])]  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for (code, out, err), path in zip(found, ("x/1", "x.onnx", "x.tflite"), strict=True):
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"Cannot write {path}: File too large" in err
    assert list(tmp_path.iterdir()) == []


def test_interrupted(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(warmup, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export.export_saved_model(lpips_tf.LPIPS(), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_maps(saved, photos):
    metric, folder = saved(spatial=True)
    signatures = tf.saved_model.load(str(folder)).signatures
    assert set(signatures) == {"serving_default", "uint8", "encoded"}
    found = signatures["uint8"](in0=tf.constant(photos[0]), in1=tf.constant(photos[1]))
    assert_official(found["distance"], numbers(metric(*photos)))


def test_value_range(saved, photos):
    metric, folder = saved(value_range=(0, 1))
    loaded = tf.saved_model.load(str(folder))
    floats = [tf.constant(in_range(batch, 0, 1)) for batch in photos]
    assert_official(loaded(*floats), numbers(metric(*photos)))


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
def test_is_a_loss_without_this_package(saved, tmp_path):
    _, folder = saved()
    subprocess.run([sys.executable, "-P", "-c", WITHOUT_PACKAGE, folder], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_saved_model_cli_runs_every_signature(saved, photos, tmp_path):
    """TensorFlow's own command, in a process without this package."""
    metric, folder = saved()
    names = {"serving_default": "in0", "uint8": "in0", "encoded": "in0", "embed": "image"}
    np.savez(
        tmp_path / "inputs.npz", f0=in_range(photos[0]), f1=in_range(photos[1]), u0=photos[0],
        u1=photos[1], e0=[png(x) for x in photos[0]], e1=[png(x) for x in photos[1]],
    )  # fmt: skip
    file = tmp_path / "inputs.npz"
    for signature, first in names.items():
        letter = {"serving_default": "f", "embed": "f", "uint8": "u", "encoded": "e"}[signature]
        inputs = f"{first}={file}[{letter}0]"
        if signature != "embed":
            inputs += f";in1={file}[{letter}1]"
        subprocess.run(
            [Path(sys.executable).parent / "saved_model_cli", "run", "--dir", folder, "--tag_set",
             "serve", "--signature_def", signature, "--inputs", inputs, "--outdir", tmp_path,
             "--overwrite"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
        if signature == "embed":
            found, expected = np.load(tmp_path / "embedding.npy"), metric.embed(photos[0])
            np.testing.assert_allclose(found, numbers(expected), atol=1e-6)
        else:
            assert_official(np.load(tmp_path / "distance.npy"), numbers(metric(*photos)))
            (tmp_path / "distance.npy").unlink()


def test_warm_up_requests_run(saved):
    from tensorflow_serving.apis import prediction_log_pb2

    _, folder = saved()
    signatures = tf.saved_model.load(str(folder)).signatures
    seen = []
    for record in tf.data.TFRecordDataset(
        str(folder / "assets.extra" / "tf_serving_warmup_requests")
    ):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        seen.append(request.model_spec.signature_name)
        inputs = {name: tf.constant(tf.make_ndarray(x)) for name, x in request.inputs.items()}
        outputs = signatures[seen[-1]](**inputs)
        assert np.isfinite(next(iter(outputs.values())).numpy()).all()
    assert set(seen) == set(signatures) and len(seen) == 4


@pytest.mark.slow
def test_bad_images_fail_their_request_only(saved, photos):
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
            list(pool.map(request, range(200)))
            memory.append(resident_mib())
    assert wrong == []
    assert sorted(failed) == sorted([*range(0, 200, 20)] * 5)
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
def test_files_that_are_refused(saved, photos, in0, in1, message):
    def content(name):
        if isinstance(name, bytes):
            return name
        stream = io.BytesIO()
        image = Image.fromarray(photos[0][0][:20] if name == "small" else photos[0][0])
        image.save(stream, "PNG" if name in ("good", "small") else name)
        return stream.getvalue()

    encoded = tf.saved_model.load(str(saved()[1])).signatures["encoded"]
    files = [tf.constant([content(name) for name in names], tf.string) for names in (in0, in1)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        encoded(in0=files[0], in1=files[1])


def test_maps_of_unequal_files_are_refused(saved, photos):
    encoded = tf.saved_model.load(str(saved(spatial=True)[1])).signatures["encoded"]
    files = tf.constant([png(photos[0][0]), png(photos[0][0][:40])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
        encoded(in0=files, in1=files)


def test_no_images(saved):
    signatures = tf.saved_model.load(str(saved()[1])).signatures
    nothing = tf.zeros((0, 64, 64, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one image"):
        signatures["serving_default"](in0=nothing, in1=nothing)


@pytest.mark.parametrize("side", [1, 20, 22, 30])
def test_images_too_small_to_embed(saved, side):
    """Some of these sizes would end the process in TensorFlow's kernels."""
    signatures = tf.saved_model.load(str(saved()[1])).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 31x31"):
        signatures["embed"](image=tf.zeros((1, side, side, 3)))


def resident_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def onnx_run(path, in0, in1):
    return onnxruntime.InferenceSession(path).run(["distance"], {"in0": in0, "in1": in1})[0]


@pytest.mark.parametrize("options", [*VARIANTS, {"spatial": True}, {"value_range": (0, 255)}])
def test_onnx_equals_the_metric(photos, tmp_path, options):
    metric, path = lpips_tf.LPIPS(**options), tmp_path / "metric.onnx"
    export.export_onnx(metric, path)
    floats = [in_range(batch, *metric.value_range) for batch in photos]
    assert_official(onnx_run(path, *floats), numbers(metric(*photos)))
    other = [x[:1, :50, :41] for x in floats]
    assert_official(onnx_run(path, *other), numbers(metric(*other)))
    inputs = onnxruntime.InferenceSession(path).get_inputs()
    assert [x.shape for x in inputs] == [["batch", "height", "width", 3]] * 2


def litert_run(path, in0, in1):
    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    return np.concatenate(
        [runner(in0=x[None], in1=y[None])["distance"] for x, y in zip(in0, in1, strict=True)]
    )


@pytest.mark.parametrize(
    ("options", "quantize", "error", "size"),
    [
        *((options, None, None, 1.01) for options in VARIANTS),
        ({"spatial": True}, None, None, 1.01),
        ({}, "dynamic", 0.03, 0.26),
        ({}, "float16", 5e-4, 0.51),
    ],
)
def test_litert_equals_the_metric(photos, tmp_path, options, quantize, error, size):
    metric, path = lpips_tf.LPIPS(**options), tmp_path / "metric.tflite"
    export.export_litert(metric, path, input_shape=(64, 48), quantize=quantize)
    photos = [batch[:, :, :48] for batch in photos]
    found = litert_run(path, *(in_range(batch) for batch in photos))
    if error is None:
        assert_official(found, numbers(metric(*photos)))
    else:
        np.testing.assert_allclose(found, numbers(metric(*photos)), atol=error)
        assert np.abs(found - numbers(metric(*photos))).max() > 1e-6  # it is quantised
    weights = 4 * sum(v.value.shape.num_elements() for v in metric.variables)
    assert path.stat().st_size < size * weights


@pytest.mark.slow
def test_version_numbers(tmp_path):
    metric = lpips_tf.LPIPS()
    for number, expected in ((None, "1"), (7, "7"), (None, "8")):
        folder = export.export_saved_model(metric, tmp_path / "new", number, warmup=False)
        assert folder == tmp_path / "new" / expected
    with pytest.raises(FileExistsError, match=r"a new version. There is .*/new/7 already"):
        export.export_saved_model(metric, tmp_path / "new", 7)
    for number in (0, 2**63):
        with pytest.raises(ValueError, match=rf"from 1 to {2**63 - 1}. Received: .*/{number}$"):
            export.export_saved_model(metric, tmp_path / "new", number)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"1", "7", "8"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["saved-model", "/proc/x"], 1, "Cannot write /proc/x/1"),
        (["saved-model", "x", "--model-version", "0"], 2, "Expected a number of at least 1"),
        (["saved-model", "x", "--value-range", "1", "1"], 1, "value_range"),
        (["saved-model", "x", "--baseline", "--head-weights", "y"], 2, "no --baseline with it"),
        (["onnx", "x.txt"], 2, "ends in .onnx. Received: x.txt"),
        (["onnx", "none/x.onnx"], 1, "Cannot write none/x.onnx"),
        (["litert", "x.tflite", "--size", "16", "64"], 1, "31x31 .*Received: 16x64"),
        (["litert", "x.tflite", "--size", "-1", "64"], 1, "31x31 .*Received: -1x64"),
        (
            ["saved-model", "x", "--model-version", str(2**63)],
            2,
            "Expected a number of at most 9223372036854775807",
        ),
        (["litert", "x.onnx"], 2, "ends in .tflite. Received: x.onnx"),
        (["caffe", "x"], 2, "No such command 'caffe'"),
    ],
)
def test_refuses(run_program, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    found, out, err = run_program(main.main, "export", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("tensorflow_serving", ["saved-model", "x"], "serving"),
        ("tf2onnx", ["onnx", "x.onnx"], "onnx"),
    ],
)
def test_names_the_extra(run_program, tmp_path, monkeypatch, module, arguments, extra):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    code, _, err = run_program(main.main, "export", *arguments)
    assert (code, err.count("\n")) == (1, 1)
    assert f'pip install "lpips-tf[{extra}]"' in err
    assert list(tmp_path.iterdir()) == []
