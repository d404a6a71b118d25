"""The official PyTorch implementation (`lpips` 0.1.4), where it is installed."""

import importlib.util
import warnings

import numpy as np

INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "lpips"))


def import_lpips():
    """Imports `lpips`, also where torchvision was built for CUDA and PyTorch was not.

    torchvision's own operators are missing there, and the declarations that it makes of them would
    stop its import. lpips needs only its networks.
    """
    import torch

    register = torch.library.register_fake

    def register_others(op, *arguments, **options):
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


def random_metric(net, **options):
    """`lpips.LPIPS` with random convolutions, the same each time, in evaluation."""
    lpips = import_lpips()
    import torch

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False, **options)


def to_nchw(images):
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32 in [-1, 1], as the official `im2tensor` does."""
    import torch

    return torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1).float()
