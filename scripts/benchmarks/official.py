"""The official PyTorch implementation (`lpips` 0.1.4), where it is installed."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "lpips"))


def import_lpips() -> ModuleType:
    """Imports `lpips`, even where torchvision was built for CUDA and PyTorch was not.

    torchvision's own operators are missing there, and declaring them would stop its import. lpips
    needs only its networks.
    """
    import torch

    register = torch.library.register_fake

    def register_others(op: Any, *arguments: Any, **options: Any) -> Callable:
        if str(op).startswith("torchvision::"):
            return lambda function: function
        return register(op, *arguments, **options)

    torch.library.register_fake = register_others
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import lpips
    finally:
        torch.library.register_fake = register
    return lpips


def random_metric(net: str, **options: Any) -> Any:
    """`lpips.LPIPS` in evaluation mode, with random convolutions that are the same each time."""
    lpips = import_lpips()
    import torch

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False, **options)


def to_nchw(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [-1, 1], as by the official `im2tensor`."""
    import torch

    return torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1).float()


def pretrained_metric(net: str) -> Any:
    """`lpips.LPIPS` with this project's convolutions, which need no download."""
    import torch

    import lpips_tf

    metric, state = random_metric(net), {}
    ours = lpips_tf.LPIPS(net)
    layers = [layer for layer in ours.backbone.layers if layer.weights]
    names = [name.removesuffix(".weight") for name in metric.net.state_dict() if "weight" in name]
    for name, layer in zip(names, layers, strict=True):
        kernel, bias = layer.get_weights()
        state[f"{name}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        state[f"{name}.bias"] = torch.from_numpy(bias)
    metric.net.load_state_dict(state)
    return metric.eval().requires_grad_(False)


def bapps_loader(
    folder: Path,
    parts: Sequence[str],
    answer: str,
    batch_size: int,
    workers: int,
    shuffle: bool = False,
) -> torch.utils.data.DataLoader:
    """A DataLoader of a split of BAPPS.

    Its steps are those of the official `twoafc_dataset.py` and `jnd_dataset.py`: Pillow decodes
    images, which are resized to 64x64 and become floats in [-1, 1].
    """
    import_lpips()
    import torch
    from PIL import Image
    from torchvision import transforms

    transform = transforms.Compose([
        transforms.Resize(64), transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ])  # fmt: skip
    names = sorted(path.stem for path in (folder / parts[0]).iterdir())

    class Split(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(names)

        def __getitem__(self, i: int) -> dict:
            images = {
                part: transform(Image.open(folder / part / f"{names[i]}.png").convert("RGB"))
                for part in parts
            }
            return images | {answer: np.load(folder / answer / f"{names[i]}.npy")}

    return torch.utils.data.DataLoader(
        Split(), batch_size=batch_size, num_workers=workers, shuffle=shuffle
    )
