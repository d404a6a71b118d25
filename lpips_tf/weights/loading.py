"""Finds, checks and loads the weights of backbones and heads."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import h5py
import keras
import numpy as np
import numpy.typing as npt

from lpips_tf._support.arguments import shown
from lpips_tf.weights import downloads, weight_files
from lpips_tf.weights.torch_checkpoints import read_backbone, read_heads


class Network(Protocol):
    """A metric that has weights: an `lpips_tf.LPIPS`."""

    name: str
    net: str
    version: str
    lpips: bool
    backbone: keras.Model
    backbone_weights: str | None
    head_weights: str | None

    @property
    def heads(self) -> list[Any]:
        """One head for each layer of the backbone."""


def load_backbone(backbone: keras.Model, network: str, source: str | os.PathLike[str]) -> None:
    """Loads the convolutions of `network` ("alex", "vgg", "squeeze") into `backbone`.

    Args:
        source: "imagenet", or the path of a converted file or of a PyTorch checkpoint
            (`weights_conversion.read_backbone`).

    Raises:
        ValueError: a file of another network, of heads, or with arrays of other shapes.
        OSError: the file is missing or damaged, or SqueezeNet's weights could not be downloaded.
    """
    path = _backbone_path(network, source)
    _assign(backbone.layers, _arrays(path, "backbone", network), path)


def load_heads(
    heads: list[Any], network: str, version: str, source: str | os.PathLike[str]
) -> None:
    """Loads LPIPS heads of `network` and `version` ("0.1", "0.0") into `heads`.

    Args:
        source: "bapps", or the path of a converted file or of an lpips `.pth`
            (`weights_conversion.read_heads`).

    Raises:
        ValueError: a file of another network or version, of a backbone, or with negative weights.
        OSError: the file is missing or damaged.
    """
    path = _heads_path(network, version, source)
    arrays = _arrays(path, "heads", network, version)
    for name, array in arrays.items():
        if array.min() < 0:
            raise ValueError(
                f"Expected heads without negative weights, or a distance could be negative. "
                f"Received: {path} with {name} down to {array.min()}"
            )
    _assign(heads, arrays, path)


def has_backbone(backbone: keras.Model, network: str, source: str | os.PathLike[str]) -> bool:
    """Whether `load_backbone` would change nothing."""
    path = _backbone_path(network, source)
    return _holds(backbone.layers, path, "backbone", network)


def has_heads(heads: list[Any], network: str, version: str, source: str | os.PathLike[str]) -> bool:
    """Whether `load_heads` would change nothing."""
    path = _heads_path(network, version, source)
    return _holds(heads, path, "heads", network, version)


def write_heads(path: str | os.PathLike[str], metric: Network, source: str = "") -> None:
    """Writes the heads of a metric to a file that `LPIPS(head_weights=path)` takes.

    The file is written whole or not at all.

    Args:
        path: such as `heads.h5`.
        metric: its network and version are written too.
        source: where the weights come from, in words.

    Raises:
        ValueError: no metric, or one without heads.
        OSError: the file cannot be written.
    """
    _check_network(metric)
    if not metric.lpips:
        raise ValueError("Expected a metric with heads. Received: lpips=False")
    arrays = _arrays_of(metric.heads)
    weight_files.write(
        path, weight_files.Weights("heads", metric.net, arrays, metric.version, source)
    )


def write_backbone(path: str | os.PathLike[str], metric: Network, source: str = "") -> None:
    """Writes the convolutions of a metric to a file that `LPIPS(backbone_weights=path)` takes.

    The file is written whole or not at all.

    Args:
        path: such as `backbone.h5`.
        metric: its network is written too.
        source: where the weights come from, in words.

    Raises:
        ValueError: no metric.
        OSError: the file cannot be written.
    """
    _check_network(metric)
    arrays = _arrays_of(metric.backbone.layers)
    weight_files.write(path, weight_files.Weights("backbone", metric.net, arrays, source=source))


def variables(layers: list[Any]) -> dict[str, keras.Variable]:
    """The variables of layers, by their names in weight files: `layer/variable`."""
    return {
        f"{layer.name}/{variable.name}": variable for layer in layers for variable in layer.weights
    }


def _check_network(metric: Any) -> None:
    if not isinstance(getattr(metric, "backbone", None), keras.Model):
        raise ValueError(f"Expected an lpips_tf.LPIPS. Received: {shown(metric)}")


def _backbone_path(network: str, source: str | os.PathLike[str]) -> Path:
    if source != "imagenet":
        return Path(source)
    return downloads.squeezenet() if network == "squeeze" else _packaged(f"{network}_imagenet.h5")


def _heads_path(network: str, version: str, source: str | os.PathLike[str]) -> Path:
    return _packaged(f"{network}_bapps_{version}.h5") if source == "bapps" else Path(source)


def _holds(layers: list[Any], path: Path, *whose: str) -> bool:
    held = _arrays_of(layers)
    dtypes = tuple((name, array.dtype) for name, array in sorted(held.items()))
    return _digest(held) == _file_digest(path, path.stat().st_mtime_ns, dtypes, *whose)


# A model that is saved after each epoch asks each time; reading VGG16's file takes half a second.
@functools.lru_cache(maxsize=32)
def _file_digest(
    path: Path, modified: int, dtypes: tuple[tuple[str, np.dtype[Any]], ...], *whose: str
) -> bytes:
    arrays = _arrays(path, *whose)
    return _digest({name: arrays[name].astype(dtype) for name, dtype in dtypes})


def _digest(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.digest()


def _arrays_of(layers: list[Any]) -> dict[str, npt.NDArray[Any]]:
    return {name: keras.ops.convert_to_numpy(v) for name, v in variables(layers).items()}


def _packaged(name: str) -> Path:
    return Path(str(resources.files("lpips_tf") / "weights" / name))


def _arrays(
    path: Path, kind: str, network: str, version: str = ""
) -> Mapping[str, npt.NDArray[Any]]:
    """The arrays in a weight file or a PyTorch checkpoint, checked to be those of the network."""
    if path.is_dir():
        raise IsADirectoryError(f"Expected a weight file. Received a folder: {path}")
    if path.exists() and not h5py.is_hdf5(path):
        found, arrays = (read_backbone if kind == "backbone" else read_heads)(path)
        weights = weight_files.Weights(kind, found, arrays)
    else:
        weights = weight_files.read(path)
    if (weights.kind, weights.network) != (kind, network):
        raise ValueError(
            f"Expected {kind} weights of net={network!r}. "
            f"Received: {path} with {weights.kind} weights of net={weights.network!r}"
        )
    if version and weights.version not in ("", version):
        raise ValueError(
            f"Expected heads for version={version!r}. "
            f"Received: {path} with heads for version={weights.version!r}"
        )
    return weights.arrays


def _assign(layers: list[Any], arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Sets every variable of `layers` to the array of its name, after checking them all."""
    assigned = variables(layers)
    expected = {name: tuple(variable.shape) for name, variable in assigned.items()}
    received = {name: array.shape for name, array in arrays.items()}
    for name in sorted(expected.keys() | received.keys()):
        if expected.get(name) != received.get(name):
            raise ValueError(
                f"Expected {name} of shape {expected.get(name, 'none: no such array')}. "
                f"Received: {path} with shape {received.get(name, 'none: it is missing')}"
            )
        if not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"Expected finite weights. Received: {path} with NaN or infinity in {name}"
            )
    for name, variable in assigned.items():
        variable.assign(arrays[name])
