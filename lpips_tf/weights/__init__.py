"""Weights of backbones and heads: finding, checking, loading and writing them."""

from lpips_tf.weights.loading import (
    has_backbone,
    has_heads,
    load_backbone,
    load_heads,
    variables,
    write_backbone,
    write_heads,
)

__all__ = [
    "has_backbone",
    "has_heads",
    "load_backbone",
    "load_heads",
    "variables",
    "write_backbone",
    "write_heads",
]
