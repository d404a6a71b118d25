"""`lpips-tf train --cache-features` computes the features of each data set once."""

import os
import re
import resource

import numpy as np
import pytest


@pytest.mark.slow
def test_data_that_were_seen_before_are_not_computed_again(train, finished, tmp_path):
    cache = tmp_path / "home" / "features"
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(before) == 2
    options = ("--cache-features", "--epochs", 1, "--decay-epochs", 0)
    assert train(tmp_path / "other", *options)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


@pytest.mark.slow
def test_changed_data_are_not_taken_from_the_cache(train, finished, root, tmp_path):
    cache = tmp_path / "home" / "features"
    path = root / "2afc/train/cnn/p0/000003.png"
    status = path.stat()
    path.touch()
    try:
        options = ("--cache-features", "--epochs", 1, "--decay-epochs", 0)
        assert train(tmp_path / "other", *options)[0] == 0
    finally:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(list(cache.iterdir())) == 3


@pytest.mark.slow
def test_a_cache_with_too_few_triplets_is_refused(train, finished, tmp_path):
    for path in (tmp_path / "home" / "features").iterdir():
        np.save(path, np.load(path)[:5])
    code, _, err = train(tmp_path / "other", "--cache-features")
    assert (code, err.count("\n")) == (1, 1)
    assert re.search(r"cache of 33 triplets. Received: .*\.npy with 5.", err)


def test_a_full_disk_leaves_no_cache(train, tmp_path):
    cache = tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        code, out, err = train(tmp_path / "run", "--cache-features", "--cache-dir", cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (1, "")
    (error,) = err.splitlines()
    assert "File too large" in error
    assert list(cache.iterdir()) == []
