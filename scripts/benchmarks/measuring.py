"""Measures time and memory, and describes the machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import torch

from benchmarks.implementations import (
    BACKEND,
    DEVICE,
    ON_GPU,
    official_call,
    our_call,
    our_metric,
    random_images,
)
from lpips_tf._networks.features import Features

ROUNDS = 9


def medians(calls: dict[str, Callable], rounds: int = ROUNDS) -> dict[str, float]:
    """The median time of each call in milliseconds, over rounds that call each once."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():  # traces, compiles, allocates
        call(), call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def convolution_flops(net: str, count: int, side: int) -> float:
    """Floating-point operations of the convolutions for `count` pairs, a multiply-add being two."""
    backbone = our_metric(net).backbone
    layers = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    shapes = keras.Model(backbone.input, [layer.output for layer in layers]).compute_output_shape(
        (2 * count, side, side, 3)
    )
    return float(
        sum(2 * np.prod(shape) * np.prod(layer.kernel.shape[:3])
            for layer, shape in zip(layers, shapes, strict=True))
    )  # fmt: skip


def peak_flops(precision: str) -> float:
    """Operations per second of a large convolution in the faster of the two frameworks."""
    count, side, channels = (64, 128, 512) if ON_GPU else (4, 128, 256)
    layer = keras.layers.Conv2D(channels, 3, padding="same", dtype=_layer_dtype(precision))
    x = keras.ops.ones((count, side, side, channels), layer.compute_dtype)
    layer.build(x.shape)
    compiled = _compile_layer(layer)
    theirs = torch.nn.Conv2d(channels, channels, 3, padding=1).requires_grad_(False)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    theirs = theirs.to(DEVICE, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    y = torch.ones((count, channels, side, side), device=DEVICE, dtype=dtype)
    y = y.contiguous(memory_format=torch.channels_last)
    times = medians({
        "ours": lambda: float(keras.ops.cast(compiled(x)[0, 0, 0, 0], "float32")),
        "theirs": lambda: theirs(y)[0, 0, 0, 0].item(),
    })  # fmt: skip
    return 2 * 9 * channels**2 * count * side**2 / (min(times.values()) / 1e3)


def _layer_dtype(precision: str) -> str:
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"


def _compile_layer(layer: keras.Layer) -> Callable:
    if BACKEND == "jax":
        import jax

        variables = [v.value for v in layer.trainable_variables]
        compiled = jax.jit(lambda variables, x: layer.stateless_call(variables, [], x)[0])
        return lambda x: compiled(variables, x)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(layer)
    return layer


def backbone_share(net: str, count: int, side: int) -> float:
    """The share of a call's time in the two backbone passes; the rest compares features."""
    import tensorflow as tf

    metric, (in0, in1) = our_metric(net), random_images(count, side)
    features = Features(metric.backbone, True, metric.value_range, metric.compute_dtype)
    backbone = tf.function(
        lambda x, y: [metric.backbone(features.scale(image)) for image in (x, y)],
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)] * 2,
    )
    times = medians({
        "all": lambda: metric(in0, in1).numpy(),
        "backbone": lambda: backbone(in0, in1)[0][0].numpy(),
    })  # fmt: skip
    return times["backbone"] / times["all"]


def peak_memory(implementation: str, net: str, count: int, side: int, gradient: bool) -> float:
    """MiB by which a call raises the peak memory of a process of its own.

    The `implementation` is "nchw", "channels_last" or "ours".
    """
    arguments = [implementation, net, str(count), str(side), str(int(gradient))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measuring", *arguments],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _measure_memory(implementation: str, net: str, count: int, side: int, gradient: bool) -> None:
    def call_on(images: np.ndarray) -> Callable:
        if implementation == "ours":
            return our_call(net, images, "float32", gradient)
        channels_last = implementation == "channels_last"
        return official_call(net, images, "float32", channels_last, gradient)

    warm, call = call_on(random_images(1, 64)), call_on(random_images(count, side))
    warm()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status_mib("VmRSS")
    call()
    print(json.dumps(_status_mib("VmHWM") - before))


def _status_mib(field: str) -> float:
    """A field of this process's status in Linux, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def machine() -> str:
    """The date, the device and the versions that the figures belong to."""
    if ON_GPU:
        device = torch.cuda.get_device_name()
    else:
        info = Path("/proc/cpuinfo").read_text().splitlines()
        fields = {key.strip(): value for key, _, value in (line.partition(": ") for line in info)}
        flags = fields.get("flags", "").split()
        known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
        device = f"{os.cpu_count()} cores of {fields.get('model name', platform.machine())}"
        device += f" ({', '.join(known)})"
    backend = BACKEND
    versions = [f"{module.__name__} {module.__version__}" for module in (torch, keras)]
    versions.append(f"{backend} {__import__(backend).__version__}")
    python = f"Python {platform.python_version()}"
    return ", ".join([str(datetime.date.today()), device, python, *versions]) + "."


if __name__ == "__main__":  # a process of its own, for `peak_memory`
    _implementation, _net, _count, _side, _gradient = sys.argv[1:]
    _measure_memory(_implementation, _net, int(_count), int(_side), bool(int(_gradient)))
