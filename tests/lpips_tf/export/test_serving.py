"""The documentation's requests to TensorFlow Serving, and the answers it shows."""

import json
import re
import subprocess

import grpc
import pytest
import stand_in_serving
import tensorflow as tf
from benchmarks.synthetic_bapps import png
from checking import ROOT
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

import lpips_tf
from lpips_tf import export

PAGE = (ROOT / "docs" / "export.md").read_text()


def blocks(language):
    section = PAGE.split("## TensorFlow Serving\n")[1].split("\n#")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    return stand_in_serving.Service(
        export.export_saved_model(lpips_tf.LPIPS(), folder, warmup=False)
    )


@pytest.mark.slow
def test_the_rest_request_of_the_page_gets_its_answer(service):
    _, command = blocks("bash")
    (answer,) = blocks("json")
    with stand_in_serving.rest_server(service) as port:
        assert "localhost:8501" in command
        command = command.replace("localhost:8501", f"127.0.0.1:{port}")
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout)["predictions"] == pytest.approx(
        json.loads(answer)["predictions"], rel=1e-5, abs=2e-6
    )


@pytest.mark.slow
def test_the_grpc_client_of_the_page_prints_its_answer(service, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    (client,) = blocks("python")
    assert len(client.split("\n\n")[1].splitlines()) <= 10
    with stand_in_serving.grpc_server(service) as port:
        assert "localhost:8500" in client
        exec(client.replace("localhost:8500", f"127.0.0.1:{port}"), {})
    (printed,) = re.findall(r"\d\.\d+", capsys.readouterr().out)
    (shown,) = re.findall(r"# \[(.*)\]", client)
    assert float(printed) == pytest.approx(float(shown), rel=1e-5, abs=2e-6)


def test_bad_images_are_invalid_arguments_of_grpc(service, photos):
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = "encoded"
    for name, file in (("in0", png(photos[0][0])), ("in1", b"no image")):
        request.inputs[name].CopyFrom(tf.make_tensor_proto([file]))
    with stand_in_serving.grpc_server(service) as port:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.Predict(request, timeout=60)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "image" in error.value.details().lower()
