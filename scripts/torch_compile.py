"""Times `torch.compile` on the metric under PyTorch, for the table in docs/backends.md.

KERAS_BACKEND=torch TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 python scripts/torch_compile.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

import lpips_tf

ROUNDS = 9
SIZES = ((50, 64), (8, 256))  # pairs, and the side of their images


def timed(function: Callable, *arguments: torch.Tensor) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main() -> None:
    metric = lpips_tf.LPIPS()

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return metric(x, y)

    def gradient(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(metric(x, y).sum(), x)

    rng = np.random.default_rng(0)
    print("| pairs | what | compiling | compiled / not |\n|---|---|---|---|")
    for count, side in SIZES:
        shape = (count, side, side, 3)
        x, y = (torch.tensor(rng.uniform(-1, 1, shape).astype("float32")) for _ in range(2))
        x.requires_grad_()
        for function in (forward, gradient):
            torch.compiler.reset()
            distances = torch.compile(lambda a, b: metric(a, b), fullgraph=True)
            compiled = (
                torch.no_grad()(distances)
                if function is forward
                else lambda a, b, d=distances: torch.autograd.grad(d(a, b).sum(), a)
            )
            seconds = timed(compiled, x, y)
            both = [[timed(f, x, y) for f in (compiled, function)] for _ in range(ROUNDS)]
            fast, slow = (1e3 * statistics.median(times) for times in zip(*both, strict=True))
            print(f"| {count} of {side}² | {function.__name__} | {seconds:.0f} s "
                  f"| {fast:.0f} / {slow:.0f} ms |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
