"""A convolution whose gradient with respect to images is faster than TensorFlow's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras

from lpips_tf._backend import custom_gradients, kernels
from lpips_tf._backend.tensors import zero_padded


@keras.saving.register_keras_serializable(package="lpips_tf")
class ImageConv2D(keras.layers.Conv2D):
    """A zero-padded, strided convolution with a bias and a ReLU, for images as input.

    TensorFlow's kernel for the gradient with respect to an image is slow, because three channels
    fill no vector register. Here the gradient is a convolution of stride 1 that gives the pixels of
    whole blocks, `strides` x `strides` x 3 numbers at once: a third of the time for AlexNet's first
    layer. The forward pass does not use blocks; it would be slower.

    Args:
        filters, kernel_size, strides: integers, as for `keras.layers.Conv2D`.
        pad: rows and columns of zeros at each side of the image.
        kwargs: other arguments of `keras.layers.Conv2D`, save `FIXED`.
    """

    FIXED = ("padding", "data_format", "dilation_rate", "groups", "activation", "use_bias")

    def __init__(
        self, filters: int, kernel_size: int, strides: int, pad: int, **kwargs: Any
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding="valid",
            data_format="channels_last",
            dilation_rate=1,
            groups=1,
            activation="relu",
            use_bias=True,
            **kwargs,
        )
        if strides * -(-kernel_size // strides) - strides < kernel_size - 1 - pad:
            raise ValueError(
                "Expected a kernel whose blocks cover the image. "
                f"Received: kernel_size={kernel_size}, strides={strides}, pad={pad}"
            )
        self.pad = pad

    def call(self, images: Any) -> Any:
        """(N, H, W, C) to (N, h, w, filters)."""
        if keras.backend.backend() == "tensorflow":
            return _with_block_gradient(images, self.kernel, self.bias, self.strides[0], self.pad)
        return super().call(zero_padded(images, self.pad))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for Keras to save."""
        config = super().get_config()
        numbers = {name: config[name][0] for name in ("kernel_size", "strides")}
        config = {name: value for name, value in config.items() if name not in self.FIXED}
        return config | numbers | {"pad": self.pad}

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(N, H, W, C) to (N, h, w, filters)."""
        count, *sides, channels = input_shape
        sides = [side and side + 2 * self.pad for side in sides]
        shape: tuple[int | None, ...] = super().compute_output_shape((count, *sides, channels))
        return shape


def _with_block_gradient(images: Any, kernel: Any, bias: Any, stride: int, pad: int) -> Any:
    """relu(convolution + bias) under TensorFlow, differentiable any number of times."""
    import tensorflow as tf

    images, kernel, bias = map(tf.convert_to_tensor, (images, kernel, bias))
    specs = (
        tf.TensorSpec((None, None, None, kernel.shape[2]), images.dtype),
        tf.TensorSpec(kernel.shape, kernel.dtype),
        tf.TensorSpec(bias.shape, bias.dtype),
    )
    function = _convolution(stride, pad, kernels.needs_depth(images))
    return custom_gradients.call(function, images, kernel, bias, specs=specs)


@functools.cache
def _convolution(stride: int, pad: int, depth: bool) -> Callable[..., Any]:
    """A function for `tf.custom_gradient`."""
    import tensorflow as tf

    def convolution(images: Any, kernel: Any, bias: Any) -> tuple[Any, Callable[..., Any]]:
        padded = zero_padded(images, pad)
        features = kernels.convolution(padded, kernel, bias, stride, "VALID", depth)

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            upstream = tf.raw_ops.ReluGrad(gradients=upstream, features=features)
            return (
                _image_gradient(upstream, kernel, stride)[:, pad:, pad:][
                    :, : tf.shape(images)[1], : tf.shape(images)[2]
                ],
                tf.raw_ops.Conv2DBackpropFilter(
                    input=padded,
                    filter_sizes=tf.shape(kernel),
                    out_backprop=upstream,
                    strides=[1, stride, stride, 1],
                    padding="VALID",
                ),
                tf.reduce_sum(upstream, axis=(0, 1, 2)),
            )

        return features, gradient

    return convolution


def _image_gradient(upstream: Any, kernel: Any, stride: int) -> Any:
    """The gradient with respect to the padded images, up to the last block that the kernel touches.

    With the kernel's side a multiple of the stride, position (i, j) of the convolution reads blocks
    i, i + 1, … and j, j + 1, … of stride x stride pixels: a convolution of blocks, of stride 1.
    """
    import tensorflow as tf

    side, channels, filters = kernel.shape[0], kernel.shape[2], kernel.shape[3]
    blocks = -(-side // stride)
    kernel = tf.pad(
        kernel, ((0, blocks * stride - side), (0, blocks * stride - side), (0, 0), (0, 0))
    )
    kernel = tf.reshape(kernel, (blocks, stride, blocks, stride, channels, filters))
    kernel = tf.transpose(kernel, (0, 2, 1, 3, 4, 5))
    kernel = tf.reshape(kernel, (blocks, blocks, stride * stride * channels, filters))
    count, height, width = tf.unstack(tf.shape(upstream)[:3])
    height, width = height + blocks - 1, width + blocks - 1
    shape = (count, height, width, stride * stride * channels)
    gradient = tf.nn.conv2d_transpose(upstream, kernel, shape, 1, "VALID")
    # Blocks to pixels: the rows of a block follow one another, not those of its neighbour.
    gradient = tf.reshape(gradient, (count * height, width, stride, stride * channels))
    gradient = tf.transpose(gradient, (0, 2, 1, 3))
    return tf.reshape(gradient, (count, height * stride, width * stride, channels))
