"""Answers TensorFlow Serving's requests in this process, for lack of its own server.

Requests and answers are Serving's protobufs; gRPC is its service definition. Only the reading of
JSON is ours, by https://www.tensorflow.org/tfx/serving/api_rest (the row format).
"""

import base64
import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, folder):
        self.signatures = tf.saved_model.load(str(folder)).signatures

    def answer(self, request):
        inputs = {name: tf.constant(tf.make_ndarray(x)) for name, x in request.inputs.items()}
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        name = request.model_spec.signature_name or "serving_default"
        for output, value in self.signatures[name](**inputs).items():
            response.outputs[output].CopyFrom(tf.make_tensor_proto(value))
        return response

    def Predict(self, request, context):  # noqa: N802, gRPC's name
        try:
            return self.answer(request)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)


def request_of_json(model, body, structure):
    """A REST body as a PredictRequest; `structure`: the signature's inputs by name."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = body.get("signature_name", "")
    rows = body["instances"]
    for name, spec in structure.items():
        values = [base64.b64decode(x["b64"]) if isinstance(x := row[name], dict) else x
                  for row in rows]  # fmt: skip
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, spec.dtype))
    assert {*structure} == {name for row in rows for name in row}
    return request


@contextlib.contextmanager
def grpc_server(service):
    """Its port."""
    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def rest_server(service):
    """Its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            model = self.path.removeprefix("/v1/models/").removesuffix(":predict")
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            signature = service.signatures[body.get("signature_name", "serving_default")]
            structure = signature.structured_input_signature[1]
            response = service.answer(request_of_json(model, body, structure))
            (output,) = response.outputs.values()  # a single one goes without its name
            answer = json.dumps({"predictions": tf.make_ndarray(output).tolist()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
