"""The images of `photos` in other forms."""

import pytest
from checking import in_range


@pytest.fixture
def floats(photos):
    """`photos` as float32 in [-1, 1]."""
    return tuple(in_range(batch) for batch in photos)
