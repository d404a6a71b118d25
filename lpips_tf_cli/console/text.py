"""Text on the terminal: file names, counts, lines on standard error."""

from __future__ import annotations

import sys


def printable(name: object) -> str:
    """A file name without control characters, which could break lines or command a terminal."""
    return "".join(
        c if c.isprintable() or "\udc80" <= c <= "\udcff" else c.encode("unicode_escape").decode()
        for c in str(name)
    )


def counted(count: int, noun: str) -> str:
    """A count with its noun, such as "1 image" or "1,200 images"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say(name: str, message: str) -> None:
    """Prints a line on standard error."""
    # One write, as threads may warn at the same time.
    sys.stderr.write(f"{name}: {printable(' '.join(message.split()))}\n")
