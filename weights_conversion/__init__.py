"""PyTorch checkpoints of LPIPS and its backbones, read without running code from them.

`read_backbone` and `read_heads` return arrays by the names of this project's layers; `python -m
weights_conversion` writes them to weight files and compares the result with PyTorch.
"""

from lpips_tf.weights.torch_checkpoints import read_backbone, read_heads

__all__ = ["read_backbone", "read_heads"]
