"""Times this project and the official PyTorch LPIPS, in turn in one process.

    python scripts/benchmark.py [--only all|peers|files|heads|onednn|speed] [--update BENCHMARKS.md]

Needs PyTorch, torchvision and lpips, for the other runtimes theirs (`pip install
".[parity,peers]"`), and a Keras backend: TensorFlow, or JAX with KERAS_BACKEND=jax. lpips_tf need
not be installed. If PyTorch finds a GPU, both implementations run there, in float32 with and
without TF32 and in bfloat16.

Each figure is the median over rounds in which every implementation is called once, so that a
machine whose speed drifts slows all of them. A ratio above 1 says how many times faster this
project is.
"""

from __future__ import annotations

import os

# Before PyTorch is imported: its idle OpenMP threads would spin, and slow TensorFlow.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command sets it
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import argparse
import functools
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import torch
from benchmarks import official
from benchmarks.implementations import (
    BACKEND,
    ON_GPU,
    official_all_pairs,
    official_call,
    our_call,
    our_metric,
    random_images,
    set_precision,
    training,
)
from benchmarks.markdown_tables import table, update
from benchmarks.measuring import (
    ROUNDS,
    backbone_share,
    convolution_flops,
    machine,
    medians,
    peak_flops,
    peak_memory,
)

import lpips_tf

CASES = [("alex", 50, 64), ("alex", 8, 256), ("vgg", 16, 64), ("vgg", 2, 256), ("squeeze", 8, 256)]
SINGLE_SIDES = {False: (64, 256, 1024), True: (64, 256, 512)}  # without and with the gradient
LARGE_ROUNDS = 3  # for sides above 256
MEMORY = [("alex", 8, 256), ("vgg", 2, 256), ("squeeze", 8, 256)]
TRAINING = [("alex", 16, 64), ("vgg", 4, 64)]
TRAINING_STEPS, TRAINING_ROUNDS = 8, 21
TRIPLETS, EVALUATION_ROUNDS = 2000, 5
HEADS_TRIPLETS, HEADS_EPOCHS = 4000, 10
FRAMES, FILES, FILE_ROUNDS = 1000, 300, 3
FOLDER_IMAGES = 40  # whose pairs are all compared
ALL_PAIRS = 60  # images of 64x64
PRECISIONS = ["float32", "tf32", "bfloat16"] if ON_GPU else ["float32"]
HEADER = ["", "official, NCHW (ms)", "official, channels-last (ms)", "lpips_tf (ms)",
          "ratio", "ratio to channels-last"]  # fmt: skip


def ratio_row(name: str, times: dict[str, float], *more: str) -> list[str]:
    nchw, nhwc, ours = (times[key] for key in ("nchw", "nhwc", "ours"))
    digits = 1 if ours < 100 else 0
    figures = [f"{t:,.{digits}f}" for t in (nchw, nhwc, ours)]
    return [name, *figures, f"**{nchw / ours:.2f}**", f"**{nhwc / ours:.2f}**", *more]


def case_name(net: str, count: int, side: int) -> str:
    return f"{net}, {count} pair{'s' if count > 1 else ''} of {side}²"


def compared_calls(
    net: str, images: np.ndarray, precision: str, gradient: bool = False, eagerly: bool = False
) -> dict[str, Callable]:
    return {
        "nchw": official_call(net, images, precision, False, gradient),
        "nhwc": official_call(net, images, precision, True, gradient),
        "ours": our_call(net, images, precision, gradient, eagerly),
    }


def forward_table(precision: str) -> str:
    peak = peak_flops(precision)
    rows = []
    for case in CASES:
        times = medians(compared_calls(case[0], random_images(*case[1:]), precision))
        share = convolution_flops(*case) / (times["ours"] / 1e3) / peak
        rows.append(ratio_row(case_name(*case), times, f"{share:.0%}"))
    title = f"Forward, {precision}; peak (a large convolution): {peak / 1e9:,.0f} GFLOP/s"
    return f"{title}\n\n" + table([*HEADER, "ours, share of peak"], rows)


def gradient_table(precision: str) -> str:
    rows = []
    for case in CASES:
        calls = compared_calls(case[0], random_images(*case[1:]), precision, gradient=True)
        rows.append(ratio_row(case_name(*case), medians(calls)))
    if BACKEND == "tensorflow" and precision == "float32":
        case = CASES[0]
        images = random_images(*case[1:])
        calls = compared_calls(case[0], images, precision, gradient=True, eagerly=True)
        rows.append(ratio_row(case_name(*case) + ", without tf.function", medians(calls)))
    return f"Forward and gradient with respect to one image, {precision}\n\n" + table(HEADER, rows)


def single_table(gradient: bool) -> str:
    """One pair, called without `tf.function`."""
    rows = []
    for net, side in itertools.product(("alex", "squeeze", "vgg"), SINGLE_SIDES[gradient]):
        calls = compared_calls(net, random_images(1, side), "float32", gradient, eagerly=True)
        times = medians(calls, LARGE_ROUNDS if side > 256 else ROUNDS)
        rows.append(ratio_row(case_name(net, 1, side), times))
    what = "Forward and gradient with respect to one image" if gradient else "Forward"
    return f"{what}, float32, a single pair, called eagerly\n\n" + table(HEADER, rows)


