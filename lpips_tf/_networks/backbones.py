"""The convolutional networks whose features LPIPS compares, as torchvision defines them.

Each function returns a `keras.Model` from images (N, H, W, 3), already scaled as the network
expects, to the list of features (N, h, w, C) that LPIPS taps: outputs of a ReLU, or of a fire
module's two. Layers are named as in the weight files.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from lpips_tf._networks import float16
from lpips_tf._networks.convolution import Conv2D
from lpips_tf._networks.image_convolution import ImageConv2D

NHWC = "channels_last"

Initializer = Callable[[], keras.initializers.Initializer]


def alexnet(dtype: Any = None) -> keras.Model:
    """AlexNet up to conv5, tapped after each of its five ReLUs.

    The layers are those of torchvision's `alexnet().features`.

    Reference:
        Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014).
    """
    conv = functools.partial(_convolution, initializer=_torch_default, dtype=dtype)
    pool = functools.partial(layers.MaxPooling2D, 3, strides=2, data_format=NHWC)
    first = _of_images(dtype)
    image = _image(first)
    conv1 = ImageConv2D(
        64, 11, strides=4, pad=2, kernel_initializer=_torch_default(), name="conv1", dtype=first
    )
    relu1 = conv1(image)
    pool1 = _lowered(pool(name="pool1", dtype=first)(relu1), dtype)
    relu2 = conv("conv2", 192, 5)(pool1)
    relu3 = conv("conv3", 384, 3)(pool(name="pool2", dtype=dtype)(relu2))
    relu4 = conv("conv4", 256, 3)(relu3)
    relu5 = conv("conv5", 256, 3)(relu4)
    return keras.Model(image, [relu1, relu2, relu3, relu4, relu5], name="alexnet")


def vgg16(dtype: Any = None) -> keras.Model:
    """VGG16 up to conv5_3, tapped after the last ReLU of its five blocks.

    The layers are those of torchvision's `vgg16().features`.

    Reference:
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
        recognition" (2015).
    """
    x = image = _image(_of_images(dtype))
    taps = []
    for block, (filters, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1):
        if block > 1:
            x = layers.MaxPooling2D(2, name=f"pool{block - 1}", data_format=NHWC, dtype=dtype)(x)
        for i in range(1, depth + 1):
            first = block == i == 1
            of_layer = _of_images(dtype) if first else dtype
            x = _convolution(f"conv{block}_{i}", filters, 3, _he_normal, dtype=of_layer)(x)
            x = _lowered(x, dtype) if first else x
        taps.append(x)
    return keras.Model(image, taps, name="vgg16")


def squeezenet(dtype: Any = None) -> keras.Model:
    """SqueezeNet 1.1, tapped after conv1 and fire modules 3, 5, 6, 7, 8, 9.

    The layers are those of torchvision's `squeezenet1_1().features`.

    Reference:
        Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters" (2016).
    """
    fire = functools.partial(_fire, dtype=dtype)
    first = _of_images(dtype)
    image = _image(first)
    relu1 = _convolution("conv1", 64, 3, _he_uniform, strides=2, padding="valid", dtype=first)(
        image
    )
    pool1 = _lowered(_pool_ceil("pool1", relu1, first), dtype)
    relu2 = fire("fire3", 16, 64, fire("fire2", 16, 64, pool1))
    relu3 = fire("fire5", 32, 128, fire("fire4", 32, 128, _pool_ceil("pool3", relu2, dtype)))
    relu4 = fire("fire6", 48, 192, _pool_ceil("pool5", relu3, dtype))
    relu5 = fire("fire7", 48, 192, relu4)
    relu6 = fire("fire8", 64, 256, relu5)
    relu7 = fire("fire9", 64, 256, relu6)
    return keras.Model(
        image, [relu1, relu2, relu3, relu4, relu5, relu6, relu7], name="squeezenet1_1"
    )


def _image(dtype: Any) -> keras.KerasTensor:
    dtype = keras.dtype_policies.get(dtype).compute_dtype
    return keras.Input((None, None, 3), name="image", dtype=dtype)


def _of_images(dtype: Any) -> Any:
    """The dtype of the first layer: float32 where the others have low precision.

    Images rounded to 8 bits would be the largest error of all.
    """
    low = keras.dtype_policies.get(dtype).compute_dtype in ("float16", "bfloat16")
    return "float32" if low else dtype


def _lowered(x: Any, dtype: Any) -> Any:
    """The features of the first layers in the precision of the others.

    Max-pooling comes before rounding: rounded numbers tie more often, and a tie sends the gradient
    to another pixel.
    """
    compute_dtype = keras.dtype_policies.get(dtype).compute_dtype
    return x if x.dtype == compute_dtype else _bounded(ops.cast(x, compute_dtype))


def _bounded(x: Any) -> Any:
    """Keeps float16 from overflowing, and leaves any other dtype as it is."""
    if x.dtype != "float16":
        return x
    return layers.Activation(float16.bounded, dtype="float16")(x)


def _pad(before: int, after: int, dtype: Any, name: str | None = None) -> layers.Layer:
    return layers.ZeroPadding2D(
        ((before, after), (before, after)), data_format=NHWC, name=name, dtype=dtype
    )


def _convolution(
    name: str,
    filters: int,
    size: int,
    initializer: Initializer,
    strides: int = 1,
    padding: str = "same",
    dtype: Any = None,
) -> Callable[[Any], Any]:
    convolution = Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        data_format=NHWC,
        activation="relu",
        kernel_initializer=initializer(),
        name=name,
        dtype=dtype,
    )
    return lambda x: _bounded(convolution(x))


def _fire(name: str, squeeze: int, expand: int, x: Any, dtype: Any) -> Any:
    """A fire module: a 1x1 convolution to few channels, then a 1x1 and a 3x3 to many."""
    x = _convolution(f"{name}_squeeze", squeeze, 1, _he_uniform, dtype=dtype)(x)
    return layers.Concatenate(name=name, dtype=dtype)(
        [
            _convolution(f"{name}_expand1x1", expand, 1, _he_uniform, dtype=dtype)(x),
            _convolution(f"{name}_expand3x3", expand, 3, _he_uniform, dtype=dtype)(x),
        ]
    )


def _pool_ceil(name: str, x: Any, dtype: Any) -> Any:
    """A 3x3 max-pool of stride 2 whose output size is rounded up (PyTorch's `ceil_mode=True`).

    One row and one column of zeros at the end give that size for even and odd sides alike, and
    change no maximum, as the pool's inputs come out of a ReLU.
    """
    x = _pad(0, 1, dtype, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, strides=2, data_format=NHWC, name=name, dtype=dtype)(x)


def _torch_default() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _he_normal() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def _he_uniform() -> keras.initializers.Initializer:
    return keras.initializers.HeUniform()
