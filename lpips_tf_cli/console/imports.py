"""Imports TensorFlow quietly, and names missing extras."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Imported names whose lack shows that an extra of the package is missing.
EXTRAS = {
    "bapps": ("tensorflow_datasets", "importlib_resources", "scipy"),
    "neighbors": ("faiss",),
    "figures": ("skimage",),
    "video": ("av",),
    "beam": ("apache_beam", "pyarrow"),
    "train": ("tensorflow_datasets", "importlib_resources", "tensorboard"),
}
OF_KERAS = ("matplotlib", "pandas")  # that Keras imports where they are installed


@contextlib.contextmanager
def extra(command: str, name: str) -> Iterator[None]:
    """Wraps imports like `imports`, and says which extra of the package is missing."""
    try:
        with imports():
            yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS[name]:
            raise
        raise ImportError(
            f'{command} needs {error.name}, which is not installed: pip install "lpips-tf[{name}]"'
        ) from error


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """Wraps imports of TensorFlow: silences them, and pauses the garbage collector.

    The collector would scan hundreds of thousands of objects again and again, and once more at
    exit.
    """
    first = "keras" not in sys.modules
    if first:
        gc.disable()
        atexit.register(gc.freeze)
    try:
        with quietly():
            if first:
                _import_keras()
            yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorflow":
            raise
        raise ImportError(
            "TensorFlow is not installed. Install it, or set KERAS_BACKEND to jax or torch"
        ) from error
    finally:
        if first:
            gc.freeze()
            gc.enable()


def _import_keras() -> None:
    """Imports Keras without Matplotlib and pandas, which no command needs from it.

    These take a fifth of the time. `import` raises for a module that is None, which Keras expects.
    """
    hidden = [name for name in OF_KERAS if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]
    try:
        import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps standard error clean.

    TensorFlow's C++ side writes to it before it reads its settings.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow leaves its faster kernels off on processors without AVX-512 or AMX (BENCHMARKS.md).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
