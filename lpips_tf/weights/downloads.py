"""SqueezeNet's convolutions, downloaded from PyTorch's server at first use and converted."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import keras

from lpips_tf.weights import weight_files
from lpips_tf.weights.torch_checkpoints import read_backbone

SQUEEZENET_URL = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
SQUEEZENET_SHA256 = "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"


def home() -> Path:
    """The folder of downloaded weights: `$LPIPS_TF_HOME`, else `~/.keras/lpips_tf`.

    The latter lies beside Keras' own downloads, also where `$KERAS_HOME` moves them.
    """
    keras_home = os.environ.get("KERAS_HOME") or "~/.keras"
    return Path(os.environ.get("LPIPS_TF_HOME") or f"{keras_home}/lpips_tf").expanduser()


def squeezenet() -> Path:
    """The weight file of SqueezeNet 1.1's convolutions.

    It is downloaded (4.7 MiB) and converted if it is not there yet.

    Raises:
        OSError: the download failed or does not have the known sha256, or the folder cannot be
            written to. Nothing is left behind, and the next call tries again.
    """
    kept = home() / "squeeze_imagenet.h5"
    if _intact(kept):
        return kept
    with _working_folder() as folder:
        network, arrays = read_backbone(_fetch(folder))
        weights = weight_files.Weights(
            kind="backbone",
            network=network,
            arrays=arrays,
            source=SQUEEZENET_URL,
            source_sha256=SQUEEZENET_SHA256,
            license="BSD-3-Clause (torchvision)",
        )
        weight_files.write(kept, weights)
    return kept


def _working_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        home().mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=home(), prefix=".download-")
    except OSError as error:
        raise type(error)(
            f"Cannot keep SqueezeNet's weights in {home()}: {error.strerror}. "
            "Set LPIPS_TF_HOME to a folder that can be written to."
        ) from error


def _intact(path: Path) -> bool:
    """Whether `path` holds SqueezeNet's weights. A damaged file is downloaded again."""
    try:
        weights = weight_files.read(path)
        return (weights.kind, weights.network) == ("backbone", "squeeze")
    except (OSError, ValueError):
        return False


def _fetch(folder: str) -> str:
    # Keras draws its progress bar on standard output; it belongs on the terminal, or nowhere.
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115 (closed below)
    # A process without a console has no standard error.
    shows = sys.stderr is not None and sys.stderr.isatty()
    with nowhere, contextlib.redirect_stdout(sys.stderr if shows else nowhere):
        try:
            fetched: str = keras.utils.get_file(
                Path(SQUEEZENET_URL).name,
                origin=SQUEEZENET_URL,
                cache_dir=folder,
                cache_subdir=".",
                file_hash=SQUEEZENET_SHA256,
                hash_algorithm="sha256",
            )
            return fetched
        except (
            Exception
        ) as error:  # get_file raises plain Exception, ValueError, or what urllib does
            raise OSError(
                f"Cannot download SqueezeNet's weights: {str(error).strip().rstrip('.')}. "
                f"Expected {SQUEEZENET_URL} with sha256 {SQUEEZENET_SHA256}. "
                "Without internet access, fetch that file elsewhere and pass its path: "
                'LPIPS(net="squeeze", backbone_weights=FILE); or keep it for all programs: '
                f"python -m weights_conversion backbone FILE -o {home() / 'squeeze_imagenet.h5'}"
            ) from error
