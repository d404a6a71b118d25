"""Compares float32 gradients, official and ours, with the official ones in float64.

    python scripts/gradient_truth.py [--update]

The pairs are crops of examples/images and of their darkened, noisy, compressed and blurred copies,
with a seed of their own. Needs PyTorch and the official lpips (extra `parity`); takes some minutes.
"""

from __future__ import annotations

import argparse
import collections
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import numpy as np
import torch
from benchmarks import official
from benchmarks.gradients import gradient
from benchmarks.markdown_tables import table, update
from keras import ops
from PIL import Image

import lpips_tf

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
COPIES = ("darkened", "noisy", "compressed", "blurred")
SIZES = ((45, 61), (64, 64), (101, 83))
DRAWS = 3  # random places of a crop


def pairs(seed: int = 2024) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs (1, H, W, 3) of float32 in [-1, 1]."""
    rng = np.random.default_rng(seed)
    images = {
        name: np.asarray(Image.open(ROOT / f"examples/images/{name}.png").convert("RGB"))
        for name in ("reference", *COPIES)
    }
    height, width = images["reference"].shape[:2]
    found = []
    for size in SIZES:
        for name in COPIES:
            for _ in range(DRAWS):
                top, left = rng.integers(0, height - size[0]), rng.integers(0, width - size[1])
                x, y = (
                    images[which][None, top : top + size[0], left : left + size[1]]
                    / np.float32(127.5)
                    - 1
                    for which in ("reference", name)
                )
                found.append((x, y))
    return found


def theirs(metric: torch.nn.Module, x: np.ndarray, y: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The official gradient with respect to the first image."""
    in0, in1 = (torch.tensor(z.transpose(0, 3, 1, 2)).to(dtype) for z in (x, y))
    in0.requires_grad_()
    metric.to(dtype)(in0, in1).sum().backward()
    assert in0.grad is not None
    return in0.grad.numpy().transpose(0, 2, 3, 1)


def errors(net: str) -> list[list[str]]:
    """Rows of the table for a network: errors of gradients, as shares of the largest slope."""
    reference = official.pretrained_metric(net)
    single, double = lpips_tf.LPIPS(net), lpips_tf.LPIPS(net, dtype="float64")
    found: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for x, y in pairs():
        truth = theirs(reference, x, y, torch.float64)
        gradients = {
            "the official": theirs(reference, x, y, torch.float32),
            "this one": gradient(lambda a, y=y: ops.sum(single(a, y)), x),
            "this one, float64": gradient(
                lambda a, y=y: ops.sum(double(a, y.astype("float64"))), x.astype("float64")
            ),
        }
        differences = {name: slopes - truth for name, slopes in gradients.items()}
        differences["this one from the official"] = (
            gradients["this one"] - gradients["the official"]
        )
        for name, difference in differences.items():
            found[name].append(np.abs(difference).ravel() / np.abs(truth).max())
    return [
        [
            f"{net}, {name}",
            f"{max(error.max() for error in each):.1e}",
            f"{np.percentile(np.concatenate(each), 99):.1e}",
            f"{sum(error.max() > 1e-4 for error in each)} of {len(each)}",
        ]
        for name, each in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the table to docs/accuracy.md")
    arguments = parser.parse_args()
    rows = [row for net in ("alex", "vgg") for row in errors(net)]
    header = ["", "largest error", "99% stay below", "pairs with an error above 1e-4"]
    text = table(header, rows)
    print(text)
    if arguments.update:
        update(PAGE, "gradient-truth", text)


if __name__ == "__main__":
    main()
