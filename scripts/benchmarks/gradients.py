"""Gradients on any Keras backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def gradient(function: Callable, x: Any) -> np.ndarray:
    """The gradient of the scalar `function(x)` at the array x, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(function))(x))  # compiled, as is usual
    x = keras.ops.convert_to_tensor(x).requires_grad_(True)
    function(x).backward()
    return x.grad.cpu().numpy()
