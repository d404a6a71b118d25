"""Speed of this project against the official PyTorch LPIPS, in one process and in turn.

    python scripts/benchmark.py [--update BENCHMARKS.md]

Needs PyTorch, torchvision and lpips (`pip install ".[parity]"`), and a Keras backend: TensorFlow,
or with KERAS_BACKEND=jax JAX; not an installed lpips_tf. Where PyTorch sees a GPU both sides run
there, in float32 with and without TF32 and in bfloat16. Weights are random: the time does not
depend on them. Under JAX this project's side is compiled with `jax.jit`, as a user would.

Each figure is the median over rounds in which every side is called once, so that a machine whose
speed drifts slows all of them. A ratio above 1 says how many times faster this project is.
"""

from __future__ import annotations

import os

# Before PyTorch is imported: its idle OpenMP threads would spin, and slow the other side.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import argparse
import datetime
import functools
import itertools
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np
import official
import torch
from report import table, update

import lpips_tf

ROUNDS = 9
FORWARD = [
    ("alex", 50, 64),
    ("alex", 8, 256),
    ("vgg", 16, 64),
    ("vgg", 2, 256),
    ("squeeze", 8, 256),
]
MEMORY = [("alex", 8, 256), ("vgg", 2, 256), ("squeeze", 8, 256)]
ALL_PAIRS = 60  # images of 64x64
PRECISIONS = {False: ["float32"], True: ["float32", "tf32", "bfloat16"]}
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"


# The two sides. Each gives a function that computes and waits until the result is there.


def set_precision(precision: str) -> None:
    """Turns TF32 on or off, on both sides; CPUs know no TF32."""
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "float32")
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(tf32)


def official_call(net: str, images: np.ndarray, precision: str, channels_last: bool) -> Callable:
    """The official metric on (2, N, H, W, 3) uint8 images."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    metric = official.random_metric(net).requires_grad_(False)
    metric = metric.to(DEVICE, dtype=dtype, memory_format=layout)
    in0, in1 = (
        official.to_nchw(image).to(DEVICE, dtype=dtype).contiguous(memory_format=layout)
        for image in images
    )

    def call():
        with torch.inference_mode():
            return metric(in0, in1).float().cpu().numpy()

    return call


def our_metric(net: str, precision: str = "float32") -> lpips_tf.LPIPS:
    dtype = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    return lpips_tf.LPIPS(net, backbone_weights=None, dtype=dtype)


def our_call(net: str, images: np.ndarray, precision: str) -> Callable:
    """This project's metric on the same images, as floats in [-1, 1] like the other side's."""
    metric = our_metric(net, precision)
    in0, in1 = (keras.ops.convert_to_tensor(x.astype("float32") / 127.5 - 1) for x in images)
    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(lambda variables, x, y: metric.stateless_call([], variables, x, y)[0])
        variables = [v.value for v in metric.non_trainable_variables]
        return lambda: np.asarray(compiled(variables, in0, in1))
    return lambda: keras.ops.convert_to_numpy(metric(in0, in1))


def official_all_pairs(images: np.ndarray, channels_last: bool) -> Callable:
    """Every pair by its own call, as the official `lpips_1dir_allpairs.py` does."""
    metric = official.random_metric("alex").requires_grad_(False).to(DEVICE)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    metric = metric.to(memory_format=layout)
    tensors = [
        official.to_nchw(image[None]).to(DEVICE).contiguous(memory_format=layout)
        for image in images
    ]

    def call():
        with torch.inference_mode():
            return [metric(x, y).item() for x, y in itertools.combinations(tensors, 2)]

    return call


# Measuring


def medians(calls: dict[str, Callable], rounds: int = ROUNDS) -> dict[str, float]:
    """The median time of each call in milliseconds, the calls taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():  # traces, compiles, allocates
        call(), call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def random_images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, count, side, side, 3), "uint8")


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
    """Operations per second of a large convolution, the faster of the two frameworks."""
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


def _layer_dtype(precision):
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"


def _compile_layer(layer):
    if keras.backend.backend() == "jax":
        import jax

        variables = [v.value for v in layer.trainable_variables]
        compiled = jax.jit(lambda variables, x: layer.stateless_call(variables, [], x)[0])
        return lambda x: compiled(variables, x)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(layer)
    return layer


def backbone_share(net: str, count: int, side: int) -> float:
    """How much of a call's time the two passes of the backbone take; the rest compares features."""
    import tensorflow as tf

    metric, (in0, in1) = our_metric(net), random_images(count, side)
    backbone = tf.function(
        lambda x, y: [metric.backbone(metric._scale(image)) for image in (x, y)],
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)] * 2,
    )
    times = medians({
        "all": lambda: metric(in0, in1).numpy(),
        "backbone": lambda: backbone(in0, in1)[0][0].numpy(),
    })  # fmt: skip
    return times["backbone"] / times["all"]


