"""PyTorch checkpoints of LPIPS and its backbones, read without running code from them.

`read_backbone` and `read_heads` return arrays by the names of this project's layers; `python -m
weights_conversion` writes them to weight files and compares the result with PyTorch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lpips_tf.weights.torch_checkpoints import read_backbone, read_heads

__all__ = ["read_backbone", "read_heads"]


def __getattr__(name: str) -> Any:
    """Imports the readers at first use, because they import Keras, which takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lpips_tf.weights import torch_checkpoints

    return getattr(torch_checkpoints, name)