def bfloat16_table() -> str:
    """This project in bfloat16 and in float32."""
    rows = []
    for case in CASES:
        images = random_images(*case[1:])
        times = medians({
            f"{precision}{gradient}": our_call(case[0], images, precision, gradient)
            for gradient in (False, True) for precision in ("float32", "bfloat16")
        })  # fmt: skip
        row = [case_name(*case)]
        for gradient in (False, True):
            high, low = (times[f"{precision}{gradient}"] for precision in ("float32", "bfloat16"))
            row += [f"{high:,.1f}", f"{low:,.1f}", f"**{high / low:.2f}**"]
        rows.append(row)
    header = ["", "forward, float32 (ms)", "bfloat16 (ms)", "ratio",
              "with gradient, float32 (ms)", "bfloat16 (ms)", "ratio"]  # fmt: skip
    return "mixed_bfloat16 against float32, both lpips_tf\n\n" + table(header, rows)


def peers_tables() -> str:
    from benchmarks import peer_tables  # needs the extra `peers`

    return peer_tables.tables({case_name(*case): case for case in CASES})


def training_table() -> str:
    rows = []
    for case in TRAINING:
        fit, by_hand = training(*case, TRAINING_STEPS)
        times = medians({"fit": fit, "by hand": by_hand}, TRAINING_ROUNDS)
        steps = [f"{1e3 * TRAINING_STEPS / times[key]:.1f}" for key in ("by hand", "fit")]
        rows.append([case_name(*case), *steps, f"{times['by hand'] / times['fit']:.0%}"])
    header = ["", "tf.function with a tape (steps/s)", "fit (steps/s)", "fit's share"]
    return "Training a small model with LPIPS as its loss\n\n" + table(header, rows)


def other_table() -> str:
    images = random_images(1, 64)
    one = medians(compared_calls("alex", images, "float32"), 51)
    rows = [ratio_row("alex, one pair of 64², called eagerly", one)]
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


def evaluation_table() -> str:
    from benchmarks import bapps_evaluation  # needs TensorFlow Datasets

    with tempfile.TemporaryDirectory() as folder:
        bapps_evaluation.write_examples(Path(folder), TRIPLETS)
        times = medians(bapps_evaluation.calls(Path(folder), "alex"), EVALUATION_ROUNDS)
        files = medians(bapps_evaluation.calls_of_files(Path(folder), "alex"), EVALUATION_ROUNDS)
    rates = {key: 1e3 * TRIPLETS / time for key, time in (times | files).items()}
    ratios = [rates["ours"] / rates[key] for key in ("nchw", "nhwc")]
    row = ["alex", *(f"{rates[key]:,.0f}" for key in ("nchw", "nhwc", "ours"))]
    row += [*(f"**{ratio:.2f}**" for ratio in ratios)]
    row += [f"{rates[key]:,.0f}" for key in ("their input", "our input")]
    header = ["", "official, NCHW (triplets/s)", "official, channels-last (triplets/s)",
              "lpips_tf (triplets/s)", "ratio", "ratio to channels-last",
              "official input alone (triplets/s)", "ours (triplets/s)"]  # fmt: skip
    title = f"Evaluation on {TRIPLETS:,} triplets of BAPPS' format, from files, batches of 50"
    own = [f"{rates[key]:,.0f}" for key in ("tree", "table")]
    own_header = ["", "`--bapps-dir` (triplets/s)", "`--judgements` (triplets/s)", "ratio"]
    own_row = ["alex", *own, f"**{rates['table'] / rates['tree']:.2f}**"]
    return f"{title}\n\n{table(header, [row])}\n\n" + table(own_header, [own_row])


def heads_table() -> str:
    from benchmarks import bapps_training  # needs TensorFlow Datasets and TensorBoard

    with tempfile.TemporaryDirectory() as folder:
        times = bapps_training.seconds(Path(folder), HEADS_TRIPLETS, HEADS_EPOCHS)
    rows = []
    for key, name in (("ours", "from images"), ("cached", "with `--cache-features`")):
        row = [name, *(f"{times[side]:,.1f}" for side in ("nchw", "nhwc", key))]
        ratios = [times[side] / times[key] for side in ("nchw", "nhwc", "ours")]
        rows.append(row + [f"**{ratio:.1f}**" for ratio in ratios])
    header = ["alex", "official, NCHW (s)", "official, channels-last (s)", "lpips_tf (s)",
              "ratio", "ratio to channels-last", "ratio to lpips_tf from images"]  # fmt: skip
    title = (
        f"Training heads, {HEADS_EPOCHS} epochs of {HEADS_TRIPLETS:,} triplets, from files to the "
        "weights"
    )
    return f"{title}\n\n" + table(header, rows)


