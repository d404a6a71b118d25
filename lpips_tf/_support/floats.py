"""Numbers as Python prints them."""

from __future__ import annotations

from typing import Any


def short_float(number: Any) -> float:
    """A NumPy number as Python's, with as many digits as its dtype has: 0.1, not 0.100000001."""
    return float(str(number))
