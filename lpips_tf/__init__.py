"""LPIPS, the perceptual distance between images, for TensorFlow and Keras."""

import importlib.util
from types import ModuleType

from lpips_tf import (
    baselines,
    feature_cache,
    images,
    losses,
    metrics,
    scores,
    testing,
    training,
    video,
    weights,
)
from lpips_tf.metric import LPIPS
from lpips_tf.pairwise import distance_matrix, mean_pairwise_distance
from lpips_tf.tiling import tiled_distance

__all__ = [
    "LPIPS",
    "baselines",
    "distance_matrix",
    "feature_cache",
    "images",
    "losses",
    "mean_pairwise_distance",
    "metrics",
    "scores",
    "testing",
    "tiled_distance",
    "training",
    "video",
    "weights",
]
__version__ = "0.1.0"

# Modules that need one more package: its name, and what installs it if that is an extra.
LAZY = {
    "beam": ("apache_beam", "lpips-tf[beam]"),
    "callbacks": ("tensorboard", None),
    "evaluation": ("tensorflow", None),
    "export": ("tensorflow", None),
    "neighbors": ("faiss", "lpips-tf[neighbors]"),
    "plots": ("matplotlib", None),
}


def __getattr__(name: str) -> ModuleType:
    """Imports a module of `LAZY` when it is first named."""
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        _, extra = LAZY[name]
        raise ImportError(
            f"lpips_tf.{name} needs {error.name}, which is not installed: "
            f'pip install "{extra or error.name}"'
        ) from error


def __dir__() -> list[str]:
    # `help` and others name all that is listed here, and stop at an ImportError.
    usable = (name for name, (package, _) in LAZY.items() if importlib.util.find_spec(package))
    return sorted({*globals(), *usable})
