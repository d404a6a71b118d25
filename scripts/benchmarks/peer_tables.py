"""This project beside other runtimes: the time of a call, and that of the first ones."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import peers
from benchmarks.implementations import our_metric, random_images
from benchmarks.markdown_tables import table
from benchmarks.measuring import medians
from lpips_tf import export

RUNTIMES = ("torch.compile", "ONNX Runtime", "OpenVINO")
Case = tuple[str, int, int]  # network, pairs, side


def tables(cases: Mapping[str, Case]) -> str:
    """Tables of forward passes, of gradients, and of first calls.

    Args:
        cases: by the names of their rows.
    """
    forward, gradients, first = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases.items():
            path = Path(folder) / f"{case[0]}.onnx"
            if not path.exists():
                export.export_onnx(our_metric(case[0]), path)
            times, seconds = _measured(_starts(case[0], False, path), case)
            forward.append(_row(name, times))
            first.append(_seconds(name, seconds))
            times, seconds = _measured(_starts(case[0], True, path), case)
            gradients.append(_row(name, times))
            first.append(_seconds(f"{name}, gradient", seconds))
    header = ["", "lpips_tf (ms)", *RUNTIMES]
    return "\n\n".join([
        "Forward, float32: the time of lpips_tf, and the times of the others divided by it",
        table(header, forward),
        "Forward and gradient with respect to one image, float32",
        table(header[:3], gradients),
        "Seconds from the start of a runtime to its first result; and of the first call of another "
        "size",
        table(["", "lpips_tf", *RUNTIMES], first),
    ])  # fmt: skip


def _starts(net: str, gradient: bool, path: Path) -> dict[str, Callable[[], peers.Started]]:
    starts: dict[str, Callable[[], peers.Started]] = {
        "lpips_tf": functools.partial(peers.ours, net, gradient),
        "torch.compile": functools.partial(peers.torch_compile, net, gradient),
    }
    if not gradient:
        starts["ONNX Runtime"] = functools.partial(peers.onnx_runtime, path)
        starts["OpenVINO"] = functools.partial(peers.openvino, path)
    return starts


def _measured(
    starts: Mapping[str, Callable[[], peers.Started]], case: Case
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """The medians in milliseconds; the seconds to the first result, and of another size's first."""
    _, count, side = case
    images, others = random_images(count, side), random_images(count, side + 32)
    calls, seconds = {}, {}
    for name, start in starts.items():
        begun = time.perf_counter()
        on = start()
        calls[name] = on(images)
        calls[name]()
        first = time.perf_counter()
        on(others)()
        seconds[name] = (first - begun, time.perf_counter() - first)
    return medians(calls), seconds


def _row(name: str, times: Mapping[str, float]) -> list[str]:
    ours, *others = times.values()
    return [name, f"{ours:,.1f}", *(f"**{other / ours:.2f}**" for other in others)]


def _seconds(name: str, seconds: Mapping[str, tuple[float, float]]) -> list[str]:
    shown = [f"{first:.1f}; {other:.2f}" for first, other in seconds.values()]
    return [name, *shown, *["–"] * (1 + len(RUNTIMES) - len(shown))]
