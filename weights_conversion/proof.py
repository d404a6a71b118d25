"""Proof of a conversion: PyTorch with the checkpoint's tensors, Keras with the written file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from torch import nn

import lpips_tf
from lpips_tf.weights.torch_checkpoints import BACKBONE_LAYERS
from lpips_tf.weights.weight_files import Weights

# Where LPIPS taps torchvision's `features`: the end of each slice in the official
# pretrained_networks.py.
TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29), "squeeze": (1, 4, 7, 9, 10, 11, 12)}


class _Fire(nn.Module):
    """The module `Fire` of torchvision."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


# Convolutions as (in, out, size, stride, padding), the squares of max-pools between them.
_ALEX: list[Any] = [
    (3, 64, 11, 4, 2),
    3,
    (64, 192, 5, 1, 2),
    3,
    (192, 384, 3, 1, 1),
    (384, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
]
_VGG: list[Any] = [
    (3, 64, 3, 1, 1),
    (64, 64, 3, 1, 1),
    2,
    (64, 128, 3, 1, 1),
    (128, 128, 3, 1, 1),
    2,
    (128, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
    2,
    (256, 512, 3, 1, 1),
    (512, 512, 3, 1, 1),
    (512, 512, 3, 1, 1),
    2,
    (512, 512, 3, 1, 1),
    (512, 512, 3, 1, 1),
    (512, 512, 3, 1, 1),
]


def torch_features(network: str) -> nn.Sequential:
    """The `features` of a network of torchvision, up to the last tap.

    Its modules have the same indices, and so the same state dict.
    """
    if network == "squeeze":
        return nn.Sequential(
            nn.Conv2d(3, 64, 3, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _Fire(64, 16, 64),
            _Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _Fire(128, 32, 128),
            _Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _Fire(256, 48, 192),
            _Fire(384, 48, 192),
            _Fire(384, 64, 256),
            _Fire(512, 64, 256),
        )
    layers: list[nn.Module] = []
    for item in {"alex": _ALEX, "vgg": _VGG}[network]:
        layers += (
            [nn.MaxPool2d(item, 2)] if isinstance(item, int) else [nn.Conv2d(*item), nn.ReLU()]
        )
    return nn.Sequential(*layers)


def backbone_differences(
    written: Weights, path: Path, size: tuple[int, int] = (97, 131), images: int = 2
) -> dict[str, float]:
    """The largest difference between PyTorch and Keras at each tap.

    It is a share of the tap's largest value.

    Args:
        written: the checkpoint's weights; its kernels go to PyTorch in PyTorch's order.
        path: the weight file, which goes to Keras.
        size: height and width of the random images.
        images: their number.
    """
    torch_net = torch_features(written.network)
    state = {}
    for key, name in BACKBONE_LAYERS[written.network].items():
        state[f"{key}.weight"] = torch.tensor(
            written.arrays[f"{name}/kernel"].transpose(3, 2, 0, 1)
        )
        state[f"{key}.bias"] = torch.tensor(written.arrays[f"{name}/bias"])
    torch_net.load_state_dict(state)

    inputs = np.random.default_rng(0).normal(size=(images, *size, 3)).astype("float32")
    expected, x = [], torch.tensor(inputs.transpose(0, 3, 1, 2))
    with torch.no_grad():
        for i, layer in enumerate(torch_net):
            x = layer(x)
            if i in TAPS[written.network]:
                expected.append(x.numpy().transpose(0, 2, 3, 1))
    metric = lpips_tf.LPIPS(net=written.network, backbone_weights=path, lpips=False)
    received = [keras.ops.convert_to_numpy(features) for features in metric.backbone(inputs)]
    return {
        f"tap {i}": float(np.abs(a - b).max() / np.abs(a).max())
        for i, (a, b) in enumerate(zip(expected, received, strict=True))
    }


def head_differences(written: Weights, path: Path) -> dict[str, float]:
    """The largest difference between a 1x1 convolution in PyTorch and each head in Keras.

    It is a share of the head's largest value.
    """
    metric = lpips_tf.LPIPS(
        net=written.network, version=written.version, backbone_weights=None, head_weights=path
    )
    rng, differences = np.random.default_rng(0), {}
    for head in metric.heads:
        kernel = torch.tensor(written.arrays[f"{head.name}/kernel"])
        x = rng.random((2, 7, 5, head.channels), "float32")
        with torch.no_grad():
            expected = nn.functional.conv2d(
                torch.tensor(x.transpose(0, 3, 1, 2)), kernel[None, :, None, None]
            )[:, 0].numpy()
        received = keras.ops.convert_to_numpy(head(x)[..., 0])
        differences[head.name] = float(np.abs(expected - received).max() / np.abs(expected).max())
    return differences
