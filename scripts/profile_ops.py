"""Measures each kind of operation's share of the time under TensorFlow.

There is a table for a forward pass, and one for a pass with the gradient with respect to one image.

    python scripts/profile_ops.py [--update BENCHMARKS.md]

Shares are of the sum of all operations' times. The passes of the two images run side by side, so
the sum exceeds the time that a call takes.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import collections
import itertools
import tempfile
from pathlib import Path

import tensorflow as tf
from benchmarks.implementations import our_call, random_images
from benchmarks.markdown_tables import table, update
from tensorflow.tsl.profiler.protobuf import xplane_pb2

CASES = [("alex", 50, 64), ("vgg", 2, 256), ("squeeze", 8, 256)]
CALLS = 10
KINDS = {  # of a forward pass
    "_MklNativeFusedConv2D": "convolution, bias, ReLU",
    "_MklNativePadWithFusedConv2D": "convolution, bias, ReLU",
    "_MklNativeConv2DBackpropInput": "convolution, backward",
    "_MklNativeMaxPool": "max-pool",
    "_MklNativeMaxPoolGrad": "max-pool, backward",
    "ReluGrad": "ReLU, backward",
    "Pad": "padding",
    "ConcatV2": "concatenation",
    "Square": "norms",
    "Sum": "norms",
    "Mul": "normalisation and heads",
    "SquaredDifference": "difference and mean",
    "Mean": "difference and mean",
    "Sub": "scaling of images",
    "RealDiv": "scaling of images",
}
BOTH_WAYS = {kind for kind in KINDS.values() if "convolution" in kind or "max-pool" in kind}
BOTH_WAYS |= {"ReLU, backward", "padding", "concatenation"}


def operation_times(net: str, count: int, side: int, gradient: bool) -> collections.Counter:
    """Seconds by kind of operation."""
    call = our_call(net, random_images(count, side), "float32", gradient)
    call(), call()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(CALLS):
                call()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    times: collections.Counter = collections.Counter()
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            node, _, operation = names[event.metadata_id].rpartition(":")
            # "node:Operation", not a C++ function or the whole graph
            if node and not node.endswith(":") and operation.isidentifier():
                kind = KINDS.get(operation, "other")
                if gradient and kind not in BOTH_WAYS:
                    kind = "scaling of images and comparison of features, both ways"
                times[kind] += event.duration_ps / 1e12
    return times


def shares(gradient: bool) -> str:
    columns = [operation_times(*case, gradient) for case in CASES]
    kinds = dict.fromkeys([*KINDS.values(), "other", *itertools.chain(*columns)])
    rows = [
        [kind, *(f"{column[kind] / column.total():.0%}" for column in columns)]
        for kind in kinds if any(column[kind] for column in columns)
    ]  # fmt: skip
    return table(["", *(f"{net}, {count} pairs of {side}²" for net, count, side in CASES)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", type=Path, help="Markdown file whose sections are replaced")
    arguments = parser.parse_args()
    for section, gradient in (("profile", False), ("profile-gradient", True)):
        report = shares(gradient)
        print(report)
        if arguments.update:
            update(arguments.update, section, report)


if __name__ == "__main__":
    main()
