"""Other runtimes that compute LPIPS fast: torch.compile, ONNX Runtime, OpenVINO.

torch.compile takes the official metric, channels-last, and for forward passes freezes its weights,
so that its compiler may reorder them. ONNX Runtime and OpenVINO run this project's own export. All
use as many threads as the machine has cores.

Each function starts a runtime, and returns a function of images (2, N, H, W, 3) uint8 to a call
that computes their distances, or the gradient of the mean towards the second images.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import torch

from benchmarks import official
from benchmarks.implementations import our_metric

Call = Callable[[], np.ndarray]
Started = Callable[[np.ndarray], Call]


def torch_compile(net: str, gradient: bool) -> Started:
    """The official metric; other sizes are compiled once more."""
    import torch._inductor.config as inductor

    torch._dynamo.reset()
    metric = official.random_metric(net).requires_grad_(False).eval()
    run = torch.compile(metric.to(memory_format=torch.channels_last))

    def on(images: np.ndarray) -> Call:
        in0, in1 = (
            official.to_nchw(image).contiguous(memory_format=torch.channels_last)
            for image in images
        )
        in1.requires_grad_(gradient)

        def forward() -> np.ndarray:
            with torch.no_grad(), inductor.patch(freezing=True):
                return run(in0, in1).numpy()

        def with_gradient() -> np.ndarray:
            in1.grad = None
            run(in0, in1).mean().backward()
            assert in1.grad is not None
            return in1.grad.numpy()

        return with_gradient if gradient else forward

    return on


def ours(net: str, gradient: bool) -> Started:
    """This project, under TensorFlow: eager calls, and gradients within a `tf.function`."""
    import tensorflow as tf

    metric = our_metric(net)

    @tf.function(reduce_retracing=True)
    def slopes(in0: tf.Tensor, in1: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(in1)
            loss = tf.reduce_mean(metric(in0, in1))
        return tape.gradient(loss, in1)

    def on(images: np.ndarray) -> Call:
        in0, in1 = map(keras.ops.convert_to_tensor, _floats(images))
        return lambda: (slopes if gradient else metric)(in0, in1).numpy()

    return on


def onnx_runtime(path: Path) -> Started:
    """An ONNX file of `export`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def on(images: np.ndarray) -> Call:
        inputs = dict(zip(("in0", "in1"), _floats(images), strict=True))
        return lambda: session.run(None, inputs)[0]

    return on


def openvino(path: Path) -> Started:
    """An ONNX file of `export`, on the CPU in float32."""
    import openvino

    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": os.cpu_count(), "INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(path), "CPU", config)

    def on(images: np.ndarray) -> Call:
        inputs = dict(zip(("in0", "in1"), _floats(images), strict=True))
        return lambda: model(inputs)[0]

    return on


def _floats(images: np.ndarray) -> np.ndarray:
    return images.astype("float32") / np.float32(127.5) - 1
