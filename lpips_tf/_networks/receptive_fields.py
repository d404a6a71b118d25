"""Which pixels a network's features depend on."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import layers

from lpips_tf._networks.image_convolution import ImageConv2D


class Field(NamedTuple):
    """The pixels that a layer's positions depend on.

    Position p depends on the pixels from `p * stride + first` to `p * stride + last`, in height and
    in width; pixels outside of the image are padding.
    """

    stride: int
    first: int
    last: int


def receptive_fields(network: keras.Model) -> list[Field]:
    """The field of each output of a network of convolutions, poolings and paddings.

    Raises:
        ValueError: the network has layers of another kind.
    """
    fields = {id(network.inputs[0]): Field(1, 0, 0)}
    for operation in network.operations:
        if isinstance(operation, layers.InputLayer):
            continue
        inputs = [fields[id(tensor)] for tensor in _tensors(operation.input)]
        fields[id(operation.output)] = _after(operation, inputs)
    return [fields[id(tensor)] for tensor in network.outputs]


def _after(layer: keras.layers.Layer, inputs: list[Field]) -> Field:
    stride = max(field.stride for field in inputs)
    first, last = min(field.first for field in inputs), max(field.last for field in inputs)
    if isinstance(layer, (layers.Concatenate, layers.Activation)):
        return Field(stride, first, last)
    if isinstance(layer, layers.ZeroPadding2D):
        before = layer.padding[0][0] * stride
        return Field(stride, first - before, last - before)
    if isinstance(layer, layers.Conv2D):
        size, step = layer.kernel_size[0], layer.strides[0]
        before = layer.pad if isinstance(layer, ImageConv2D) else _same_padding(layer)
    elif isinstance(layer, layers.MaxPooling2D) and layer.padding == "valid":
        size, step, before = layer.pool_size[0], layer.strides[0], 0
    else:
        raise ValueError(f"Expected convolutions, poolings and paddings. Received: {layer}")
    return Field(stride * step, first - before * stride, last + (size - 1 - before) * stride)


def _same_padding(layer: layers.Conv2D) -> int:
    if layer.padding == "valid":
        return 0
    if layer.strides[0] != 1:  # its padding depends on the size of the image
        raise ValueError(f'Expected padding="same" with strides of 1. Received: {layer}')
    size: int = layer.kernel_size[0]
    return (size - 1) // 2


def _tensors(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]
