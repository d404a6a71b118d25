"""Videos, by the command and by loops over the official metric."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from skimage import data

from benchmarks import official
from lpips_tf import video
from lpips_tf.metric import LPIPS

SIDE = 256


def frames(count: int) -> Iterator[np.ndarray]:
    """Frames (256, 256, 3) that move over photographs."""
    photographs = [data.astronaut(), data.coffee(), data.rocket(), data.chelsea()]
    for number in range(count):
        image = photographs[number * len(photographs) // count]
        top, left = (number % (side - SIDE + 1) for side in image.shape[:2])
        yield np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])


def write_video(path: Path, source: Iterator[np.ndarray], quality: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(quality)})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for frame in source:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def read_video(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def video_rates(folder: Path, count: int, rounds: int) -> dict[str, float]:
    """Frames a second of a video against itself re-encoded, decoding included: medians."""
    paths = [folder / "reference.mp4", folder / "encoded.mp4"]
    write_video(paths[0], frames(count), 15)
    write_video(paths[1], read_video(paths[0]), 35)
    metric = LPIPS("alex", backbone_weights=None)
    theirs = official.random_metric("alex").requires_grad_(False)
    command = [sys.executable, "-m", "lpips_tf_cli", "video", *map(str, paths), "--json"]

    def ours() -> None:
        video.compare(metric, read_video(paths[0]), read_video(paths[1]))

    calls = {
        "official": lambda: official_video(theirs, paths, temporal=False),
        "official, tLPIPS": lambda: official_video(theirs, paths, temporal=True),
        "ours": ours,
        "command": lambda: subprocess.run(command, check=True, capture_output=True),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: count / statistics.median(found) for name, found in times.items()}


def official_video(metric: torch.nn.Module, paths: list[Path], temporal: bool) -> float:
    """LPIPS of each frame in a loop and, if asked for, tLPIPS by its definition."""
    distances, steps = [], []
    before: list[torch.Tensor] = []
    for pair in zip(read_video(paths[0]), read_video(paths[1]), strict=True):
        tensors = [official.to_nchw(frame[None]) for frame in pair]
        distances.append(metric(*tensors).item())
        if temporal and before:
            changes = [metric(x, y).item() for x, y in zip(before, tensors, strict=True)]
            steps.append(abs(changes[0] - changes[1]))
        before = tensors
    return sum(distances) + sum(steps)


def video_memory(folder: Path) -> tuple[float, float]:
    """The largest resident memory of this process in each half of a comparison, in MiB."""
    paths = [folder / "reference.mp4", folder / "encoded.mp4"]
    metric = LPIPS("alex", backbone_weights=None)
    sizes = []
    for _ in video.compared_frames(metric, read_video(paths[0]), read_video(paths[1])):
        resident = next(
            line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
        )
        sizes.append(int(resident.split()[1]) / 1024)
    half = len(sizes) // 2
    return max(sizes[:half]), max(sizes[half:])
