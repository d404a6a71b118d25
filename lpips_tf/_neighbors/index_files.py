"""Index files: HDF5 files with everything that an index needs."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from lpips_tf._neighbors.embeddings import BATCH
from lpips_tf._support.whole_files import hdf5_written_whole

FORMAT = "lpips_tf index 2"
IMAGES = "pictures"  # the key that files of this format have


class Content(NamedTuple):
    """The content of an index file."""

    metric: dict[str, Any]  # its configuration
    weights: str | None  # their fingerprint; None for those that come with the package
    sketch: dict[str, int]  # its fields
    names: list[str]
    images: Any  # (N, H, W, 3) uint8; a data set of the open file where it was read
    faiss_index: npt.NDArray[np.uint8]  # as bytes


def write(path: str | os.PathLike[str], content: Content) -> None:
    """Writes an index file, which appears whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    names = b"\0".join(os.fsencode(name) for name in content.names)
    with hdf5_written_whole(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["metric"] = json.dumps(content.metric)
        file.attrs["weights"] = json.dumps(content.weights)
        file.attrs["sketch"] = json.dumps(content.sketch)
        file.attrs["sha256"] = hashlib.sha256(content.faiss_index.tobytes()).hexdigest()
        file["index"] = content.faiss_index
        file["names"] = np.frombuffer(names, np.uint8)
        count = len(content.names)
        stored = file.create_dataset(IMAGES, (count, *content.images.shape[1:]), np.uint8)
        for start in range(0, count, BATCH):
            stored[start : start + BATCH] = content.images[start : start + BATCH]


def read(path: str | os.PathLike[str]) -> Content:
    """Reads an index file except for the images, which stay in it.

    Raises:
        OSError: the file is missing, damaged, or no index.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"Expected an index. There is none at {path}")
    with ExitStack() as stack:
        try:
            file = stack.enter_context(h5py.File(path, "r"))
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"format={file.attrs.get('format')!r}")
            config, weights, sketch = (
                json.loads(file.attrs[name]) for name in ("metric", "weights", "sketch")
            )
            index, stored_names, images = file["index"][:], file["names"][:], file[IMAGES]
            expected = file.attrs["sha256"]
        except (OSError, RuntimeError, KeyError, ValueError) as error:  # by what is damaged
            raise OSError(
                f"Cannot read the index {path}, it is damaged or not from Index.save: "
                f"{' '.join(str(error).split())}"
            ) from error
        names = [os.fsdecode(name) for name in stored_names.tobytes().split(b"\0")]
        # FAISS trusts what it reads.
        if hashlib.sha256(index.tobytes()).hexdigest() != expected or len(names) != len(images):
            raise OSError(f"Cannot read the index {path}: it is damaged")
        stack.pop_all()  # the images are read from the file when they are needed
    return Content(config, weights, sketch, names, images, index)
