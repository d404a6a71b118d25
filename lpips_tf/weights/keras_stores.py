"""The weights of a metric in files that Keras saves.

Weights that come with the package are saved by name only, so that a model compiled with LPIPS does
not carry a copy of the backbone in each checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np

from lpips_tf.weights import loading
from lpips_tf.weights.loading import Network


class _Part(NamedTuple):
    layers: list[keras.layers.Layer]
    source: str | None  # where the configuration says that the weights come from
    name: str  # of the weights that come with the package
    has: Callable[[], bool]  # whether the layers hold just those
    load: Callable[[], None]


def save(metric: Network, store: Any) -> None:
    """Saves the weights of a metric in a Keras store, a mapping from names to arrays."""
    for kind, part in _parts(metric).items():
        if part.source == part.name and _true(part.has):
            store[kind] = np.frombuffer(part.name.encode(), np.uint8)
        else:
            for name, variable in loading.variables(part.layers).items():
                store[_key(name)] = variable


def load(metric: Network, store: Any) -> OSError | None:
    """Loads the weights of a metric from a Keras store.

    Returns:
        The error, if weights that were saved by name cannot be found.

    Raises:
        ValueError: weights are missing, or of other shapes.
    """
    error = None
    for kind, part in _parts(metric).items():
        if kind in store.keys():  # noqa: SIM118 (Keras' stores are no iterables)
            name = np.asarray(store[kind]).tobytes().decode(errors="replace")
            if name != part.name:
                raise ValueError(f"Expected {kind} weights {part.name!r}. Received: {name!r}")
            try:
                part.load()
            except OSError as cause:
                error = cause
        else:
            for name, variable in loading.variables(part.layers).items():
                if _key(name) not in store.keys():  # noqa: SIM118
                    raise ValueError(f"Expected saved weights of {metric.name}: {name} is missing")
                variable.assign(store[_key(name)])
    return error


def fingerprint(metric: Network) -> str | None:
    """A digest of a metric's weights, whatever their dtype; None if all come with the package."""
    digest, others = hashlib.sha256(), False
    for part in _parts(metric).values():
        if not (part.source == part.name and _true(part.has)):
            others = True
            for name, variable in sorted(loading.variables(part.layers).items()):
                digest.update(name.encode())
                array = keras.ops.convert_to_numpy(variable)
                digest.update(array.astype(np.float64).tobytes())  # equal in any dtype
    return digest.hexdigest() if others else None


def _parts(metric: Network) -> dict[str, _Part]:
    of_backbone = (metric.backbone, metric.net, "imagenet")
    of_heads = (metric.heads, metric.net, metric.version, "bapps")
    backbone = _Part(
        metric.backbone.layers,
        metric.backbone_weights,
        "imagenet",
        partial(loading.has_backbone, *of_backbone),
        partial(loading.load_backbone, *of_backbone),
    )
    heads = _Part(
        metric.heads,
        metric.head_weights,
        "bapps",
        partial(loading.has_heads, *of_heads),
        partial(loading.load_heads, *of_heads),
    )
    return {"backbone": backbone} | ({"heads": heads} if metric.lpips else {})


def _key(name: str) -> str:
    return name.replace("/", ".")  # a store would make a group of each part before a slash


def _true(has: Callable[[], bool]) -> bool:
    try:
        return has()
    except OSError:  # downloaded once, and gone now
        return False
