"""Checkpoints as `torch.save` writes them, made without PyTorch."""

import pickle
import zipfile

import numpy as np

import lpips_tf
from lpips_tf.weights.torch_checkpoints import BACKBONE_LAYERS, HEAD_CHANNELS

rng = np.random.default_rng(0)
STORAGES = {
    "f4": "FloatStorage",
    "f8": "DoubleStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "u2": "BFloat16Storage",
}  # the upper halves of float32 numbers


def _global(module, name):
    return f"c{module}\n{name}\n".encode()


def _literal(value):
    """The opcodes that push a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def _tensor(key, array):
    """The opcodes that push a tensor whose elements lie in the storage `key`."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    storage = (
        b"(" + _literal("storage") + _global("torch", STORAGES[array.dtype.str[1:]])
        + _literal(str(key)) + _literal("cpu") + _literal(array.size) + b"tQ"
    )  # fmt: skip
    arguments = storage + _literal(0) + _literal(array.shape) + _literal(strides)
    hooks = _global("collections", "OrderedDict") + b")R"
    return (
        _global("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"\x89" + hooks + b"tR"
    )


def save(path, tensors, extra=b"", name="archive"):
    """Writes an ordered dict of arrays; `extra` are opcodes that are run before."""
    items = b"".join(_literal(key) + _tensor(i, a) for i, (key, a) in enumerate(tensors.items()))
    program = b"\x80\x02" + extra + _global("collections", "OrderedDict") + b")R(" + items + b"u."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/data.pkl", program)
        archive.writestr(f"{name}/version", b"3\n")
        archive.writestr(f"{name}/byteorder", b"little")
        for i, array in enumerate(tensors.values()):
            archive.writestr(f"{name}/data/{i}", array.tobytes())
    return path


def call(module, function, argument):
    """The opcodes that call a function: what a hostile file holds."""
    return _global(module, function) + b"(" + _literal(argument) + b"tR0"


def backbone_tensors(net, prefix="features.", dtype="f4"):
    """A torchvision-like state dict with small random convolutions."""
    tensors = {}
    for key in BACKBONE_LAYERS[net]:
        tensors[f"{prefix}{key}.weight"] = rng.normal(size=(4, 3, 2, 1)).astype(dtype)
        tensors[f"{prefix}{key}.bias"] = rng.normal(size=4).astype(dtype)
    return tensors


def backbone_state(net):
    """A torchvision state dict of `net` with random numbers, in its shapes."""
    layers = {
        layer.name: layer for layer in lpips_tf.LPIPS(net, backbone_weights=None).backbone.layers
    }
    state = {}
    for key, name in BACKBONE_LAYERS[net].items():
        height, width, inputs, outputs = layers[name].kernel.shape
        scale = (2 / (height * width * inputs)) ** 0.5
        state[f"features.{key}.weight"] = rng.normal(0, scale, (outputs, inputs, height, width))
        state[f"features.{key}.bias"] = rng.normal(0, 0.1, outputs)
    return {key: np.ascontiguousarray(array, "f4") for key, array in state.items()}


def head_tensors(net, name="lin{}.model.1.weight"):
    return {
        name.format(i): rng.random((1, c, 1, 1)).astype("f4")
        for i, c in enumerate(HEAD_CHANNELS[net])
    }
