"""Custom gradients under TensorFlow that keep nothing alive."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def call(function: Callable[..., Any], *inputs: Any, specs: tuple[Any, ...]) -> Any:
    """Calls `tf.custom_gradient(function)(*inputs)` in a graph of its own.

    TensorFlow registers every custom gradient that it traces, and never frees what the gradient
    refers to: in the graph of a metric, all its weights. Here the gradient refers to a small graph
    that is traced once.

    Args:
        function: takes tensors, returns a result and a function of the result's gradient. It is
            known by its identity, so it must not be a temporary one.
        inputs: tensors.
        specs: a `tf.TensorSpec` for each input; each combination has a graph.
    """
    return _graph(function, specs)(*inputs)


@functools.cache
def _graph(function: Callable[..., Any], specs: tuple[Any, ...]) -> Callable[..., Any]:
    import tensorflow as tf

    with tf.init_scope():
        traced = tf.function(tf.custom_gradient(function), input_signature=specs, autograph=False)
        graph: Callable[..., Any] = traced.get_concrete_function()
        return graph
