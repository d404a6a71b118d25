"""What depends on the Keras backend; all else in the package is written in `keras.ops`."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras.src.backend import AutocastScope, in_stateless_scope  # of these Keras exports none
from keras.src.backend.common import global_state

SCOPE = "stateless_scope"  # Keras' attribute for the innermost one


class Compiled:
    """A function of images (N, H, W, 3) that an eager call under TensorFlow runs as one graph.

    The graph leaves batch, height and width open, so that it is traced once for each combination of
    dtypes and options, not for each size. Within a graph, and under the other backends, this is the
    plain function.

    No gradient is computed towards an image that no gradient tape watches, and nothing is kept for
    it.

    Args:
        function: of images, and of options by name.
        variables: list of the `keras.Variable`s that it reads; which of them are trainable may
            change what the graph is.
    """

    def __init__(self, function: Callable, variables: list):
        self._function = function
        self._variables = variables
        self._graphs: dict[Any, Callable] = {}

    def __call__(self, *images, **options):
        # A graph would keep the values of a scope around this call for all later ones.
        if not runs_eagerly(*images) or in_stateless_scope():
            return self._run(*images, **options)
        import tensorflow as tf

        images = tuple(tf.convert_to_tensor(image) for image in images)  # reads variables
        watched = _watched(images)
        trainable = tuple(variable.trainable for variable in self._variables)
        key = (watched, trainable, *(image.dtype for image in images), *options.items())
        if key not in self._graphs:

            def graph(*images):
                stopped = (
                    image if tape or not image.dtype.is_floating else tf.stop_gradient(image)
                    for image, tape in zip(images, watched, strict=True)
                )
                return self._run(*stopped, **options)

            signature = [tf.TensorSpec((None, None, None, 3), image.dtype) for image in images]
            self._graphs[key] = tf.function(
                functools.partial(graph),  # TensorFlow takes functions of one code for retraces
                input_signature=signature,
                autograph=False,
            )
        return self._graphs[key](*images)

    def _run(self, *images, **options):
        with AutocastScope(None):  # weights as they are, whatever the policy of a layer around
            if replica()[1] == 1:
                return self._function(*images, **options)
            return _of_empty_batches_too(self._function, images, options)


def _of_empty_batches_too(function: Callable, images: tuple, options: dict) -> Any:
    """What a function gives of batches, or of none an empty result: TensorFlow's convolutions do
    not take what a replica gets of a last batch that is smaller than the number of replicas.
    """
    import tensorflow as tf

    count = tf.shape(images[0])[0]
    added = [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]]
    results = function(*(tf.pad(image, added) for image in images), **options)
    return tf.nest.map_structure(lambda result: result[:count], results)


class CompiledByJax:
    """A stage of a computation that JAX compiles in an eager call, once for each shape, instead of
    compiling each of its operations. Elsewhere this is the plain function.

    A stage takes images of one batch, or what stages gave, so that equal images have exactly equal
    features: XLA rounds otherwise where it fuses both batches' last steps with their difference.

    Args:
        function: of arrays and lists of arrays, and of options by name. With options it may change
            variables, as dropout does, and is not compiled.
        variables: list of the `keras.Variable`s that it reads.
    """

    def __init__(self, function: Callable, variables: list):
        self._function = function
        self._variables = variables
        self._compiled: dict[tuple[bool, ...], Callable] = {}

    def __call__(self, *arrays, **options):
        if keras.backend.backend() != "jax" or options or in_stateless_scope():
            return self._function(*arrays, **options)
        import jax

        leaves = jax.tree.leaves(arrays)
        if any(isinstance(leaf, (jax.core.Tracer, keras.KerasTensor)) for leaf in leaves):
            return self._function(*arrays)
        trainable = tuple(variable.trainable for variable in self._variables)
        if trainable not in self._compiled:

            def stage(values, *arrays):
                mapping = list(zip(self._variables, values, strict=True))
                with keras.StatelessScope(mapping), AutocastScope(None):
                    return self._function(*arrays)

            self._compiled[trainable] = jax.jit(stage)
        return self._compiled[trainable]([v.value for v in self._variables], *arrays)


def _watched(images: tuple) -> tuple[bool, ...]:
    """For each eager tensor, whether a gradient may be asked for with respect to it."""
    try:  # TensorFlow has no public name for this; what it misses costs time only
        from tensorflow.python.ops.gradients_util import PossibleTapeGradientTypes
    except ImportError:
        return (True,) * len(images)
    return tuple(PossibleTapeGradientTypes([image]) > 0 for image in images)


def runs_eagerly(*tensors: Any) -> bool:
    """Whether TensorFlow is the backend and computes at once: no graph is traced, no Keras model
    is built from symbols.
    """
    symbols = any(isinstance(tensor, keras.KerasTensor) for tensor in tensors)
    if symbols or keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.executing_eagerly()


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """A scope in which all is computed at once, also within a function that is being traced, and
    where Keras tries shapes out.

    Weights that are loaded there would otherwise be symbols, or be loaded whenever a graph runs and
    only there, or be forgotten with the scope that Keras keeps assignments in.
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
            from keras.src.backend.torch import core

            if core.get_device() == "meta":
                stack.enter_context(core.device_scope(core.DEFAULT_DEVICE))
        stack.callback(global_state.set_global_attribute, SCOPE, scope)
        global_state.set_global_attribute(SCOPE, None)
        yield


def frozen_weights(variables: list) -> contextlib.AbstractContextManager:
    """A scope in which TensorFlow computes no gradients towards those of the variables that are
    frozen, and reads each of them once. It takes no assignments.

    A graph's gradient otherwise includes all that the graph reads. JAX and PyTorch are asked for
    each gradient by name.
    """
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    mapping = [(v, tf.stop_gradient(v.value)) for v in variables if not v.trainable]
    if in_stateless_scope():  # a scope hides the one around it
        mapping += [(v, v.value) for v in variables if v.trainable]
    return keras.StatelessScope(mapping)


