"""Cached differences of data sets, computed once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from lpips_tf import LPIPS, feature_cache
from lpips_tf_cli.bapps.sources import Source, explaining
from lpips_tf_cli.console.progress import progress_bar

ABANDONED = 3600  # seconds after which nobody writes to a temporary file any more


def cached(metric: LPIPS, source: Source, folder: Path) -> np.ndarray:
    """The records of a data set in a folder of caches; computed at first.

    Raises:
        ValueError: an image cannot be read.
        OSError: the folder cannot be written to, or the file is damaged.
    """
    count = int(source.stored.cardinality())
    path = folder / f"{feature_cache.key(metric, source.fingerprint())}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.npy"):  # by processes that were killed
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink(missing_ok=True)
        with progress_bar(f"caching {source.name}") as progress, explaining(source):
            feature_cache.write(path, metric, source.examples, progress=progress)
    records = feature_cache.read(path, metric)
    if len(records) != count:
        raise OSError(
            f"Expected a feature cache of {count} triplets. Received: {path} with {len(records)}. "
            "Without it, it is made anew"
        )
    return records
