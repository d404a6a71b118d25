"""Caches the feature differences of data sets, so that they are computed once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from lpips_tf import LPIPS, feature_cache
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.judgements.sources import Source, translated_read_errors

ABANDONED = 3600  # seconds without a write after which a temporary file is abandoned


def cached_records(metric: LPIPS, source: Source, folder: Path) -> np.ndarray:
    """The records of a data set from a folder of caches, computed if they are missing.

    Raises:
        ValueError: an image cannot be read.
        OSError: the folder cannot be written to, or the file is damaged.
    """
    count = int(source.stored.cardinality())
    path = folder / f"{feature_cache.key(metric, source.fingerprint())}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.npy"):  # of processes that were killed
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink(missing_ok=True)
        with progress_bar(f"caching {source.name}") as progress, translated_read_errors(source):
            feature_cache.write(path, metric, source.examples, progress=progress)
    records = feature_cache.read(path, metric)
    if len(records) != count:
        raise OSError(
            f"Expected a feature cache of {count} triplets. Received: {path} with {len(records)}. "
            "Delete the file; the next run rebuilds it"
        )
    return records
