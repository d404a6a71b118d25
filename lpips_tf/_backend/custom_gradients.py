"""Custom gradients under TensorFlow that keep nothing alive."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def call(function: Callable[..., Any], *inputs: Any, specs: tuple[Any, ...]) -> Any:
    """`tf.custom_gradient(function)(*inputs)`, from a graph of its own.

    TensorFlow registers each gradient that a graph is traced with, and what a gradient refers to is
    kept for ever: in the graph of a metric all its weights. In a graph of its own, which is made
    once, a gradient refers to that.

    Args:
        function: of tensors, to a result and a function of the result's gradient. Known by its
            identity, so it has to be one that stays.
        inputs: tensors.
        specs: a `tf.TensorSpec` for each of them; for each combination there is a graph.
    """
    return _graph(function, specs)(*inputs)


@functools.cache
def _graph(function: Callable[..., Any], specs: tuple[Any, ...]) -> Callable[..., Any]:
    import tensorflow as tf

    with tf.init_scope():
        traced = tf.function(tf.custom_gradient(function), input_signature=specs, autograph=False)
        graph: Callable[..., Any] = traced.get_concrete_function()
        return graph
