"""SqueezeNet's convolutions, fetched from PyTorch's server at first use and kept converted."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import keras

import weights_conversion
from lpips_tf import weight_files

SQUEEZENET_URL = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
SQUEEZENET_SHA256 = "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"


def home() -> Path:
    """The folder of downloaded weights: `$LPIPS_TF_HOME`, else `~/.keras/lpips_tf`, or beside
    Keras' own downloads where `$KERAS_HOME` moves them.
    """
    keras_home = os.environ.get("KERAS_HOME") or "~/.keras"
    return Path(os.environ.get("LPIPS_TF_HOME") or f"{keras_home}/lpips_tf").expanduser()


def squeezenet() -> Path:
    """The weight file of SqueezeNet 1.1's convolutions, downloaded (4.7 MiB) and converted if it is
    not there yet.

    Raises:
        OSError: the download failed or does not have the known sha256, or the folder cannot be
            written to. Nothing is left behind, and the next call tries again.
    """
    kept = home() / "squeeze_imagenet.h5"
    if _intact(kept):
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".download-") as folder:
            checkpoint = _fetch(folder)
            network, arrays = weights_conversion.read_backbone(checkpoint)
            weight_files.write(
                kept,
                weight_files.Weights(
                    kind="backbone",
                    network=network,
                    arrays=arrays,
                    source=SQUEEZENET_URL,
                    source_sha256=SQUEEZENET_SHA256,
                    license="BSD-3-Clause (torchvision)",
                ),
            )
    except PermissionError as error:
        raise PermissionError(
            f"Cannot keep SqueezeNet's weights in {kept.parent}: {error.strerror or error}. "
            "Set LPIPS_TF_HOME to a folder that can be written to."
        ) from error
    return kept


def _intact(path: Path) -> bool:
    """Whether `path` is a readable weight file; a damaged one is as good as none, it is fetched
    again.
    """
    try:
        return bool(weight_files.read(path).arrays)
    except (OSError, ValueError):
        return False


def _fetch(folder: str) -> str:
    with contextlib.redirect_stdout(sys.stderr):  # Keras prints its progress bar on standard output
        try:
            return keras.utils.get_file(
                Path(SQUEEZENET_URL).name,
                origin=SQUEEZENET_URL,
                cache_dir=folder,
                cache_subdir=".",
                file_hash=SQUEEZENET_SHA256,
                hash_algorithm="sha256",
            )
        except (
            Exception
        ) as error:  # get_file raises plain Exception, ValueError, or what urllib does
            raise OSError(
                f"Cannot download SqueezeNet's weights: {str(error).strip()} "
                f"Expected {SQUEEZENET_URL} with sha256 {SQUEEZENET_SHA256}. "
                "Without a network, fetch that file elsewhere and pass its path: "
                'LPIPS(net="squeeze", backbone_weights="….pth").'
            ) from error
