"""How code runs at the moment: eagerly or traced, in which replica."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from lpips_tf._backend.keras_internals import global_state, torch_core

SCOPE = "stateless_scope"  # Keras' attribute for the innermost scope


def runs_eagerly(*tensors: Any) -> bool:
    """Whether TensorFlow is the backend and computes at once.

    It does not while a graph is traced or a Keras model is built from symbols.
    """
    symbols = any(isinstance(tensor, keras.KerasTensor) for tensor in tensors)
    if symbols or keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.executing_eagerly())


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Runs operations eagerly, even inside `tf.function`, `jax.jit` or Keras' shape inference.

    Weights that are loaded in such places would otherwise be symbolic, be loaded only when the
    graph runs, or be lost with the scope in which Keras collects assignments.
    """
    backend, scope = keras.backend.backend(), global_state.get_global_attribute(SCOPE)
    with contextlib.ExitStack() as stack:
        if backend == "tensorflow":
            import tensorflow as tf

            stack.enter_context(tf.init_scope())
        elif backend == "jax":
            import jax

            stack.enter_context(jax.ensure_compile_time_eval())
        elif backend == "torch":
            core = torch_core()
            if core.get_device() == "meta":
                stack.enter_context(core.device_scope(core.DEFAULT_DEVICE))
        stack.callback(global_state.set_global_attribute, SCOPE, scope)
        global_state.set_global_attribute(SCOPE, None)
        yield


def on_other_meta_device(tensor: Any) -> bool:
    """Whether a PyTorch tensor is on the device "meta", and Keras is not.

    Keras then moves it to its own device, with whatever stands in memory there as its values.
    """
    if keras.backend.backend() != "torch" or not getattr(tensor, "is_meta", False):
        return False
    return str(torch_core().get_device()) != "meta"


def replica() -> tuple[Any, int]:
    """Which replica this code runs in, and how many there are (`tf.distribute`)."""
    if keras.backend.backend() != "tensorflow":
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def is_traced(tensor: Any) -> bool:
    """Whether a tensor is symbolic: being traced, and without values.

    Tensors are symbolic in a function that is being traced, compiled or transformed, in a
    functional model under construction, and on PyTorch's device "meta".
    """
    if isinstance(tensor, (np.ndarray, keras.KerasTensor)):
        return isinstance(tensor, keras.KerasTensor)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return not tf.executing_eagerly()
    if backend == "jax":
        import jax

        return isinstance(tensor, jax.core.Tracer)
    import torch

    # PyTorch has no public name for whether `torch.func` transforms a function.
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    return isinstance(tensor, torch.Tensor) and tensor.is_meta
