"""ONNX and LiteRT files compute what the metric computes."""

import json

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from checking import assert_official, in_range, numbers
from tensorflow.lite.tools import flatbuffer_utils

import lpips_tf
from lpips_tf import export


@pytest.mark.slow
def test_exports_say_what_metric_they_are(tmp_path):
    expected = {
        "lpips_net": "alex", "lpips_version": "0.0", "lpips_heads": "false",
        "lpips_spatial": "true", "value_range": "0 255", "min_size": "31",
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


def onnx_run(path, in0, in1):
    return onnxruntime.InferenceSession(path).run(["distance"], {"in0": in0, "in1": in1})[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"spatial": True}, marks=pytest.mark.slow),
        pytest.param({"lpips": False}, marks=pytest.mark.slow),
        pytest.param({"value_range": (0, 255)}, marks=pytest.mark.slow),
    ],
)
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
        ({}, None, None, 1.01),
        pytest.param({"lpips": False}, None, None, 1.01, marks=pytest.mark.slow),
        pytest.param({"spatial": True}, None, None, 1.01, marks=pytest.mark.slow),
        pytest.param({}, "dynamic", 0.03, 0.26, marks=pytest.mark.slow),
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
