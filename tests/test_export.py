"""What is exported computes what the metric computes, without this package."""

import random
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from conftest import assert_official, numbers
from made_bapps import png

import lpips_tf
from lpips_tf import export
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
    if net == "alex":
        compiled = gradient(loaded, jit_compile=True)
        np.testing.assert_allclose(
            compiled, gradient(metric, jit_compile=True), atol=1e-6 * largest
        )


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
"""


def test_is_a_loss_without_this_package(saved, tmp_path):
    _, folder = saved()
    subprocess.run([sys.executable, "-P", "-c", WITHOUT_PACKAGE, folder], cwd=tmp_path, check=True)


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
    session = onnxruntime.InferenceSession(path)
    assert [x.shape for x in session.get_inputs()] == [["batch", "height", "width", 3]] * 2
    properties = session.get_modelmeta().custom_metadata_map
    low, high = metric.value_range
    assert properties == {
        "lpips_net": "alex",
        "lpips_version": metric.version,
        "lpips_heads": str(metric.lpips).lower(),
        "lpips_spatial": str(metric.spatial).lower(),
        "value_range": f"{low:g} {high:g}",
    }


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


def test_version_numbers(tmp_path):
    metric = lpips_tf.LPIPS()
    for number, expected in ((None, "1"), (7, "7"), (None, "8")):
        folder = export.export_saved_model(metric, tmp_path / "new", number, warmup=False)
        assert folder == tmp_path / "new" / expected
    for number in (7, 0):
        with pytest.raises(ValueError, match=rf"new version from 1. Received: .*/{number}$"):
            export.export_saved_model(metric, tmp_path / "new", number)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"1", "7", "8"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["saved-model", "/proc/x"], 1, "Cannot write /proc/x/1"),
        (["saved-model", "x", "--model-version", "0"], 2, "greater than or equal to 1"),
        (["saved-model", "x", "--value-range", "1", "1"], 1, "value_range"),
        (["saved-model", "x", "--baseline", "--head-weights", "y"], 2, "no --baseline with it"),
        (["onnx", "x.txt"], 2, "ends in .onnx. Received: x.txt"),
        (["onnx", "none/x.onnx"], 1, "Cannot write none/x.onnx"),
        (["litert", "x.tflite", "--size", "16", "64"], 1, "31x31 .*Received: 16x64"),
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
