"""Where the time of a forward pass goes under TensorFlow: the share of each kind of operation.

    python scripts/profile_ops.py [--update BENCHMARKS.md]

Shares are of the summed times of all operations. The two images' passes run side by side, so the
sum exceeds the time that a person waits.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import collections
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tensorflow as tf
from report import table, update
from tensorflow.tsl.profiler.protobuf import xplane_pb2

import lpips_tf

CASES = [("alex", 50, 64), ("vgg", 2, 256), ("squeeze", 8, 256)]
CALLS = 10
KINDS = {
    "_MklNativeFusedConv2D": "convolution, bias, ReLU",
    "_MklNativePadWithFusedConv2D": "convolution, bias, ReLU",
    "_MklNativeMaxPool": "max-pool",
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


def operation_times(net: str, count: int, side: int) -> collections.Counter:
    """Seconds by kind of operation."""
    metric = lpips_tf.LPIPS(net, backbone_weights=None)
    in0, in1 = (tf.random.uniform((count, side, side, 3), -1, 1) for _ in range(2))
    metric(in0, in1)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(CALLS):
                metric(in0, in1).numpy()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    times: collections.Counter = collections.Counter()
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            node, _, operation = names[event.metadata_id].rpartition(":")
            # "node:Operation", not a C++ function or the whole graph
            if node and not node.endswith(":") and operation.isidentifier():
                times[KINDS.get(operation, "other")] += event.duration_ps / 1e12
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", type=Path, help="Markdown file whose section is replaced")
    arguments = parser.parse_args()
    columns = [operation_times(*case) for case in CASES]
    rows = [
        [kind, *(f"{column[kind] / column.total():.0%}" for column in columns)]
        for kind in dict.fromkeys([*KINDS.values(), "other"])
    ]
    report = table(["", *(f"{net}, {count} pairs of {side}²" for net, count, side in CASES)], rows)
    print(report)
    if arguments.update:
        update(arguments.update, "profile", report)


if __name__ == "__main__":
    main()