def as_tensors(*images: Any, least_side: int) -> tuple:
    """Batches of images of one shape as tensors, in TensorFlow's graphs with a check of what is
    unknown of their shapes until the graph runs; symbols of Keras stay what they are.

    Other backends know all shapes when they trace. TensorFlow's kernels would broadcast one batch
    to another, and end the process where an image is too small to pool.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs.
    """
    if any(isinstance(image, keras.KerasTensor) for image in images):
        return images
    if keras.backend.backend() != "tensorflow":
        return tuple(keras.ops.convert_to_tensor(image) for image in images)
    import tensorflow as tf

    if not (tf.executing_eagerly() or tf.inside_function()):
        raise ValueError(
            "Expected eager execution or a tf.function. Received: images in a graph of TensorFlow 1"
        )
    tensors = [keras.ops.convert_to_tensor(image) for image in images]
    if not all(tensor.shape.is_fully_defined() for tensor in tensors):
        shape0, *shapes = [tf.shape(tensor) for tensor in tensors]
        conditions = [
            tf.Assert(
                tf.reduce_all(tf.equal(shape0, shape)),
                ["Expected images of the same shape. Received:", shape0, shape],
            )
            for shape in shapes
        ]
        least = f"Expected images of at least {least_side}x{least_side} pixels. Received:"
        conditions += [tf.Assert(tf.reduce_all(shape0[1:3] >= least_side), [least, shape0])]
        # A last batch may be too small for all replicas to get a part of it.
        if replica()[1] == 1:
            conditions += [
                tf.Assert(shape0[0] > 0, ["Expected at least one image. Received:", shape0])
            ]
        with tf.control_dependencies(conditions):
            tensors = [tf.ensure_shape(tensor, (None, None, None, 3)) for tensor in tensors]
    return tuple(tensors)


def nan_unless_comparable(results: Any, images: tuple, least_side: int) -> Any:
    """What was computed of `images`, with NaN in its place, and in the place of its gradient, where
    `as_tensors` raises an error when a TensorFlow graph runs: XLA drops such errors.
    """
    if keras.backend.backend() != "tensorflow":
        return results
    import tensorflow as tf

    if all(None not in image.shape for image in images):
        return results
    shape0, *shapes = [tf.shape(image) for image in images]
    right = tf.reduce_all(shape0[1:3] >= least_side)
    for shape in shapes:
        right &= tf.reduce_all(tf.equal(shape0, shape))
    valid = tf.where(right, 1.0, float("nan"))
    return tf.nest.map_structure(lambda result: result * tf.cast(valid, result.dtype), results)


def accurate_dtype() -> str:
    """float64, or float32 under JAX, which has no other unless it is asked for at its start."""
    return "float32" if keras.backend.backend() == "jax" else "float64"


def mean(x: Any, axis: int | tuple[int, ...], keepdims: bool = False) -> Any:
    """`keras.ops.mean`, which under JAX and PyTorch computes that of float64 in float32."""
    if keras.backend.backend() == "tensorflow" or str(x.dtype).removeprefix("torch.") != "float64":
        return keras.ops.mean(x, axis=axis, keepdims=keepdims)
    axes = (axis,) if isinstance(axis, int) else axis
    count = math.prod(x.shape[i] for i in axes)
    return keras.ops.sum(x, axis=axes, keepdims=keepdims) / count


def replica() -> tuple[Any, int]:
    """Which replica this code runs in, and how many there are (`tf.distribute`)."""
    if keras.backend.backend() != "tensorflow":
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def values(tensor: Any) -> np.ndarray | None:
    """The numbers in a tensor or array, or None while a graph is being traced, when it has none."""
    if isinstance(tensor, np.ndarray):
        return tensor
    return None if is_traced(tensor) else keras.ops.convert_to_numpy(tensor)


def is_traced(tensor: Any) -> bool:
    """Whether a tensor stands for numbers that it does not have: in a function that is being
    traced, compiled or transformed, in a model that is built from symbols, on PyTorch's device
    "meta".
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


def zero_padded(images: Any, pad: int) -> Any:
    """Images (N, H, W, C) with rows and columns of zeros at each side."""
    if keras.backend.backend() == "torch":  # which cannot compile `keras.ops.pad`
        import torch

        return torch.nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
    return keras.ops.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def resize_bilinear(maps: Any, size: tuple) -> Any:
    """Maps (N, h, w, C) resized to `size` (height, width) with half-pixel centres, as PyTorch's
    `align_corners=False`.
    """
    if keras.backend.backend() != "tensorflow":
        resize = keras.ops.image.resize
        return resize(maps, size, interpolation="bilinear", data_format="channels_last")
    # Keras' own resize refuses sizes that are known only when a graph runs.
    import tensorflow as tf

    if maps.dtype == tf.float64:  # of which TensorFlow's gives float32
        rows, columns = (_interpolation(tf.shape(maps)[i], size[i - 1]) for i in (1, 2))
        return tf.einsum("nhwc,yh,xw->nyxc", maps, rows, columns)
    return tf.cast(tf.image.resize(maps, size, method="bilinear"), maps.dtype)


def _interpolation(length: Any, size: Any) -> Any:
    """The matrix (size, length) in float64 that resizes an axis bilinearly."""
    import tensorflow as tf

    length, size = tf.cast(length, tf.float64), tf.cast(size, tf.float64)
    places = (tf.range(size) + 0.5) * length / size - 0.5
    places = tf.clip_by_value(places, 0, length - 1)
    return tf.maximum(1 - tf.abs(places[:, None] - tf.range(length)), 0)
