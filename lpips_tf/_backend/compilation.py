"""Functions of images that eager calls run compiled."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import keras

from lpips_tf._backend.execution import replica, runs_eagerly
from lpips_tf._backend.keras_internals import AutocastScope, in_stateless_scope
from lpips_tf._backend.tensors import as_tensors, nan_unless_comparable, open_shape

RESULTS = "_lpips_tf_results"  # attribute of a graph with its reusable results


class Compiled:
    """A function of images (N, H, W, 3) that an eager call under TensorFlow runs as one graph.

    The graph leaves batch size, height and width open, so it is traced once for each combination of
    dtypes and options, not for each size. Within a graph, and under the other backends, this is the
    plain function.

    An image that no gradient tape watches gets no gradient, and nothing is stored for it.

    Args:
        function: of images, of a `mask` (N, H, W, 1) that may be left out, and of options by name.
        variables: list of the `keras.Variable`s that it reads; the graph may depend on which of
            them are trainable.
        min_size: the minimum height and width. A graph whose shapes are not static raises an error
            for smaller or unequal images when it runs; under XLA, which drops such errors, it
            returns NaN.
    """

    def __init__(
        self, function: Callable[..., Any], variables: list[keras.Variable], min_size: int = 1
    ) -> None:
        self._function = function
        self._variables = variables
        self._min_size = min_size
        self._graphs: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *images: Any, mask: Any = None, **options: Any) -> Any:
        masked = mask is not None
        if masked:
            images = (*images, mask)
        # A graph would keep the values of a scope around this call for all later ones.
        if not runs_eagerly(*images) or in_stateless_scope():
            trace = functools.partial(self._traced, masked, images, options)
            return self._once_a_graph(images, options, trace)
        import tensorflow as tf

        images = tuple(tf.convert_to_tensor(image) for image in images)  # reads variables
        watched = _watched(images)
        trainable = tuple(variable.trainable for variable in self._variables)
        dtypes = (image.dtype for image in images)
        key = (masked, watched, trainable, *dtypes, *options.items())
        if key not in self._graphs:

            def graph(*images: Any) -> Any:
                stopped = (
                    image if tape or not image.dtype.is_floating else tf.stop_gradient(image)
                    for image, tape in zip(images, watched, strict=True)
                )
                return self._run(masked, *stopped, **options)

            signature = [tf.TensorSpec(open_shape(image), image.dtype) for image in images]
            self._graphs[key] = tf.function(
                functools.partial(graph),  # TensorFlow counts functions of one code as retraces
                input_signature=signature,
                autograph=False,
            )
        return self._graphs[key](*images)

    def _traced(self, masked: bool, images: tuple[Any, ...], options: dict[str, Any]) -> Any:
        images = as_tensors(*images, min_size=self._min_size)
        found = self._run(masked, *images, **options)
        return nan_unless_comparable(found, images, self._min_size)

    def _once_a_graph(
        self, images: tuple[Any, ...], options: dict[str, Any], trace: Callable[[], Any]
    ) -> Any:
        """Traces a result, or reuses the one that this TensorFlow graph has for the same tensors.

        A training step calls its loss and then its metrics with the same tensors. A result is
        traced again if an image is a variable, if the graph assigns a weight, or if a gradient tape
        watches an image: the first trace may have been outside of the tape.
        """
        if keras.backend.backend() != "tensorflow" or in_stateless_scope():
            return trace()
        import tensorflow as tf

        graph = tf.compat.v1.get_default_graph()
        if not tf.inside_function() or not all(isinstance(image, tf.Tensor) for image in images):
            return trace()
        known: dict[Any, Any] = getattr(graph, RESULTS, {})
        setattr(graph, RESULTS, known)
        key = (id(self), *map(id, images), *options.items())
        if key not in known or any(_watched(images)) or not _only_read(self._variables, graph):
            known[key] = (self, images, trace())  # kept alive, so that ids stay unique
            return known[key][-1]
        # A tape that is paused (`stop_recording`) does not record the identity, so that the reused
        # result is a constant for it, as a traced one would be.
        return tf.nest.map_structure(tf.identity, known[key][-1])

    def _run(self, masked: bool, *images: Any, **options: Any) -> Any:
        def function(*images: Any) -> Any:
            if not masked:
                return self._function(*images, **options)
            return self._function(*images[:-1], mask=images[-1], **options)

        with AutocastScope(None):  # weights as they are, whatever the policy of a layer around
            if replica()[1] == 1:
                return function(*images)
            return _of_empty_batches_too(function, images)


def _of_empty_batches_too(function: Callable[..., Any], images: tuple[Any, ...]) -> Any:
    """Runs a function of batches that may be empty, with an empty result if they are.

    A replica gets an empty batch if the last batch is smaller than the number of replicas, and
    TensorFlow's convolutions refuse it.
    """
    import tensorflow as tf

    count = tf.shape(images[0])[0]
    added = [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]]
    results = function(*(tf.pad(image, added) for image in images))
    return tf.nest.map_structure(lambda result: result[:count], results)


class CompiledByJax:
    """A function that JAX compiles in an eager call, once for each shape.

    Otherwise JAX compiles each operation of the stage on its own. Outside of eager calls, and under
    the other backends, this is the plain function.

    A stage takes images of one batch, or results of other stages, so that equal images have exactly
    equal features: XLA rounds differently when it fuses the last steps of both batches with their
    difference.

    Args:
        function: of arrays and lists of arrays, and of options by name. With options it may change
            variables, as dropout does, and is not compiled.
        variables: list of the `keras.Variable`s that it reads.
    """

    def __init__(self, function: Callable[..., Any], variables: list[keras.Variable]) -> None:
        self._function = function
        self._variables = variables
        self._compiled: dict[tuple[bool, ...], Callable[..., Any]] = {}

    def __call__(self, *arrays: Any, **options: Any) -> Any:
        if keras.backend.backend() != "jax" or options or in_stateless_scope():
            return self._function(*arrays, **options)
        import jax

        leaves = jax.tree.leaves(arrays)
        if any(isinstance(leaf, (jax.core.Tracer, keras.KerasTensor)) for leaf in leaves):
            return self._function(*arrays)
        trainable = tuple(variable.trainable for variable in self._variables)
        if trainable not in self._compiled:

            def stage(values: list[Any], *arrays: Any) -> Any:
                mapping = list(zip(self._variables, values, strict=True))
                with keras.StatelessScope(mapping), AutocastScope(None):
                    return self._function(*arrays)

            self._compiled[trainable] = jax.jit(stage)
        return self._compiled[trainable]([v.value for v in self._variables], *arrays)


def _only_read(variables: list[keras.Variable], graph: Any) -> bool:
    """Whether variables are frozen, and a graph of TensorFlow assigns none of them."""
    inside = {id(outside): placeholder for outside, placeholder in graph.captures}
    handles = [inside.get(id(getattr(variable.value, "handle", None))) for variable in variables]
    return not any(variable.trainable for variable in variables) and all(
        op.type == "ReadVariableOp"
        for handle in handles
        if handle is not None  # or the graph does not use the variable
        for op in handle.consumers()
    )


def _watched(images: tuple[Any, ...]) -> tuple[bool, ...]:
    """For each eager tensor, whether a gradient may be asked for with respect to it."""
    try:  # private in TensorFlow; a tape that is missed only costs time
        from tensorflow.python.ops.gradients_util import PossibleTapeGradientTypes
    except ImportError:
        return (True,) * len(images)
    return tuple(PossibleTapeGradientTypes([image]) > 0 for image in images)


def frozen_weights(variables: list[keras.Variable]) -> contextlib.AbstractContextManager[Any]:
    """A scope in which TensorFlow computes no gradients with respect to frozen variables.

    The scope reads each frozen variable once, and takes no assignments. Otherwise a graph's
    gradient covers everything that the graph reads. JAX and PyTorch compute only the gradients that
    are asked for.
    """
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    mapping = [(v, tf.stop_gradient(v.value)) for v in variables if not v.trainable]
    if in_stateless_scope():  # a scope hides the one around it
        mapping += [(v, v.value) for v in variables if v.trainable]
    scope: contextlib.AbstractContextManager[Any] = keras.StatelessScope(mapping)
    return scope
