"""Names that Keras does not export: all that a new version of it may move.

The oldest version that the package takes has them, as the newest has that the tests ran with.
"""

from types import ModuleType

from keras.src.backend import AutocastScope, in_stateless_scope
from keras.src.backend.common import global_state
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.losses.loss import reduce_weighted_values

__all__ = [
    "AutocastScope",
    "global_state",
    "in_stateless_scope",
    "in_symbolic_scope",
    "reduce_weighted_values",
    "torch_core",
]


def torch_core() -> ModuleType:
    """Keras' module of PyTorch's devices."""
    from keras.src.backend.torch import core

    module: ModuleType = core
    return module