def files_tables() -> str:
    from benchmarks import programs, videos  # need PyAV

    with tempfile.TemporaryDirectory() as folder:
        rates = videos.video_rates(Path(folder), FRAMES, FILE_ROUNDS)
        first, second = videos.video_memory(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        seconds = programs.seconds(Path(folder), FILES, FOLDER_IMAGES, FILE_ROUNDS)
    rows = [
        [
            name,
            f"{rates[theirs]:.0f}",
            f"{rates[ours]:.0f}",
            f"**{rates[ours] / rates[theirs]:.1f}**",
        ]
        for name, theirs, ours in (
            ("LPIPS and tLPIPS", "official, tLPIPS", "ours"),
            ("LPIPS alone in the official loop", "official", "ours"),
            ("LPIPS and tLPIPS, `lpips-tf video` with its start", "official, tLPIPS", "command"),
        )
    ]
    header = ["alex", "official, in a loop (frames/s)", "lpips_tf (frames/s)", "ratio"]
    title = f"A video of {FRAMES:,} frames of 256² against itself re-encoded, decoding included"
    video = f"{title}\n\n" + table(header, rows)
    memory = (
        "The largest resident memory was "
        f"{first:,.0f} MiB in the first half of the video and {second:,.0f} MiB in the second."
    )
    return "\n\n".join([video, memory, programs_table(seconds)])


def programs_table(seconds: dict[str, tuple[float, ...]]) -> str:
    tasks = {
        "pair": "`pair`: two images",
        "dirs": f"`dirs`: two folders of {FILES} images",
        "all-pairs": f"`all-pairs`: a folder of {FOLDER_IMAGES} images",
        "imports": "imports alone",
    }
    rows = [
        [
            text,
            *(f"{time:.1f}" for time in seconds[task]),
            f"**{seconds[task][0] / seconds[task][1]:.1f}**",
        ]
        for task, text in tasks.items()
    ]
    title = "Whole programs on PNG files of 256², from their start to their end"
    return f"{title}\n\n" + table(["alex", "official script (s)", "`lpips-tf` (s)", "ratio"], rows)


def memory_table(gradient: bool) -> str:
    rows = []
    for case in MEMORY:
        figures = [peak_memory(key, *case, gradient) for key in ("nchw", "channels_last", "ours")]
        rows.append([case_name(*case), *(f"{figure:,.0f}" for figure in figures)])
    header = ["", "official, NCHW (MiB)", "official, channels-last (MiB)", "lpips_tf (MiB)"]
    call = "forward and gradient with respect to one image" if gradient else "a forward pass"
    title = f"Peak memory of {call}, above the memory of the process before it"
    return f"{title}\n\n" + table(header, rows)


def share_table() -> str:
    rows = [[case_name(*case), f"{backbone_share(*case):.0%}"] for case in CASES]
    return "Share of the backbones in lpips_tf's time, forward\n\n" + table(
        ["", "two passes of the backbone"], rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", type=Path, help="Markdown file whose section is replaced")
    parser.add_argument("--only", choices=["all", *PARTS], help="one of the sections")
    arguments = parser.parse_args()
    keras.config.disable_traceback_filtering()
    if arguments.only in (None, "all"):
        measure_all(arguments.update)
    for name, measure in PARTS.items() if BACKEND == "tensorflow" else ():
        if arguments.only == name or (arguments.only is None and name != "speed"):
            report = f"{machine()}\n\n{measure()}"
            print(report)
            if arguments.update:
                update(arguments.update, name, report)


def speed_tables() -> str:
    """The forward pass and the gradient in float32, of batches and of single pairs."""
    parts = [forward_table("float32"), gradient_table("float32")]
    return "\n\n".join(parts + [single_table(gradient) for gradient in (False, True)])


def onednn_tables() -> str:
    """`speed_tables` without TensorFlow's oneDNN kernels and with them."""
    found = []
    for switch in ("0", "1"):
        done = subprocess.run(
            [sys.executable, __file__, "--only", "speed"], check=True, text=True,
            capture_output=True, env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": switch},
        )  # fmt: skip
        found.append(
            f"`TF_ENABLE_ONEDNN_OPTS={switch}`\n\n{done.stdout.partition(chr(10))[2].strip()}"
        )
    return "\n\n".join(found)


PARTS = {
    "peers": peers_tables,
    "files": files_tables,
    "heads": heads_table,
    "onednn": onednn_tables,
    "speed": speed_tables,
}


def measure_all(path: Path | None) -> None:
    """Measures all but the training of heads, and updates the device's section of a file."""
    parts = [machine()]
    for precision in PRECISIONS:
        set_precision(precision)
        parts += [forward_table(precision), gradient_table(precision)]
    set_precision("float32")
    if not ON_GPU:
        parts.append(bfloat16_table())
    if BACKEND == "tensorflow":
        parts += [training_table(), evaluation_table(), share_table()]
    parts.append(other_table())
    if not ON_GPU:
        parts += [single_table(gradient) for gradient in (False, True)]
        parts += [memory_table(gradient=False), memory_table(gradient=True)]
    report = "\n\n".join(parts)
    print(report)
    if path:
        update(path, "gpu" if ON_GPU else "cpu", report)


if __name__ == "__main__":
    main()
