"""The project's weight files: HDF5, one dataset a variable, with where it came from as attributes.

A backbone file holds `conv1/kernel`, `conv1/bias`, … with kernels as (height, width, in, out); a
head file holds `head0/kernel`, … of shape (channels,). Both say their network, source, the source's
sha256 and its licence.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from lpips_tf._support.whole_files import hdf5_written_whole

FORMAT = "lpips_tf weights 1"


@dataclasses.dataclass(frozen=True)
class Weights:
    """Named float32 arrays of one backbone or one set of heads, and their origin."""

    kind: str  # "backbone" | "heads"
    network: str  # "alex" | "vgg" | "squeeze"
    arrays: Mapping[str, npt.NDArray[Any]]
    version: str = ""  # heads only: the LPIPS version that they were calibrated for
    source: str = ""
    source_sha256: str = ""
    license: str = ""

    def attributes(self) -> dict[str, str]:
        """All fields but the arrays, by name."""
        return {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "arrays"
        }


def write(path: str | os.PathLike[str], weights: Weights) -> bool:
    """Writes a weight file, whole or not at all; the same weights always give the same bytes.

    Returns:
        False where `path` held just these weights already and was left alone, else True.
    """
    if holds(path, weights):
        return False
    with hdf5_written_whole(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs.update(weights.attributes())
        for name, array in weights.arrays.items():
            file.create_dataset(
                name,
                data=np.asarray(array, np.float32),
                compression="gzip",
                compression_opts=9,
                shuffle=True,
                fletcher32=True,
                track_times=False,
            )
    return True


def holds(path: str | os.PathLike[str], weights: Weights) -> bool:
    """Whether there is a file at `path` with just these weights and attributes."""
    try:
        found = read(path)
    except (OSError, ValueError):
        return False
    return (
        found.attributes() == weights.attributes()
        and found.arrays.keys() == weights.arrays.keys()
        and all(np.array_equal(found.arrays[name], weights.arrays[name]) for name in found.arrays)
    )


def read(path: str | os.PathLike[str]) -> Weights:
    """Reads a weight file.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is damaged, or is no HDF5 file.
        ValueError: an HDF5 file, but none of this project's.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Expected a weight file. There is none at {path}")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(
                    f"Expected a weight file of format {FORMAT!r}, which "
                    "`python -m weights_conversion` writes. "
                    f"Received: {path} with format={file.attrs.get('format')!r}"
                )
            attributes = {
                field.name: str(file.attrs.get(field.name, ""))
                for field in dataclasses.fields(Weights)
                if field.name != "arrays"
            }
            arrays: dict[str, npt.NDArray[Any]] = {}
            file.visititems(lambda name, item: _collect(arrays, name, item))
    except (OSError, RuntimeError, KeyError) as error:  # h5py's, by what is damaged
        raise OSError(
            f"Cannot read the weight file {path}, it is damaged or no HDF5 file: {error}"
        ) from error
    return Weights(arrays=arrays, **attributes)


def _collect(arrays: dict[str, npt.NDArray[Any]], name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        arrays[name] = item[()]
