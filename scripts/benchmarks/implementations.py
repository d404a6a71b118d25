"""Calls of this project and of the official implementation, for the benchmark.

Each function returns a function that computes, and waits for the result. Weights are random, as the
time does not depend on them. Under JAX, this project is compiled with `jax.jit`, as is usual; under
TensorFlow, gradients are computed within a `tf.function`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import torch

import lpips_tf
from benchmarks import official

BACKEND = keras.backend.backend()
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"


def set_precision(precision: str) -> None:
    """Turns TF32 on or off for both implementations. CPUs have no TF32."""
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "float32")
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(tf32)


def official_call(
    net: str, images: np.ndarray, precision: str, channels_last: bool, gradient: bool = False
) -> Callable:
    """The official metric with frozen parameters on (2, N, H, W, 3) uint8 images.

    With `gradient` it computes the gradient of the mean towards the second images.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    metric = official.random_metric(net).requires_grad_(False)
    metric = metric.to(DEVICE, dtype=dtype, memory_format=layout)
    in0, in1 = (
        official.to_nchw(image).to(DEVICE, dtype=dtype).contiguous(memory_format=layout)
        for image in images
    )

    def forward() -> np.ndarray:
        with torch.inference_mode():
            return metric(in0, in1).float().cpu().numpy()

    def with_gradient() -> np.ndarray:
        in1.grad = None
        metric(in0, in1).mean().backward()
        assert in1.grad is not None
        return in1.grad.float().cpu().numpy()

    in1.requires_grad_(gradient)
    return with_gradient if gradient else forward


def official_all_pairs(images: np.ndarray, channels_last: bool) -> Callable:
    """The distances of all pairs, a call each, as in the official `lpips_1dir_allpairs.py`."""
    metric = official.random_metric("alex").requires_grad_(False).to(DEVICE)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    metric = metric.to(memory_format=layout)
    tensors = [
        official.to_nchw(image[None]).to(DEVICE).contiguous(memory_format=layout)
        for image in images
    ]

    def call() -> list[float]:
        with torch.inference_mode():
            return [metric(x, y).item() for x, y in itertools.combinations(tensors, 2)]

    return call


def our_metric(net: str, precision: str = "float32") -> lpips_tf.LPIPS:
    """This project's metric with random convolutions."""
    dtype = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    return lpips_tf.LPIPS(net, backbone_weights=None, dtype=dtype)


def our_call(
    net: str, images: np.ndarray, precision: str, gradient: bool = False, eagerly: bool = False
) -> Callable:
    """This project's metric on the same images, as floats in [-1, 1] like the official one's.

    With `eagerly` TensorFlow computes the gradient without a `tf.function`.
    """
    metric = our_metric(net, precision)
    in0, in1 = (keras.ops.convert_to_tensor(x.astype("float32") / 127.5 - 1) for x in images)
    if BACKEND == "jax":
        return _under_jax(metric, in0, in1, gradient)
    if not gradient:
        return lambda: keras.ops.convert_to_numpy(metric(in0, in1))
    import tensorflow as tf

    def with_gradient(in0: tf.Tensor, in1: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(in1)
            loss = tf.reduce_mean(metric(in0, in1))
        return tape.gradient(loss, in1)

    function = with_gradient if eagerly else tf.function(with_gradient)
    return lambda: function(in0, in1).numpy()


def _under_jax(metric: lpips_tf.LPIPS, in0: Any, in1: Any, gradient: bool) -> Callable:
    import jax

    def mean(in1: Any, variables: list, in0: Any) -> Any:
        return metric.stateless_call([], variables, in0, in1)[0].mean()

    def forward(in1: Any, variables: list, in0: Any) -> Any:
        return metric.stateless_call([], variables, in0, in1)[0]

    compiled = jax.jit(jax.grad(mean) if gradient else forward)
    variables = [v.value for v in metric.non_trainable_variables]
    return lambda: np.asarray(compiled(in1, variables, in0))


def training(net: str, count: int, side: int, steps: int) -> tuple[Callable, Callable]:
    """An epoch of a small model with LPIPS as its loss, by `fit` and by a custom training loop.

    The loop is a `tf.function` with a gradient tape.
    """
    import tensorflow as tf

    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(image))
    loss = our_metric(net)
    model.compile("adam", loss=loss)
    in0, in1 = random_images(count, side).astype("float32") / 127.5 - 1
    batches = tf.data.Dataset.from_tensors((in1, in0)).cache().repeat(steps).prefetch(2)
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread often delays the end of a data set
    batches = batches.with_options(options)
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            distance = tf.reduce_mean(loss(target, model(source, training=True)))
        gradients = tape.gradient(distance, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return distance

    def by_hand() -> float:
        for source, target in batches:
            distance = step(source, target)
        return float(distance)

    return lambda: model.fit(batches, shuffle=False, verbose=0), by_hand


def random_images(count: int, side: int) -> np.ndarray:
    """Random images, (2, count, side, side, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (2, count, side, side, 3), "uint8")