def peak_memory(side: str, net: str, count: int, size: int) -> float:
    """MiB by which a forward pass raises the peak memory of a process of its own."""
    command = [sys.executable, __file__, "--memory-of", side, net, str(count), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure_memory(side: str, net: str, count: int, size: int) -> None:
    images = random_images(count, size)
    small = random_images(1, 64)
    if side == "ours":
        warm, call = our_call(net, small, "float32"), our_call(net, images, "float32")
    else:
        arguments = ("float32", side == "channels_last")
        warm, call = official_call(net, small, *arguments), official_call(net, images, *arguments)
    warm()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status_mib("VmRSS")
    call()
    print(json.dumps(_status_mib("VmHWM") - before))


def _status_mib(field: str) -> float:
    """A figure of this process in MiB, from Linux's account of it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


# The report


def ratio_row(name: str, times: dict[str, float], *more: str) -> list[str]:
    nchw, nhwc, ours = (times[key] for key in ("nchw", "nhwc", "ours"))
    digits = 1 if ours < 100 else 0
    figures = [f"{t:,.{digits}f}" for t in (nchw, nhwc, ours)]
    return [name, *figures, f"**{nchw / ours:.2f}**", f"**{nhwc / ours:.2f}**", *more]


def forward_tables() -> list[str]:
    parts = []
    for precision in PRECISIONS[ON_GPU]:
        set_precision(precision)
        peak = peak_flops(precision)
        rows = []
        for net, count, side in FORWARD:
            images = random_images(count, side)
            times = medians({
                "nchw": official_call(net, images, precision, False),
                "nhwc": official_call(net, images, precision, True),
                "ours": our_call(net, images, precision),
            })  # fmt: skip
            share = convolution_flops(net, count, side) / (times["ours"] / 1e3) / peak
            rows.append(ratio_row(f"{net}, {count} pairs of {side}²", times, f"{share:.0%}"))
        parts.append(
            f"Forward, {precision}; peak (a large convolution): {peak / 1e9:,.0f} GFLOP/s\n\n"
            + table([*HEADER, "ours, share of peak"], rows)
        )
    set_precision("float32")
    return parts


HEADER = ["", "official, NCHW (ms)", "official, channels-last (ms)", "lpips_tf (ms)",
          "ratio", "ratio to channels-last"]  # fmt: skip


def other_table() -> str:
    images = random_images(1, 64)
    one = {
        "nchw": official_call("alex", images, "float32", False),
        "nhwc": official_call("alex", images, "float32", True),
        "ours": our_call("alex", images, "float32"),
    }
    rows = [ratio_row("alex, one pair of 64², called eagerly", medians(one, 51))]
    images = random_images(ALL_PAIRS, 64)[0]
    metric = our_metric("alex")
    pairs = {
        "nchw": official_all_pairs(images, False),
        "nhwc": official_all_pairs(images, True),
        "ours": lambda: lpips_tf.distance_matrix(metric, images),
    }
    rows.append(ratio_row(f"alex, all pairs of {ALL_PAIRS} images of 64²", medians(pairs, 7)))
    for net in ("alex", "vgg"):
        build: dict[str, Callable] = {
            "nchw": functools.partial(official.random_metric, net),
            "nhwc": lambda net=net: official.random_metric(net).to(
                memory_format=torch.channels_last
            ),
            "ours": functools.partial(our_metric, net),
        }
        rows.append(ratio_row(f"{net}, construction with random weights", medians(build, 7)))
    return "Other, float32\n\n" + table(HEADER, rows)


def memory_table() -> str:
    rows = []
    for net, count, side in MEMORY:
        figures = [peak_memory(key, net, count, side) for key in ("nchw", "channels_last", "ours")]
        rows.append([f"{net}, {count} pairs of {side}²", *(f"{figure:,.0f}" for figure in figures)])
    header = ["", "official, NCHW (MiB)", "official, channels-last (MiB)", "lpips_tf (MiB)"]
    return "Peak memory of a forward pass, above what the process took before it\n\n" + table(
        header, rows
    )


def share_table() -> str:
    rows = [
        [f"{net}, {count} pairs of {side}²", f"{backbone_share(net, count, side):.0%}"]
        for net, count, side in FORWARD
    ]
    return "Share of the backbones in lpips_tf's time\n\n" + table(
        ["", "two passes of the backbone"], rows
    )


def machine() -> str:
    """What the figures were measured on."""
    if ON_GPU:
        device = torch.cuda.get_device_name()
    else:
        info = Path("/proc/cpuinfo").read_text().splitlines()
        fields = {key.strip(): value for key, _, value in (line.partition(": ") for line in info)}
        flags = fields.get("flags", "").split()
        known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
        device = f"{os.cpu_count()} cores of {fields.get('model name', platform.machine())}"
        device += f" ({', '.join(known)})"
    backend = keras.backend.backend()
    versions = [f"{module.__name__} {module.__version__}" for module in (torch, keras)]
    versions.append(f"{backend} {__import__(backend).__version__}")
    python = f"Python {platform.python_version()}"
    return ", ".join([str(datetime.date.today()), device, python, *versions]) + "."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", type=Path, help="Markdown file whose section is replaced")
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        side, net, count, size = arguments.memory_of
        return _measure_memory(side, net, int(count), int(size))
    keras.config.disable_traceback_filtering()
    parts = [machine(), *forward_tables(), other_table()]
    if not ON_GPU:
        parts.append(memory_table())
    if keras.backend.backend() == "tensorflow":
        parts.append(share_table())
    report = "\n\n".join(parts)
    print(report)
    if arguments.update:
        update(arguments.update, "gpu" if ON_GPU else "cpu", report)


if __name__ == "__main__":
    main()
